"""Convert untrusted JSON and TOML to frozen dataclasses.

msgspec converts values, and checks types and the limits in annotations. This module adds checks for
unknown keys and for numbers out of range, and messages in plain English. Every error in a text
raises `RecordError`, a `ValueError`; the caller adds the name of the file.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import tomllib
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

Kind = TypeVar("Kind")

LARGEST = 2**63 - 1
"""The largest number that is accepted: no file, time or size needs a larger one."""

_HINTS: dict[Any, dict[str, Any]] = {}

_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
"""Types by their names in msgspec's messages -> their names in messages of avse."""


class RecordError(ValueError):
    """A text or a value is invalid.

    Args:
        message: what is wrong, with the name of the field.
        hint: the value that was found, or the values that are valid.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def load_json(text: str | bytes, *, finite: bool = True) -> Any:
    """Read a JSON text.

    Args:
        text: the text of a file or of a line.
        finite: whether to refuse NaN and infinities, which are not JSON.

    Raises:
        RecordError: the text is not JSON, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse if finite else None)
    except RecursionError:
        raise RecordError("it is nested too deeply") from None
    except ValueError as error:
        raise RecordError(str(error)) from error


def load_toml(text: str) -> dict[str, Any]:
    """Read a TOML text.

    Raises:
        RecordError: the text is not TOML, or is nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise RecordError("it is nested too deeply") from None
    except ValueError as error:
        raise RecordError(str(error)) from error


def build(
    kind: type[Kind],
    table: object,
    where: str,
    base: Kind | None = None,
    extra: tuple[str, ...] = (),
) -> Kind:
    """Build a dataclass from a table of plain values.

    Args:
        kind: the dataclass.
        table: values by field name; fields that are absent keep their defaults.
        where: the name of the table in messages.
        base: an instance whose values are the defaults, instead of those of the dataclass.
        extra: further known keys, for the messages.

    Raises:
        RecordError: `table` is not a mapping, has an unknown key, has a value of the wrong type, or
            lacks a field without a default. Errors of the dataclass itself are passed on.
    """
    if not isinstance(table, Mapping):
        raise RecordError(f"{where} must be a table", f"not {_shown(table)}")
    hints = _hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}  # type: ignore[arg-type]
    check_keys(table, [*fields, *extra], where)
    values = {key: fit(value, hints[key], f"{where} {key}") for key, value in table.items()}
    if base is not None:
        return dataclasses.replace(base, **values)  # type: ignore[type-var]
    none = dataclasses.MISSING
    for name, field in fields.items():
        if name not in values and field.default is none and field.default_factory is none:
            raise RecordError(f"{where} has no {name}")
    return kind(**values)


def fit(value: object, hint: Any, where: str) -> Any:
    """Convert a plain value to a type, such as `dict[str, int]` or a dataclass.

    Limits come from annotations: `Annotated[int, msgspec.Meta(ge=1)]`.

    Raises:
        RecordError: the value does not have that type.
    """
    try:
        _check(value, hint, where)
        return msgspec.convert(value, hint)
    except RecursionError:
        raise RecordError(f"{where} is nested too deeply") from None
    except msgspec.ValidationError as error:
        raise _explained(error, value, where) from error


def check_keys(table: Mapping[str, Any], known: list[str], where: str) -> None:
    """Check that a table has known keys only.

    Raises:
        RecordError: it has another key.
    """
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            raise RecordError(
                f"{where} has an unknown key {key!r}",
                f"did you mean {near[0]!r}?" if near else f"choose from: {', '.join(known)}",
            )


def _check(value: object, hint: Any, where: str) -> None:
    """Refuse unknown keys of dataclasses and numbers out of range, which msgspec accepts."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if hint is Any:
        return
    origin, inside = get_origin(hint), get_args(hint)
    if isinstance(value, float | int) and not isinstance(value, bool):
        if not abs(value) <= LARGEST:
            raise RecordError(f"{where} is out of range", f"not {_shown(value)}")
    elif origin in (Union, UnionType):
        for kind in inside:
            if kind is not NoneType:
                _check(value, kind, where)
    elif isinstance(value, Mapping):
        if dataclasses.is_dataclass(hint):
            fields = [field.name for field in dataclasses.fields(hint) if field.init]
            check_keys(value, fields, where)
            kinds = _hints(hint)
        else:
            kinds = dict.fromkeys(value, inside[-1] if origin is dict else object)
        for key, item in value.items():
            _check(item, kinds[key], f"{where}.{key}")
    elif isinstance(value, list | tuple):
        even = origin is list or inside[1:] == (...,)
        for number, item in enumerate(value):
            each = inside[0] if even else inside[number] if number < len(inside) else object
            _check(item, each, f"{where}[{number}]")


def _hints(kind: Any) -> dict[str, Any]:
    if kind not in _HINTS:
        _HINTS[kind] = get_type_hints(kind, include_extras=True)
    return _HINTS[kind]


def _explained(error: msgspec.ValidationError, value: Any, where: str) -> RecordError:
    """Translate msgspec's "Expected `int`, got `str` - at `$.sources[0].gain_db`"."""
    text, _, path = str(error).partition(" - at `$")
    place = where + path.rstrip("`")
    if missing := re.fullmatch("Object missing required field `(.+)`", text):
        return RecordError(f"{place} has no {missing[1]}")
    expected, _, got = text.removeprefix("Expected ").partition(", got ")
    if expected != text:
        for name, index in re.findall(r"\.(\w+)|\[(\d+)\]", path):
            value = value[name] if name else value[int(index)]
        found = re.sub("`(.+)`", _plain, got) if "[...]" in path else _shown(value)
        return RecordError(f"{place} must be {re.sub('`(.+?)`', _plain, expected)}", f"not {found}")
    return RecordError(f"{place} cannot be {text.removeprefix('Invalid enum value ')}")


def _plain(name: re.Match[str]) -> str:
    return " or ".join(_NAMES.get(part, part) for part in name[1].split(" | "))


def _shown(value: object) -> str:
    """Format a value for a message, in at most 60 characters."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return "so large a number"  # Python may refuse to print it
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
