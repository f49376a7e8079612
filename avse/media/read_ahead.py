"""Run an iterator in another thread, ahead of its consumer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

Item = TypeVar("Item")

_WAIT_S = 0.1


def read_ahead(items: Iterator[Item], most: int) -> Generator[Item]:
    """Yield the items of an iterator that runs in its own thread.

    The thread ends, and the iterator is closed, when the generator is closed. An error of the
    iterator is raised here, after the items before it.

    Args:
        items: the iterator.
        most: maximal number of buffered items.
    """
    waiting: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(most)
    stop = threading.Event()

    def put(entry: tuple[Item] | BaseException | None) -> None:
        while not stop.is_set():
            try:
                return waiting.put(entry, timeout=_WAIT_S)
            except queue.Full:
                continue

    def work() -> None:
        try:
            for item in items:
                put((item,))
                if stop.is_set():
                    return
            put(None)
        except BaseException as error:  # raised again where the items are taken
            put(error)
        finally:
            close = getattr(items, "close", None)
            if close is not None:
                close()

    thread = threading.Thread(target=work, name="avse-read-ahead", daemon=True)
    thread.start()
    try:
        while (entry := waiting.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry[0]
    finally:
        stop.set()
        thread.join()
