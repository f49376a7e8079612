"""The number of processors, and how the threads of the networks share them with other threads."""

from __future__ import annotations

import os

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables with the number of threads; NumPy and PyTorch read them once, when they
are imported."""


def usable_processors() -> int:
    """The number of processors that this process may use."""
    usable = getattr(os, "sched_getaffinity", None)
    return len(usable(0)) if usable else os.cpu_count() or 1


def share_processors() -> None:
    """Leave a processor to the decoding threads, and make PyTorch's idle threads sleep.

    `network_threads` and PyTorch read the first variable, PyTorch also the second, when it is
    imported; values that the user has set are kept. By default, threads of PyTorch keep all
    processors busy even while they wait for one another: with two threads on two processors,
    separation was slower than with one.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, usable_processors() - 1)))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def network_threads() -> int:
    """The number of threads that compute a network: OMP_NUM_THREADS, at most one a processor."""
    asked, most = os.environ.get("OMP_NUM_THREADS", ""), usable_processors()
    number = int(asked) if asked.isdecimal() and len(asked) < 10 else 0
    return min(number, most) if number else most
