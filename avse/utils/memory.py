"""Have the C library give memory back. Other C libraries than glibc are left as they are."""

from __future__ import annotations

import contextlib
import ctypes
import gc

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of glibc's mallopt."""


def share_arenas() -> None:
    """Limit the number of heaps.

    Several threads allocate and free megabytes for each picture and window; glibc would keep them
    in a heap for each thread.
    """
    _set(_ARENA_MAX, 2)


def give_back_at_once() -> None:
    """Return freed memory to the system at once, which takes 200 MB from a long-lived process."""
    share_arenas()
    _set(_TRIM_THRESHOLD, 1 << 17)
    _set(_MMAP_THRESHOLD, 1 << 18)


def give_back_now() -> None:
    """Return what is free now: some 200 MB after faces were detected in a recording."""
    gc.collect()  # PyAV's frames refer to each other
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _set(parameter: int, value: int) -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(parameter, value)
