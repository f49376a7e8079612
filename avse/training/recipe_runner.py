"""Run the stages of a recipe one after the other, resuming unfinished ones."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from avse.errors import UsageError
from avse.media.atomic_files import appearing, writing
from avse.models.network import AVSENet, extended
from avse.models.weights import load
from avse.training.av_offset import DELAYS, estimate_delays, read_delays, write_delays
from avse.training.compute import Compute
from avse.training.data import Delays, fingerprints, open_corpora
from avse.training.loop import CHECKPOINT, Trainer, never, take_over
from avse.training.recipe import (
    DEVICE,
    NEW,
    OLD_KINDS,
    OLD_TABLES,
    PACKS,
    PREVIOUS,
    Recipe,
    StageSettings,
)
from avse.training.rooms import check_rooms
from avse.training.run_folder import (
    BEGUN_WITH,
    Done,
    NullListener,
    RunListener,
    averaged,
    differences,
    last_figures,
    progress,
)
from avse.training.stages import make_stage
from avse.utils.fingerprint import sha256
from avse.utils.schema import load_json

ON_SIGHT = {"log_every", "validate_every", "save_every", "validate_mixtures"}
"""Settings that may change during a stage because they do not affect the weights."""


def run_recipe(
    recipe: Recipe,
    run: Path,
    compute: Compute,
    *,
    only: str | None = None,
    force: bool = False,
    audience: RunListener | None = None,
    stop: Callable[[], bool] = never,
) -> list[Done]:
    """Run the stages of a recipe that are not finished.

    Args:
        recipe: what to run.
        run: folder of the run; each stage has a folder in it.
        compute: where.
        only: the one stage to run; the stages it starts from must be finished.
        force: continue stages that were begun with other settings.
        audience: callbacks.
        stop: called after every step; True saves and stops.

    Returns:
        The result of each stage; the last one may be unfinished.

    Raises:
        UsageError: a stage was begun with other settings, or data or stages that it needs are
            missing.
        InputError: a pack or a checkpoint is missing or damaged.
        MissingExtraError: a package that a stage needs is not installed.
    """
    if only is not None:
        recipe.stage(only)
    audience = audience or NullListener()
    for stage in recipe.stages:
        check_rooms(stage.mix.rooms if stage.mix.room_probability else "tail")
    packs = fingerprints(recipe.data)
    results = []
    for number, settings in enumerate(recipe.stages):
        if only not in (None, settings.name):
            continue
        before = recipe.stages[number - 1].name if number else None
        done = Attempt(recipe, run, compute, settings, before, packs, audience).go(force, stop)
        results.append(done)
        audience.done(done)
        if not done.finished:
            break
    return results


@dataclass
class Attempt:
    """One stage of a recipe, in one run.

    Attributes:
        recipe, run, compute, settings, audience: see `run_recipe`.
        before: the name of the stage before this one, None for the first.
        packs: SHA-256 of the packs' lists.
    """

    recipe: Recipe
    run: Path
    compute: Compute
    settings: StageSettings
    before: str | None
    packs: dict[str, str]
    audience: RunListener

    @property
    def folder(self) -> Path:
        """Of the stage."""
        return self.run / self.settings.name

    def go(self, force: bool, stop: Callable[[], bool]) -> Done:
        """Train until the stage is finished or `stop` returns True."""
        identity = self.identity()
        self.check(identity, force)
        steps, all_steps = progress(self.folder)
        if steps and steps >= all_steps and steps >= self.settings.steps:
            return Done(
                self.settings.name, self.folder, steps, True, True, last_figures(self.folder)
            )
        network = self.network().to(self.compute.device)
        corpora = open_corpora(
            self.recipe.data,
            delays=self.delays(),
            own_delays=self.settings.delays == "pack",
        )
        if not corpora.held_out:
            self.audience.note(
                f"nobody of the split {self.recipe.data.valid!r} is in the packs: no validation"
            )
        on_device = self.recipe.mixing == DEVICE
        stage = make_stage(
            network, self.settings, corpora, self.folder, self.compute, self.recipe.mixing
        )
        stage.module.to(self.compute.device)
        if self.compute.first:
            self.write(identity)
        loop = Trainer(
            stage,
            self.folder,
            self.settings,
            compute=self.compute,
            workers=0 if on_device else self.recipe.workers,
            stop=stop,
        )
        loop.watch = self.audience.stage(self.settings, self.folder, loop.step)
        finished = loop.run()
        return Done(
            self.settings.name,
            self.folder,
            loop.step,
            finished,
            False,
            last_figures(self.folder) if self.compute.first else {},
        )

    def identity(self) -> dict[str, Any]:
        """All inputs on which the weights of this stage depend, as JSON values."""
        stage = dataclasses.asdict(self.settings)
        data = dataclasses.asdict(self.recipe.data)
        start = self.start()
        found = {
            "stage": {k: v for k, v in stage.items() if k not in ON_SIGHT},
            "network": json.loads(self.recipe.network.to_json()),
            "data": {k: v for k, v in data.items() if k not in PACKS},
            "packs": self.packs,
            "precision": self.recipe.precision,
            "mixing": self.recipe.mixing,
            "processes": self.compute.ranks,
            "start_sha256": None if start is None else sha256(start),
        }
        value: dict[str, Any] = json.loads(json.dumps(found))
        for old, kind in OLD_KINDS.items():  # so that runs of older recipes resume
            if value["stage"]["kind"] == kind:
                value["stage"]["kind"] = old
        for old, table in OLD_TABLES.items():
            value["stage"][old] = value["stage"].pop(table)
        return value

    def check(self, identity: dict[str, Any], force: bool) -> None:
        """Refuse to continue a stage that was begun with other inputs.

        Raises:
            UsageError: it was; the difference is named.
        """
        path = self.folder / BEGUN_WITH
        if not path.exists() or not (self.folder / CHECKPOINT).exists():
            return
        try:
            before = load_json(path.read_text())
        except (OSError, ValueError):
            before = {}
        changes = differences(before, identity)
        if not changes:
            return
        rebuilt = [change for change in changes if change.startswith("network.")]
        if force and not rebuilt:
            return
        told = "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if changes[3:] else "")
        raise UsageError(
            f"stage {self.settings.name!r} in {self.run} was begun otherwise: {told}",
            "choose another folder"
            + ("" if rebuilt else ", or go on with the new recipe: --force"),
        )

    def write(self, identity: dict[str, Any]) -> None:
        """Write the inputs with which the stage begins."""
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with appearing(self.folder / BEGUN_WITH) as temporary:
            temporary.write_text(json.dumps(identity, indent=1) + "\n")

    def start(self) -> Path | None:
        """The checkpoint of this run that the stage starts from; None if it is another's, or new.

        Raises:
            UsageError: that stage is not finished.
        """
        name = self.settings.start
        if name == PREVIOUS:
            name = self.before or NEW
        if name not in [stage.name for stage in self.recipe.stages]:
            return None
        return self.finished(name)

    def finished(self, name: str) -> Path:
        """The checkpoint of another stage.

        Raises:
            UsageError: that stage is not finished.
        """
        path = self.run / name / CHECKPOINT
        steps, all_steps = progress(path.parent)
        if not steps or steps < all_steps:
            raise UsageError(
                f"stage {self.settings.name!r} needs stage {name!r}, which is not finished",
                f"run it first: --stage {name}",
            )
        return path

    def network(self) -> AVSENet:
        """A network with the weights that the stage starts from.

        Raises:
            UsageError: the weights are those of another network.
        """
        path, name = self.start(), self.settings.start
        torch.manual_seed(self.settings.seed)
        if path is None and name not in (NEW, PREVIOUS):
            network = load(name)
            if network.spec != self.recipe.network:
                wider = extended(network, self.recipe.network)
                if wider is not None:
                    return wider
                raise UsageError(
                    f"{name} holds another network than [network] describes",
                    "give [network] the fields of those weights: "
                    + ", ".join(differences(
                        json.loads(self.recipe.network.to_json()),
                        json.loads(network.spec.to_json()),
                    )[:3]),
                )  # fmt: skip
            return network
        network = AVSENet(self.recipe.network)
        if path is not None:
            take_over(network, averaged(path), path)
        return network

    def delays(self) -> Delays | None:
        """The delays that an earlier stage of lips estimates, if the stage wants those."""
        name = self.settings.delays
        if name in ("pack", "none"):
            return None
        folder = self.finished(name).parent
        if self.compute.first and not (folder / DELAYS).exists():
            self.audience.note(f"estimating delays with stage {name!r}")
            network = AVSENet(self.recipe.network)
            take_over(network, averaged(folder / CHECKPOINT), folder / CHECKPOINT)
            write_delays(estimate_delays(network.eval(), self.recipe.data), folder)
        self.compute.wait()
        return read_delays(folder)
