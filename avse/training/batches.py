"""Draw batches ahead of the steps, in separate processes.

The batch of a step depends on (seed, rank, step) alone. So any number of workers draws the same
batches, and a resumed run draws the same ones as an uninterrupted run.
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
    """Draws the batch of a step as tensors on the CPU; picklable, since workers are processes."""

    def draw(self, rng: np.random.Generator) -> Any:
        """Draw a batch."""


class Draws(Dataset[Any]):
    """A source as a dataset: item n is the batch of step n."""

    def __init__(self, source: BatchSource, seed: int, rank: int) -> None:
        self.source, self.seed, self.rank = source, seed, rank

    def __getitem__(self, step: int) -> Any:
        return self.source.draw(generator(self.seed, self.rank, step))


def generator(seed: int, rank: int, step: int, use: int = 0) -> np.random.Generator:
    """The random generator of a step; `use` is 0 for drawing batches and 1 for processing them."""
    return np.random.default_rng([seed, rank, step, use])


@contextmanager
def batches(
    source: BatchSource, steps: range, seed: int, compute: Compute, workers: int
) -> Iterator[Iterator[Any]]:
    """Yield the batches of these steps, in order.

    Args:
        source: draws them.
        steps: numbers of the steps.
        seed: of the stage.
        compute: gives the rank of this process.
        workers: number of processes that draw; 0: this process draws each batch when it is needed.
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
    """Ignore Ctrl-C, which reaches every process; the training process handles it and ends the
    workers."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
