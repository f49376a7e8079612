"""Recipes in TOML: read strictly, so that a key misspelt is not a key ignored.

precision = "tf32"

[data]
clips = ["packs/grid"]            # beside the recipe

[network]
preset = "base"                   # and any field of `AVSESpec`

[[stage]]
kind = "lips"                     # and any field of `StageSettings`

[stage.mix]                       # ... `MixSettings`; .face, .lips and .ask likewise
seconds = 3.0
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from avse.errors import UsageError
from avse.models.spec import PRESETS, AVSESpec
from avse.train.recipe import PACKS, DataSettings, LipVariation, Recipe, StageSettings

Settings = TypeVar("Settings")

LIPS_VARIED = LipVariation(noise=0.2, distortion=0.2, drift=0.9, amplitude=0.4)
"""What a "lips" stage does unless the recipe says otherwise; see docs/training.md."""


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; packs, and weights to start from, are looked for beside it.

    Raises:
        UsageError: it cannot be read, is not TOML, or has a key or value that makes no sense.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UsageError(
            f"the recipe {path} cannot be read: {error.strerror}", "check the path"
        ) from error
    except ValueError as error:
        raise UsageError(
            f"the recipe {path} is not TOML: {error}", "compare it with examples/train-tiny.toml"
        ) from error
    try:
        return _recipe(table, path.parent)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from error


def _recipe(table: dict[str, Any], folder: Path) -> Recipe:
    known = ["data", "network", "stage", "precision", "workers"]
    _check_keys(table, known, "the recipe")
    data = build(DataSettings, _table(table, "data"), "[data]")
    places: dict[str, Any] = {
        kind: tuple(str(folder / Path(pack).expanduser()) for pack in getattr(data, kind))
        for kind in PACKS
    }
    rows = table.get("stage", [])
    if not isinstance(rows, list):
        raise UsageError("[stage] has to be a list", "write [[stage]], with two brackets")
    stages = tuple(_stage(row, f"[[stage]] {n}") for n, row in enumerate(rows, 1))
    rest = {key: value for key, value in table.items() if key in ("precision", "workers")}
    plain = build(_Rest, rest, "the recipe")
    return Recipe(
        dataclasses.replace(data, **places),
        _network(_table(table, "network")),
        tuple(_found(stage, folder) for stage in stages),
        plain.precision,
        plain.workers,
    )


@dataclasses.dataclass(frozen=True)
class _Rest:
    precision: str = Recipe.precision
    workers: int = Recipe.workers


def _network(table: dict[str, Any]) -> AVSESpec:
    preset = table.pop("preset", "base")
    if preset not in PRESETS:
        raise UsageError(
            f"there is no network preset {preset!r}", f"choose from: {', '.join(PRESETS)}"
        )
    try:
        return build(AVSESpec, table, "[network]", PRESETS[preset], extra=("preset",))
    except ValueError as error:
        raise UsageError(f"[network]: {error}", "see avse/models/spec.py") from error


def _stage(row: object, where: str) -> StageSettings:
    if not isinstance(row, dict):
        raise UsageError(f"{where} has to be a table", 'such as: [[stage]] kind = "lips"')
    if "kind" not in row:
        raise UsageError(f"{where} has no kind", 'such as: kind = "lips"')
    row = dict(row)
    if row["kind"] == "lips":
        row["lips"] = {**dataclasses.asdict(LIPS_VARIED), **row.get("lips", {})}
    return build(StageSettings, row, where)


def _found(stage: StageSettings, folder: Path) -> StageSettings:
    """A weights file to start from, beside the recipe if it is there."""
    if not stage.start.endswith(".safetensors"):
        return stage
    return dataclasses.replace(stage, start=str(folder / Path(stage.start).expanduser()))


def build(
    kind: type[Settings],
    table: Mapping[str, Any],
    where: str,
    base: Settings | None = None,
    extra: tuple[str, ...] = (),
) -> Settings:
    """A dataclass from a table.

    Args:
        kind: the dataclass.
        table: its fields by name; those left out keep their defaults.
        where: what to call the table in messages.
        base: defaults, instead of the dataclass's own.
        extra: further keys to name among the known ones.

    Raises:
        UsageError: a key that the dataclass has not, or a value of another type.
    """
    hints = get_type_hints(kind)
    fields = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    _check_keys(table, [*fields, *extra], where)
    values = {key: _value(value, hints[key], f"{where} {key}") for key, value in table.items()}
    if base is not None:
        return dataclasses.replace(base, **values)  # type: ignore[type-var]
    return kind(**values)


def _value(value: object, hint: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, dict):
            raise UsageError(f"{where} has to be a table", f"such as: [stage.{where.split()[-1]}]")
        return build(hint, value, where)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        inside, *more = get_args(hint)
        if not isinstance(value, list) or (more != [...] and len(value) != 1 + len(more)):
            count = "values" if more == [...] else f"{1 + len(more)} values"
            raise UsageError(f"{where} has to be a list of {count}", f"not {value!r}")
        return tuple(_value(v, inside, where) for v in value)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
        assert hint is not NoneType
        raise UsageError(f"{where} has to be {names.get(hint, hint)}", f"not {value!r}")
    return value


def _check_keys(table: Mapping[str, Any], known: list[str], where: str) -> None:
    for key in table:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
            raise UsageError(
                f"{where} has a key {key!r}, which there is not",
                f"did you mean {near[0]!r}?" if near else f"choose from: {', '.join(known)}",
            )


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise UsageError(f"{key} has to be a table", f"such as: [{key}]")
    return dict(value)
