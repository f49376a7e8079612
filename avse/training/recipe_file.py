"""Read recipes in TOML; unknown keys are errors.

precision = "tf32"

[data]
clips = ["packs/grid"]            # beside the recipe

[network]
preset = "base"                   # and any field of `AVSESpec`

[[stage]]
kind = "lips"                     # and any field of `StageSettings`

[stage.mix]                       # ... `MixSettings`; .face, .lips and .query likewise
seconds = 3.0
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from avse.errors import UsageError
from avse.models.spec import PRESETS, AVSESpec
from avse.training.recipe import (
    OLD_KINDS,
    OLD_TABLES,
    PACKS,
    DataSettings,
    LipVariation,
    Recipe,
    StageSettings,
)
from avse.utils.paths import user_path
from avse.utils.schema import RecordError, build, check_keys, load_toml

LIPS_VARIED = LipVariation(noise=0.2, distortion=0.2, drift=0.9, amplitude=0.4)
"""Default settings of a "lips" stage; see docs/training.md."""


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; relative paths of packs and weights start from its folder.

    Raises:
        UsageError: it cannot be read, is not TOML, or has a key or value that makes no sense.
    """
    try:
        table = load_toml(path.read_text(encoding="utf-8-sig"))
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
    except (UsageError, RecordError) as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from error


def _recipe(table: dict[str, Any], folder: Path) -> Recipe:
    known = ["data", "network", "stage", *(field.name for field in dataclasses.fields(_Rest))]
    check_keys(table, known, "the recipe")
    data = build(DataSettings, _table(table, "data"), "[data]")
    places: dict[str, Any] = {
        kind: tuple(str(folder / user_path(pack)) for pack in getattr(data, kind)) for kind in PACKS
    }
    rows = table.get("stage", [])
    if not isinstance(rows, list):
        raise UsageError("[stage] must be a list", "write [[stage]], with two brackets")
    stages = tuple(_stage(row, f"[[stage]] {n}") for n, row in enumerate(rows, 1))
    rest = {key: value for key, value in table.items() if key in known[3:]}
    plain = build(_Rest, rest, "the recipe")
    return Recipe(
        dataclasses.replace(data, **places),
        _network(_table(table, "network")),
        tuple(_found(stage, folder) for stage in stages),
        plain.precision,
        plain.workers,
        plain.mixing,
    )


@dataclasses.dataclass(frozen=True)
class _Rest:
    precision: str = Recipe.precision
    workers: int = Recipe.workers
    mixing: str = Recipe.mixing


def _network(table: dict[str, Any]) -> AVSESpec:
    preset = table.pop("preset", "base")
    if not isinstance(preset, str) or preset not in PRESETS:
        raise UsageError(
            f"there is no network preset {preset!r}", f"choose from: {', '.join(PRESETS)}"
        )
    try:
        return build(AVSESpec, table, "[network]", PRESETS[preset], extra=("preset",))
    except RecordError:
        raise
    except ValueError as error:
        raise UsageError(f"[network]: {error}", "see avse/models/spec.py") from error


def _stage(row: object, where: str) -> StageSettings:
    if not isinstance(row, dict):
        raise UsageError(f"{where} must be a table", 'such as: [[stage]] kind = "lips"')
    if "kind" not in row:
        raise UsageError(f"{where} has no kind", 'such as: kind = "lips"')
    row = dict(row)
    for old in (kind for kind in OLD_KINDS if kind == row["kind"]):
        row = {"name": old, **row, "kind": OLD_KINDS[old]}
    row = {OLD_TABLES.get(key, key): value for key, value in row.items()}
    if row["kind"] == "lips":
        row["lips"] = {**dataclasses.asdict(LIPS_VARIED), **_table(row, "lips")}
    return build(StageSettings, row, where)


def _found(stage: StageSettings, folder: Path) -> StageSettings:
    """A weights file to start from, beside the recipe if it is there."""
    if not stage.start.endswith(".safetensors"):
        return stage
    return dataclasses.replace(stage, start=str(folder / user_path(stage.start)))


def _table(table: dict[str, Any], key: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise UsageError(f"{key} must be a table", f"such as: [{key}]")
    return dict(value)
