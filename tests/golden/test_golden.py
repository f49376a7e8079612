"""What a change of the code's structure must not change, compared with the files in this folder.

A change of behaviour changes them too: `AVSE_GOLDEN=write pytest tests/golden` writes them anew,
and their difference shows in review what users will notice. Sound and losses are compared within
the differences between processors; everything else exactly.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
import typer

import avse
from avse.cli.program import app
from avse.mixtures.plan import plan_set
from avse.mixtures.settings import SetSettings
from avse.training.compute import Compute
from avse.training.recipe import Recipe
from avse.training.recipe_file import read_recipe
from avse.training.recipe_runner import run_recipe
from tests.mixtures.made_clips import grid_folder
from tests.training.conftest import RECIPE, write_pack

HERE = Path(__file__).parent
CPU = Compute(torch.device("cpu"))
LEVEL_DB, RESIDUAL_DB, QUIET_DB = 0.5, 1.5, -60.0
"""Tolerances of levels of voices and of the residual, and the level that counts as silence. The
8-bit face networks round differently on processors with and without VNNI, which moved the residual
(-50 dB) by 0.7 dB, and voices by less than 0.1."""

LOSS_RATIO = 0.02


def compared(name: str, found: Any) -> Any:
    """The content of a golden file, written first if the environment asks for it."""
    path = HERE / f"{name}.json"
    if os.environ.get("AVSE_GOLDEN") == "write":
        text = json.dumps(found, indent=1, ensure_ascii=False, sort_keys=True)
        path.write_text(text + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def option(parameter: click.Parameter) -> dict[str, Any]:
    # As typer and click put it differs from version to version; what it means does not.
    words = getattr(parameter, "help", None)
    return {
        "names": [*parameter.opts, *parameter.secondary_opts],
        "help": words and " ".join(words.split()),
        "required": parameter.required,
        "several": parameter.multiple or parameter.nargs != 1,
        "variable": parameter.envvar,
    }


def commands(command: click.Command, name: str) -> dict[str, Any]:
    found = {
        name: {
            "help": " ".join((command.help or "").split()),
            "options": [option(p) for p in command.params if "--help" not in p.opts],
        }
    }
    for verb, inner in getattr(command, "commands", {}).items():
        found |= commands(inner, f"{name} {verb}")
    return found


def test_the_command_line() -> None:
    found = commands(typer.main.get_command(app), "avse")
    assert found == compared("commands", found)


def shape(value: Any) -> Any:
    """The keys and types of a JSON value; a list is as what its items have in common."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        inside = [shape(item) for item in value]
        return [item for n, item in enumerate(inside) if item not in inside[:n]]
    if isinstance(value, float | int) and not isinstance(value, bool):
        return "number"
    return type(value).__name__


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, in a folder with a cache of its own."""
    path = tmp_path_factory.mktemp("golden") / "talk.mp4"
    shutil.copy(Path(__file__).parents[2] / "examples" / "duet.mp4", path)
    return path


def test_json(talk: Path) -> None:
    verbs = {
        "inspect": ["inspect", "talk.mp4"],
        "separate": ["separate", "talk.mp4", "-o", "voices"],
        "enhance": ["enhance", "talk.mp4", "-o", "clean.mp4"],
        "who": ["who", "talk.mp4"],
        "sync": ["sync", "talk.mp4"],
        "models list": ["models", "list"],
        "doctor": ["doctor"],
    }
    found = {}
    for name, arguments in verbs.items():
        done = subprocess.run(
            [sys.executable, "-m", "avse", *arguments, "--json", "-q"],
            cwd=talk.parent,
            env={**os.environ, "AVSE_CACHE": str(talk.parent / "cache")},
            stdout=subprocess.PIPE,
            check=False,
        )
        found[name] = shape(json.loads(done.stdout))
    found["doctor"] = sorted(found["doctor"]) if isinstance(found["doctor"], dict) else "list"
    assert found == compared("json", found)


def test_voices(talk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The levels of every stem in each second, in dB."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    blocks = list(avse.separate(talk, settings=avse.Settings(cache=False)).blocks())
    stems = np.concatenate([block.stems for block in blocks], axis=-1)
    residual = np.concatenate([block.residual for block in blocks], axis=-1)
    found = [levels(samples) for samples in (*stems, residual)]
    kept = compared("voices", found)
    loud = np.maximum(np.array([found, kept]), QUIET_DB)
    moved = np.abs(loud[0] - loud[1])
    assert moved[:-1].max() < LEVEL_DB
    assert moved[-1].max() < RESIDUAL_DB


def levels(samples: np.ndarray, rate_hz: int = 48_000) -> list[float]:
    seconds = samples.shape[-1] // rate_hz
    power = [
        np.mean(np.square(samples[..., k * rate_hz : (k + 1) * rate_hz])) for k in range(seconds)
    ]
    return [round(float(10 * np.log10(value + 1e-12)), 1) for value in power]


def test_manifest(tmp_path: Path) -> None:
    grid_folder(tmp_path, range(1, 35), ending=".wav")
    settings = SetSettings(video=False, count=4, seed=7)
    plan = plan_set(tmp_path, settings)
    found = [
        json.loads(json.dumps(dataclasses.asdict(item), default=str))
        for item in plan.manifest.items
    ]
    for source in (source for item in found for source in item["sources"]):
        source["sha256"] = len(source["sha256"])  # of made-up clips, which differ
    assert found == compared("manifest", found)


def test_training_log(tmp_path: Path) -> None:
    """The losses of 20 steps on one thread."""
    write_pack(tmp_path / "clips", seed=2)
    write_pack(tmp_path / "speech", pictures=False, seed=3)
    write_pack(tmp_path / "noise", pictures=False, people=1, seed=4)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe: Recipe = read_recipe(tmp_path / "recipe.toml")
    lips, joint = recipe.stages
    recipe = dataclasses.replace(recipe, stages=(lips, dataclasses.replace(joint, steps=17)))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run_recipe(recipe, tmp_path / "run", CPU)
    finally:
        torch.set_num_threads(threads)
    found = [
        round(row["loss"], 5)
        for log in sorted((tmp_path / "run").rglob("log.jsonl"))
        for row in map(json.loads, log.read_text().splitlines())
        if "loss" in row
    ]
    kept = compared("training", found)
    assert found == pytest.approx(kept, rel=LOSS_RATIO)
