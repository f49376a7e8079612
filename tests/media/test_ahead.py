"""Work in another thread gives the same, hands on errors, and ends when nobody wants more."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from avse.media.read_ahead import read_ahead


def _threads() -> int:
    return sum(thread.name == "avse-read-ahead" for thread in threading.enumerate())


@pytest.mark.parametrize("most", [1, 3, 100])
def test_every_item_in_order(most: int) -> None:
    assert list(read_ahead(iter(range(50)), most)) == list(range(50))
    assert _threads() == 0


def test_an_error_comes_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    found = read_ahead(items(), 4)
    assert next(found) == 1
    with pytest.raises(KeyError, match="gone"):
        next(found)
    assert _threads() == 0


def test_leaving_early_ends_the_thread_and_closes_the_iterator() -> None:
    closed, taken = threading.Event(), []

    def items() -> Iterator[int]:
        try:
            for n in range(1_000_000):
                taken.append(n)
                yield n
        finally:
            closed.set()

    found = read_ahead(items(), 2)
    assert [next(found), next(found)] == [0, 1]
    found.close()
    assert closed.is_set()
    assert _threads() == 0
    assert len(taken) < 10
