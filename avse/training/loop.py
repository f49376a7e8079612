"""One plain loop for every stage: seeded, resumable to the bit, logged to a file.

The random numbers of each step depend on (seed, rank, step) alone. So a resumed run draws the same
mixtures and the same dropout as an uninterrupted one, without saving generator states.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from avse.errors import InputError
from avse.media.atomic_files import appearing, writing
from avse.training.batches import BatchSource, batches, generator
from avse.training.compute import Compute, moved
from avse.training.optimisers import make_optimiser
from avse.training.recipe import LoopSettings
from avse.utils.schema import fit, load_json

Losses = dict[str, Tensor]

CHECKPOINT, LOG = "last.pt", "log.jsonl"


class Stage(Protocol):
    """The parts that each kind of training provides to the loop."""

    @property
    def module(self) -> nn.Module:
        """The module that is trained and saved; parameters without gradients stay unchanged."""

    @property
    def source(self) -> BatchSource:
        """Draws batches, possibly in other processes."""

    def losses(self, drawn: Any, rng: np.random.Generator) -> Losses:
        """Metrics of a batch; the loop minimises "loss"."""

    def validate(self) -> dict[str, float]:
        """Validation metrics for the log; called with the averaged weights in place."""


class Callback(Protocol):
    """Callbacks of a training loop."""

    def figures(self, step: int, figures: dict[str, float]) -> None:
        """A line was written to the log."""

    def step(self, step: int, loss: float | None) -> None:
        """A step is done; the loss is None where it was not read."""


class NullCallback:
    """A `Callback` whose methods do nothing."""

    def figures(self, step: int, figures: dict[str, float]) -> None:
        """Nothing."""

    def step(self, step: int, loss: float | None) -> None:
        """Nothing."""


def never() -> bool:
    """Do not stop."""
    return False


def learning_rate(step: int, settings: LoopSettings, minutes: float = 0.0) -> float:
    """Learning rate of a step: warm-up, constant, decay.

    Args:
        step: number of the step.
        settings: the schedule.
        minutes: training time of the stage so far.
    """
    rise = min(1.0, (step + 1) / max(1, settings.warmup))
    done = step / max(1, settings.steps)
    if settings.minutes:
        done = max(done, minutes / settings.minutes)
    left = (1 - done) / max(1e-6, settings.decay_share)
    return settings.learning_rate * rise * float(np.clip(left, 0.01, 1.0))


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint that `Trainer.save` wrote.

    Raises:
        InputError: it is damaged or missing.
    """
    state = read_tensors(path, device)
    try:
        for name in ("step", "steps"):
            fit(state[name], int, name)
        for name in ("network", "average"):
            if not all(
                isinstance(k, str) and isinstance(v, Tensor) for k, v in state[name].items()
            ):
                raise ValueError(f"{name} holds no tensors")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
    return state


