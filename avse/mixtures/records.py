"""Take a JSON object apart, field by field, and say exactly what is wrong with it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from avse.errors import InputError
from avse.utils.paths import is_below
from avse.utils.schema import LARGEST

_TYPES = {str: "a text", int: "a whole number", list: "a list", dict: "an object"}


class Fields:
    """The fields of one JSON object, each to be taken once.

    Args:
        value: what should be an object.
        where: what to call it in messages, such as "set.jsonl, line 3".
        hint: what the reader of a message can do.

    Raises:
        InputError: from every method: a field is missing or is not what it should be.
    """

    def __init__(self, value: object, where: str, hint: str) -> None:
        self._where, self._hint = where, hint
        if not isinstance(value, Mapping):
            raise InputError(f"{where} is not an object", hint)
        self._left: dict[str, Any] = dict(value)

    def wrong(self, name: str, expected: str) -> InputError:
        """The error to raise for a field that is not what it should be."""
        return InputError(f"{self._where}: {name!r} has to be {expected}", self._hint)

    def take(self, name: str) -> Any:
        """Any value."""
        if name not in self._left:
            raise InputError(f"{self._where}: {name!r} is missing", self._hint)
        return self._left.pop(name)

    def text(self, name: str) -> str:
        """A text that is not empty."""
        value = self._typed(name, str)
        if not value:
            raise self.wrong(name, "a text that is not empty")
        return str(value)

    def path(self, name: str) -> str:
        """A path below some folder, with forward slashes."""
        return self.check_path(name, self.text(name))

    def check_path(self, name: str, value: object) -> str:
        """Check a path that was taken otherwise."""
        if not isinstance(value, str) or not is_below(value):
            raise self.wrong(name, "a relative path that stays below its folder")
        return value

    def whole(self, name: str, least: int = 0, most: int = LARGEST) -> int:
        """A whole number."""
        value = self._typed(name, int)
        if isinstance(value, bool) or not least <= value <= most:
            raise self.wrong(name, f"a whole number of at least {least}{_and(most)}")
        return int(value)

    def number(self, name: str, least: float = -math.inf, most: float = LARGEST) -> float:
        """A finite number."""
        return self.check_number(name, self.take(name), least, most)

    def check_number(
        self, name: str, value: object, least: float = -math.inf, most: float = LARGEST
    ) -> float:
        """Check a number that was taken otherwise."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not max(least, -LARGEST) <= value <= most:  # type: ignore[operator]
            limit = "" if least == -math.inf else f" of at least {least:g}"
            raise self.wrong(name, f"a finite number{limit}{_and(most)}")
        return float(value)  # type: ignore[arg-type]

    def digest(self, name: str) -> str:
        """A SHA-256 in hexadecimal."""
        value = self.text(name)
        if len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise self.wrong(name, "a SHA-256 of 64 hexadecimal digits")
        return value

    def several(self, name: str, least: int = 0, most: int = LARGEST) -> list[Any]:
        """A list."""
        value: list[Any] = self._typed(name, list)
        if not least <= len(value) <= most:
            raise self.wrong(name, f"a list of at least {least}{_and(most)}")
        return value

    def table(self, name: str) -> dict[str, Any]:
        """An object of any kind."""
        value: dict[str, Any] = self._typed(name, dict)
        return value

    def inner(self, name: str) -> Fields:
        """An object whose fields will be taken too."""
        return Fields(self.take(name), f"{self._where}: {name!r}", self._hint)

    def each(self, name: str, least: int = 0, most: int = LARGEST) -> list[Fields]:
        """A list of such objects."""
        values = self.several(name, least, most)
        return [
            Fields(value, f"{self._where}: {name!r}, number {n}", self._hint)
            for n, value in enumerate(values, 1)
        ]

    def is_null(self, name: str) -> bool:
        """Whether a field is null; if it is, it is taken."""
        if name in self._left and self._left[name] is None:
            del self._left[name]
            return True
        return False

    def has(self, name: str) -> bool:
        """Whether there is a field that may be left out."""
        return name in self._left

    def end(self) -> None:
        """Check that nothing is left."""
        if self._left:
            names = ", ".join(repr(name) for name in self._left)
            raise InputError(f"{self._where}: unknown fields {names}", self._hint)

    def _typed(self, name: str, kind: type) -> Any:
        value = self.take(name)
        if not isinstance(value, kind):
            raise self.wrong(name, _TYPES[kind])
        return value


def _and(most: float) -> str:
    return "" if most == LARGEST else f" and at most {most:g}"
