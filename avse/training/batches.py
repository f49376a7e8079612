"""Batches drawn ahead of the steps, in processes of their own.

What a step learns from follows from (seed, rank, step) alone. So the same batches come whatever the
number of workers, and a run that is resumed draws on where it stopped.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from torch.utils.data import DataLoader, Dataset

from avse.training.compute import Compute


class BatchSource(Protocol):
    """Draws what a step learns from: tensors on the CPU. Goes to other processes."""

    def draw(self, rng: np.random.Generator) -> Any:
        """Draw a batch."""


class Draws(Dataset[Any]):
    """A source as a dataset: item n is the batch of step n."""

    def __init__(self, source: BatchSource, seed: int, rank: int) -> None:
        self.source, self.seed, self.rank = source, seed, rank

    def __getitem__(self, step: int) -> Any:
        return self.source.draw(generator(self.seed, self.rank, step))


def generator(seed: int, rank: int, step: int, use: int = 0) -> np.random.Generator:
    """The random numbers of a step; `use` 0 draws batches, 1 is for what is done with them."""
    return np.random.default_rng([seed, rank, step, use])


@contextmanager
def batches(
    source: BatchSource, steps: range, seed: int, compute: Compute, workers: int
) -> Iterator[Iterator[Any]]:
    """The batches of these steps, in order.

    Args:
        source: draws them.
        steps: which.
        seed: of the stage.
        compute: whose rank draws.
        workers: processes that draw; 0: drawn when asked for.
    """
    loader = DataLoader(
        Draws(source, seed, compute.rank),
        batch_size=None,
        sampler=steps,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_leave_interrupts if workers else None,
    )
    drawn = iter(loader)
    try:
        yield drawn
    finally:
        stop = getattr(drawn, "_shutdown_workers", None)
        if stop is not None:
            stop()


def _leave_interrupts(worker: int) -> None:
    """Ctrl-C reaches every process; the one that trains decides what it means, and ends these."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
