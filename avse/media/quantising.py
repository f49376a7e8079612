"""Round samples to the steps of an integer sample depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def top_step(bits: int) -> int:
    """The largest integer of a depth that float32 can hold too."""
    return (1 << (bits - 1)) - (1 if bits <= 24 else 1 << (bits - 24))


def to_integers(samples: NDArray[np.float32], bits: int) -> NDArray[np.int64]:
    """Samples with full scale 1.0 as integers of a depth, rounded, limited to its range."""
    full_scale = float(1 << (bits - 1))
    scaled = np.rint(samples.astype(np.float64) * full_scale)
    return np.asarray(np.clip(scaled, -full_scale, top_step(bits)), dtype=np.int64)


def on_grid(samples: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Samples rounded to the steps of a depth of at most 24 bits, not limited to its range."""
    full_scale = np.float32(1 << (bits - 1))
    return np.asarray(np.rint(samples * full_scale) / full_scale, np.float32)


def quantise(samples: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Round samples to what a file of an integer depth can hold.

    Writing the result at that depth and reading it back gives exactly the same values.

    Args:
        samples: any shape, float32, full scale 1.0.
        bits: 8, 16, 24 or 32.

    Returns:
        float32 of the same shape, limited to [-1, 1 - one step].
    """
    if bits not in (8, 16, 24, 32):
        raise ValueError(f"bits must be 8, 16, 24 or 32, not {bits}")
    return (to_integers(samples, bits) / float(1 << (bits - 1))).astype(np.float32)
