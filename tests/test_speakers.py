"""Whose voices are wanted: what is read, and what is refused before any work."""

from __future__ import annotations

import pytest

from avse.errors import UsageError
from avse.scene.speakers import Speaker, Speakers


@pytest.mark.parametrize(
    ("speaker", "json", "count", "numbers", "names"),
    [
        ("all", "all", None, (), ()),
        (" 2 ", 2, 1, (2,), ()),
        (2, 2, 1, (2,), ()),
        ("3, 1,3", [1, 3], 2, (1, 3), ()),
        ([3, 1, 3], [1, 3], 2, (1, 3), ()),
        ("anna, 3", "anna, 3", 2, (3,), ("anna",)),
        ("@12.5s:0.3,0.4", "@12.5s:0.3,0.4", 1, (), ()),
    ],
)
def test_what_is_read(
    speaker: Speaker,
    json: object,
    count: int | None,
    numbers: tuple[int, ...],
    names: tuple[str, ...],
) -> None:
    read = Speakers.read(speaker)
    assert (read.as_json(), read.count, read.numbers, read.names) == (json, count, numbers, names)
    assert Speakers.read(read) is read


@pytest.mark.parametrize("text", ["", "1,,2", "@1s:2,0.1"])
def test_what_is_no_speaker(text: str) -> None:
    with pytest.raises(UsageError):
        Speakers.read(text)


def test_names_are_checked_before_any_work() -> None:
    asked = Speakers.read("anna,1")
    asked.check_names(["ben", "anna"], "people.toml")
    Speakers.read("1,2").check_names([], None)
    with pytest.raises(UsageError, match="names no speaker"):
        asked.check_names([], None)
    with pytest.raises(UsageError, match="'anna' names nobody") as caught:
        asked.check_names(["ben", "cleo"], "people.toml")
    assert caught.value.hint == "people.toml knows: ben, cleo"
