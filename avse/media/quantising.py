"""Round samples to the steps of an integer bit depth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def top_step(bits: int) -> int:
    """The largest integer of a bit depth that float32 can represent, too."""
    return (1 << (bits - 1)) - (1 if bits <= 24 else 1 << (bits - 24))


def to_integers(samples: NDArray[np.float32], bits: int) -> NDArray[np.int64]:
    """Convert samples to integers of a bit depth: rounded, and clipped to its range.

    Args:
        samples: any shape, float32, full scale 1.0.
        bits: the depth.

    Returns:
        int64 of the same shape.
    """
    full_scale = float(1 << (bits - 1))
    scaled = np.rint(samples.astype(np.float64) * full_scale)
    return np.asarray(np.clip(scaled, -full_scale, top_step(bits)), dtype=np.int64)


def on_grid(samples: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Round samples to the steps of a bit depth, without clipping.

    Args:
        samples: any shape, float32, full scale 1.0.
        bits: the depth, at most 24.

    Returns:
        float32 of the same shape.
    """
    full_scale = np.float32(1 << (bits - 1))
    return np.asarray(np.rint(samples * full_scale) / full_scale, np.float32)


def quantise(samples: NDArray[np.float32], bits: int) -> NDArray[np.float32]:
    """Round samples to the steps of an integer bit depth, and clip them to its range.

    Writing the result at that depth and reading it back gives exactly the same values.

    Args:
        samples: any shape, float32, full scale 1.0.
        bits: 8, 16, 24 or 32.

    Returns:
        float32 of the same shape, between -1 and 1 - one step.

    Raises:
        ValueError: another depth.
    """
    if bits not in (8, 16, 24, 32):
        raise ValueError(f"bits must be 8, 16, 24 or 32, not {bits}")
    return (to_integers(samples, bits) / float(1 << (bits - 1))).astype(np.float32)
