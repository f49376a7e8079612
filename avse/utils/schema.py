"""From text that anybody may have written to frozen dataclasses, field by field, or a clear no.

Whatever is wrong with a file ends as a `RecordError`, which is a `ValueError`: nested beyond
reason, numbers that are none or too large for any use, fields that are missing, unknown or of
another type. Who reads the file says which file it was.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import tomllib
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal, NoReturn, TypeVar, Union, get_args, get_origin, get_type_hints

Kind = TypeVar("Kind")

LARGEST = 2**63 - 1
"""Whole numbers beyond it count as wrong: no file, time or size needs them."""

_CALLED = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}


class RecordError(ValueError):
    """A text or a value is not what it should be.

    Args:
        message: what is wrong, naming the field.
        hint: what was found, or what would be right.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


def load_json(text: str | bytes, *, finite: bool = True) -> Any:
    """The value that a JSON text stands for.

    Args:
        text: of the file, or of a line of it.
        finite: whether NaN and infinities, which are no JSON, are refused.

    Raises:
        RecordError: it is no JSON, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_refuse if finite else None)
    except RecursionError:
        raise RecordError("it is nested too deeply") from None
    except ValueError as error:
        raise RecordError(str(error)) from error


def load_toml(text: str) -> dict[str, Any]:
    """The table that a TOML text stands for.

    Raises:
        RecordError: it is no TOML, or is nested too deeply.
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
    """A dataclass from a table of plain values.

    Args:
        kind: the dataclass.
        table: its fields by name; those left out keep their defaults.
        where: what to call the table in messages.
        base: defaults, instead of the dataclass's own.
        extra: further keys to name among the known ones.

    Raises:
        RecordError: no table, a key that the dataclass has not, a value of another type, or a field
            without a default that is missing. What the dataclass itself raises is passed on.
    """
    if not isinstance(table, Mapping):
        raise RecordError(f"{where} has to be a table", f"not {_shown(table)}")
    hints = get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.init}  # type: ignore[arg-type]
    check_keys(table, [*fields, *extra], where)
    values = {key: _value(value, hints[key], f"{where} {key}") for key, value in table.items()}
    if base is not None:
        return dataclasses.replace(base, **values)  # type: ignore[type-var]
    none = dataclasses.MISSING
    for name, field in fields.items():
        if name not in values and field.default is none and field.default_factory is none:
            raise RecordError(f"{where} has no {name}")
    return kind(**values)


def fit(value: object, hint: Any, where: str) -> Any:
    """A plain value as a type hint has it, such as `dict[str, int]`.

    Raises:
        RecordError: it is something else.
    """
    return _value(value, hint, where)


def check_keys(table: Mapping[str, Any], known: list[str], where: str) -> None:
    """Check that a table has no keys but those that are known.

    Raises:
        RecordError: it has another.
    """
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            raise RecordError(
                f"{where} has a key {key!r}, which there is not",
                f"did you mean {near[0]!r}?" if near else f"choose from: {', '.join(known)}",
            )


def _value(value: object, hint: Any, where: str) -> Any:
    if hint is Any:
        return value
    origin, inside = get_origin(hint), get_args(hint)
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise RecordError(f"{where} has to be a table", f"such as: [stage.{where.split()[-1]}]")
        return build(hint, value, where)  # type: ignore[arg-type]
    if origin in (Union, UnionType) and NoneType in inside:
        (other,) = (one for one in inside if one is not NoneType)
        return None if value is None else _value(value, other, where)
    if origin is Literal:
        if value not in inside:
            raise RecordError(f"{where} cannot be {_shown(value)}")
        return value
    if origin is list:
        if not isinstance(value, list):
            raise RecordError(f"{where} has to be a list", f"not {_shown(value)}")
        return [_value(one, inside[0], where) for one in value]
    if origin is tuple:
        even = inside[1:] == (...,)
        if not isinstance(value, list | tuple) or not (even or len(value) == len(inside)):
            count = "values" if even else f"{len(inside)} values"
            raise RecordError(f"{where} has to be a list of {count}", f"not {_shown(value)}")
        each = [inside[0]] * len(value) if even else inside
        return tuple(_value(v, one, where) for v, one in zip(value, each, strict=True))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise RecordError(f"{where} has to be a table", f"not {_shown(value)}")
        return {_value(k, inside[0], where): _value(v, inside[1], where) for k, v in value.items()}
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and hint in (int, float) and not abs(value) <= LARGEST:  # type: ignore[arg-type]
        raise RecordError(f"{where} is out of range", f"not {_shown(value)}")
    if hint is float and number:
        return float(value)  # type: ignore[arg-type]
    if type(value) is not hint:
        raise RecordError(f"{where} has to be {_CALLED.get(hint, hint)}", f"not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    """A value for a message, however large it is."""
    if isinstance(value, int) and abs(value) > LARGEST:
        return "so large a number"  # Python may refuse to print it
    try:
        text = repr(value)
    except RecursionError:
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number")
