"""One plain loop for every stage: seeded, resumable to the bit, logged to a file.

Every step's randomness comes from (seed, step), so a run that is stopped and resumed draws the same
mixtures and the same dropout as one that is not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

Losses = dict[str, Tensor]
Step = Callable[[np.random.Generator], Losses]


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast."""

    steps: int
    learning_rate: float = 1e-3
    warmup: int = 300
    decay_share: float = 0.25
    """The last share of the steps, over which the learning rate falls to a hundredth."""
    weight_decay: float = 1e-2
    clip: float = 5.0
    average: float = 0.998
    """Decay of the running average of the weights, which is what is validated and shipped."""
    seed: int = 0
    log_every: int = 20
    validate_every: int = 400
    save_every: int = 100


def learning_rate(step: int, settings: LoopSettings) -> float:
    """Warm up, hold, fall."""
    rise = min(1.0, (step + 1) / max(1, settings.warmup))
    left = (settings.steps - step) / max(1.0, settings.decay_share * settings.steps)
    return settings.learning_rate * rise * float(np.clip(left, 0.01, 1.0))


def save_atomically(state: object, path: Path) -> None:
    """Write under another name, then rename: a crash leaves the old checkpoint."""
    temporary = path.with_name(path.name + ".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


class Loop:
    """Runs `step` until done, keeping `folder/last.pt`, `folder/log.jsonl`.

    Args:
        network: the module to train; only parameters that require gradients are touched.
        folder: where the run lives; a run found there is resumed.
        settings: see `LoopSettings`.
        step: given a generator, draws a batch and returns losses; "loss" is minimised.
        validate: returns figures for the log; called with the averaged weights in place.
    """

    def __init__(
        self,
        network: nn.Module,
        folder: Path,
        settings: LoopSettings,
        step: Step,
        validate: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        self.network, self.folder, self.settings = network, folder, settings
        self.step_fn, self.validate = step, validate
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self.step = 0
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "last.pt").exists():
            self.resume()

    def resume(self) -> None:
        """Take up the run found in the folder."""
        state = torch.load(self.folder / "last.pt", weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def save(self) -> None:
        """Write the checkpoint."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
        }
        save_atomically(state, self.folder / "last.pt")

    def log(self, **figures: float) -> None:
        """Append a line to the log."""
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps({"step": self.step, **figures}) + "\n")

    def update_average(self) -> None:
        """Move the averaged weights towards the present ones (faster at the beginning)."""
        keep = min(self.settings.average, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - keep)
            else:
                self.average[name].copy_(value)

    def check(self) -> None:
        """Validate with the averaged weights."""
        if self.validate is None:
            return
        present = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.network.load_state_dict(self.average)
        self.network.eval()
        with torch.no_grad():
            figures = self.validate()
        self.network.load_state_dict(present)
        self.network.train()
        self.log(**{f"valid_{k}": v for k, v in figures.items()})

    def run(self) -> None:
        """Train until `settings.steps`."""
        cfg = self.settings
        self.network.train()
        totals: dict[str, float] = {}
        counted = 0
        began = time.monotonic()
        while self.step < cfg.steps:
            torch.manual_seed(cfg.seed * 1_000_003 + self.step)
            rng = np.random.default_rng([cfg.seed, self.step])
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(self.step, cfg)
            losses = self.step_fn(rng)
            loss = losses["loss"]
            if torch.isfinite(loss):
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                norm = nn.utils.clip_grad_norm_(self.parameters, cfg.clip)
                if torch.isfinite(norm):
                    self.optimiser.step()
            self.step += 1
            self.update_average()
            for name, value in losses.items():
                totals[name] = totals.get(name, 0.0) + float(value.detach())
            counted += 1
            if self.step % cfg.log_every == 0:
                seconds = (time.monotonic() - began) / counted
                mean = {k: round(v / counted, 4) for k, v in totals.items()}
                self.log(**mean, seconds_per_step=round(seconds, 3))
                totals, counted, began = {}, 0, time.monotonic()
            if self.step % cfg.validate_every == 0:
                self.check()
                began = time.monotonic()
            if self.step % cfg.save_every == 0 or self.step == cfg.steps:
                self.save()
