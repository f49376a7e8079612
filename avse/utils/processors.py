"""How many processors there are, and how PyTorch's threads share them with others."""

from __future__ import annotations

import os

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables for how many threads to compute with; read once, by NumPy and PyTorch when
they are imported."""


def usable_processors() -> int:
    """How many processors this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def share_processors() -> None:
    """Leave a processor to the threads that decode, and have PyTorch's threads wait without work.

    PyTorch reads both variables when it is imported; a user's own values stay. By default its
    threads keep all processors busy even while they wait for one another, which made separation
    with two of them on two processors slower than with one.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_processors() - 1)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
