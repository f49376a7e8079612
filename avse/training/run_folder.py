"""The folder of a run, and callbacks of a run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from avse.training.loop import CHECKPOINT, Callback, NullCallback, read_checkpoint
from avse.training.plots import read_log
from avse.training.recipe import StageSettings

BEGUN_WITH = "recipe.json"


@dataclass(frozen=True)
class Done:
    """Result of a stage.

    Attributes:
        name: of the stage.
        folder: of the stage.
        steps: number of steps done.
        finished: whether these are all steps.
        skipped: whether it was finished before.
        figures: metrics of the last validation, by name.
    """

    name: str
    folder: Path
    steps: int
    finished: bool
    skipped: bool
    figures: dict[str, float]


class RunListener(Protocol):
    """Callbacks of a recipe."""

    def stage(self, settings: StageSettings, folder: Path, step: int) -> Callback:
        """A stage begins or resumes at a step."""

    def note(self, text: str) -> None:
        """A note for the user."""

    def done(self, done: Done) -> None:
        """A stage is finished or was stopped."""


class NullListener:
    """An `Audience` whose methods do nothing."""

    def stage(self, settings: StageSettings, folder: Path, step: int) -> Callback:
        """A callback that does nothing."""
        return NullCallback()

    def note(self, text: str) -> None:
        """Nothing."""

    def done(self, done: Done) -> None:
        """Nothing."""


def averaged(path: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of an `AVSENet` in a checkpoint, those of stage "audio-only" too.

    Raises:
        InputError: the checkpoint is damaged.
    """
    state: dict[str, torch.Tensor] = read_checkpoint(path)["average"]
    inside = "network."
    if any(name.startswith(inside) for name in state):
        return {k.removeprefix(inside): v for k, v in state.items() if k.startswith(inside)}
    return state


def progress(folder: Path) -> tuple[int, int]:
    """Steps done and to do of a stage; (0, 0) if it was not begun.

    Raises:
        InputError: its checkpoint is damaged.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return 0, 0
    state = read_checkpoint(path)
    return int(state["step"]), int(state["steps"])


def last_figures(folder: Path) -> dict[str, float]:
    """Metrics of the last validation in a stage's log, named without "valid_"."""
    for row in reversed(read_log(folder)):
        found = {k.removeprefix("valid_"): v for k, v in row.items() if k.startswith("valid_")}
        if found:
            return found
    return {}


def differences(before: Any, now: Any, where: str = "") -> list[str]:
    """Differences between two JSON values, as text: "stage.steps was 20 and is 500"."""
    if isinstance(before, dict) and isinstance(now, dict):
        found = []
        for name in sorted({*before, *now}):
            inside = f"{where}.{name}" if where else str(name)
            found += differences(before.get(name), now.get(name), inside)
        return found
    if before == now:
        return []
    if where.startswith("packs."):
        folder = where.removeprefix("packs.")
        word = "is new" if before is None else "is gone" if now is None else "has changed"
        return [f"the pack {folder} {word}"]
    if where == "start_sha256":
        return ["the weights that it started from have changed"]
    return [f"{where} was {json.dumps(before)} and is {json.dumps(now)}"]