def read_tensors(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a file of `torch.save` with tensors and plain values only; the caller validates them.

    Raises:
        InputError: it is damaged or missing.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        return state
    except Exception as error:  # unpickling fails in many ways
        raise damaged(path, error) from error


def take_over(module: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """Put the weights of a checkpoint into a network.

    Raises:
        InputError: they are those of another network.
    """
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise damaged(path, str(error).splitlines()[-1].strip()) from error


def damaged(path: Path, why: object) -> InputError:
    """The error for an invalid checkpoint."""
    return InputError(
        f"the checkpoint {path} cannot be read: {why}", "remove its folder to begin anew"
    )


class Trainer:
    """Trains a stage until done, keeping `folder/last.pt` and `folder/log.jsonl`.

    Args:
        stage: what to train; on its device already.
        folder: folder of the stage; a checkpoint in it is resumed.
        settings: how long and how fast.
        compute: where; by default this process on the CPU.
        workers: processes that draw batches.
        watch: callbacks.
        stop: called after every step; True stops the training.

    Attributes:
        step: how many steps are done.
        seconds: how long they took, validation not counted.
        average: running average of the weights.
    """

    def __init__(
        self,
        stage: Stage,
        folder: Path,
        settings: LoopSettings,
        *,
        compute: Compute | None = None,
        workers: int = 0,
        watch: Callback | None = None,
        stop: Callable[[], bool] = never,
    ) -> None:
        self.stage, self.folder, self.settings = stage, folder, settings
        self.compute = compute or Compute(torch.device("cpu"))
        self.workers, self.watch, self.stop = workers, watch or NullCallback(), stop
        self.module = stage.module
        self.parameters = [p for p in self.module.parameters() if p.requires_grad]
        self.optimiser = make_optimiser(
            settings.optimiser, self.parameters, settings.learning_rate, settings.weight_decay
        )
        self.compute.same_start(self.module)
        self.live = self.module.state_dict()  # the weights themselves, not copies
        self.average = {k: v.detach().clone() for k, v in self.live.items()}
        self.step, self.seconds = 0, 0.0
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
        self._clear()
        if (folder / CHECKPOINT).exists():
            self.resume()

    def resume(self) -> None:
        """Resume from the checkpoint in the folder.

        Raises:
            InputError: the checkpoint is damaged.
        """
        state = read_checkpoint(self.folder / CHECKPOINT, self.compute.device)
        path = self.folder / CHECKPOINT
        take_over(self.module, state["average"], path)
        take_over(self.module, state["network"], path)
        self.average = state["average"]
        try:
            self.optimiser.load_state_dict(state["optimiser"])
            self.step, self.seconds = state["step"], float(state.get("seconds", 0.0))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(path, error) from error
        log = self.folder / LOG
        if self.compute.first and log.exists():
            # Steps after the last checkpoint are repeated and logged again.
            lines = log.read_text().splitlines(keepends=True)
            log.write_text("".join(line for line in lines if _step_of(line) <= self.step))

    def save(self) -> None:
        """Write the checkpoint."""
        if self.compute.first:
            state = {
                "network": self.module.state_dict(),
                "average": self.average,
                "optimiser": self.optimiser.state_dict(),
                "step": self.step,
                "steps": self.step if self.over() else self.settings.steps,
                "seconds": self.seconds,
            }
            with appearing(self.folder / CHECKPOINT) as temporary:  # a crash leaves the old one
                torch.save(state, temporary)

    def run(self) -> bool:
        """Train until `settings.steps`, or until `stop` returns True.

        Returns:
            Whether all steps are done. Either way the checkpoint is written.
        """
        cfg = self.settings
        self.module.train()
        began = time.monotonic()
        stopped = False
        todo = range(self.step, cfg.steps)
        with batches(self.stage.source, todo, cfg.seed, self.compute, self.workers) as drawn:
            while not self.over() and not stopped:
                started = time.monotonic()
                stopped = self.advance(next(drawn))
                self.seconds += time.monotonic() - started
                if self.step % cfg.log_every == 0:
                    self.write_figures(time.monotonic() - began)
                    began = time.monotonic()
                if self.step % cfg.validate_every == 0 or self.over():
                    self.check()
                    began = time.monotonic()
                if self.step % cfg.save_every == 0 or self.over() or stopped:
                    self.save()
        self.compute.wait()
        return self.over()

    def over(self) -> bool:
        """Whether all steps are done or the time limit is reached."""
        limit = self.settings.minutes
        return self.step >= self.settings.steps or bool(limit and self.seconds >= 60 * limit)

    def advance(self, drawn: Any) -> bool:
        """Take one step and return whether to stop after it."""
        cfg, rank = self.settings, self.compute.rank
        torch.manual_seed((cfg.seed * 1_000_003 + self.step) * 1_009 + rank)
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.step, cfg, self.seconds / 60)
        losses = self.stage.losses(
            moved(drawn, self.compute.device), generator(cfg.seed, rank, self.step, 1)
        )
        self.optimiser.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        stopped = self.compute.share_gradients(self.parameters, self.stop())
        norm = nn.utils.clip_grad_norm_(self.parameters, cfg.clip)
        if torch.isfinite(norm):
            self.optimiser.step()
        self.compute.share_statistics(self.module)
        self.step += 1
        self.update_average()
        for name, value in losses.items():
            total, count = self.totals.get(name, (torch.zeros((), device=value.device), 0))
            self.totals[name] = (total + value.detach(), count + 1)
        self.counted += 1
        self.watch.step(self.step, None)
        return stopped

    def update_average(self) -> None:
        """Move the averaged weights towards the present ones (faster at the beginning)."""
        keep = min(self.settings.average, (1 + self.step) / (10 + self.step))
        pairs = [(self.average[name], value) for name, value in self.live.items()]
        real = [(mean, value) for mean, value in pairs if value.is_floating_point()]
        torch._foreach_lerp_([mean for mean, _ in real], [value for _, value in real], 1 - keep)
        for mean, value in pairs:
            if not value.is_floating_point():
                mean.copy_(value)

    def check(self) -> None:
        """Validate with the averaged weights."""
        if self.compute.first:
            present = {k: v.clone() for k, v in self.module.state_dict().items()}
            self.module.load_state_dict(self.average)
            self.module.eval()
            with torch.no_grad():
                figures = self.stage.validate()
            self.module.load_state_dict(present)
            self.module.train()
            if figures:
                self.log({f"valid_{k}": v for k, v in figures.items()})
        self.compute.wait()

    def write_figures(self, seconds: float) -> None:
        """Log the mean metrics since the last line."""
        mean = {k: round(float(total) / n, 4) for k, (total, n) in self.totals.items()}
        mean["seconds_per_step"] = round(seconds / max(1, self.counted), 4)
        mean["rate"] = self.optimiser.param_groups[0]["lr"]
        self._clear()
        if self.compute.first:
            self.log(mean)
            self.watch.step(self.step, mean.get("loss"))

    def log(self, figures: dict[str, float]) -> None:
        """Append a line to the log."""
        with writing(self.folder), (self.folder / LOG).open("a") as file:
            file.write(json.dumps({"step": self.step, **figures}) + "\n")
        self.watch.figures(self.step, figures)

    def _clear(self) -> None:
        self.totals: dict[str, tuple[Tensor, int]] = {}
        self.counted = 0


def _step_of(line: str) -> float:
    try:
        return float(load_json(line, finite=False)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
