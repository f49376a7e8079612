"""Make glibc return freed memory to the system. With other C libraries nothing happens."""

from __future__ import annotations

import contextlib
import ctypes
import gc

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
"""Parameters of glibc's mallopt."""


def share_arenas() -> None:
    """Limit the number of glibc's heaps (arenas).

    Several threads allocate and free megabytes for each picture and window. By default, glibc
    keeps a heap for each thread, which holds on to this memory.
    """
    _set(_ARENA_MAX, 2)


def give_back_at_once() -> None:
    """Return freed memory to the system at once; this saves 200 MB in a long-lived process."""
    share_arenas()
    _set(_TRIM_THRESHOLD, 1 << 17)
    _set(_MMAP_THRESHOLD, 1 << 18)


def give_back_now() -> None:
    """Return the memory that is free now: about 200 MB after face detection in a recording."""
    gc.collect()  # objects that refer to each other may hold arrays
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _set(parameter: int, value: int) -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(parameter, value)
