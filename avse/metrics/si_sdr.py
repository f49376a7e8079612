"""Scale-invariant signal-to-distortion ratio."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt


def si_sdr(estimate: npt.ArrayLike, reference: npt.ArrayLike) -> float | None:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019, *SDR: half-baked?*).

    Both signals are made zero-mean first. The estimate is split into the part along the reference
    and the rest; the ratio of their energies does not depend on the gain of either signal.

    Args:
        estimate: (samples,).
        reference: (samples,).

    Returns:
        dB, infinite for a perfect estimate; None where it is not defined, because either signal is
        silent or empty.

    Raises:
        ValueError: the lengths differ.
    """
    e = np.asarray(estimate, np.float64)
    r = np.asarray(reference, np.float64)
    if e.shape != r.shape or e.ndim != 1:
        raise ValueError(f"signals of shapes {e.shape} and {r.shape} cannot be compared")
    if e.size == 0:
        return None
    e, r = e - e.mean(), r - r.mean()
    if not (e @ e > 0 and r @ r > 0):
        return None
    along = (e @ r) / (r @ r) * r
    rest = e - along
    energy = float(rest @ rest)
    return 10 * math.log10(float(along @ along) / energy) if energy > 0 else math.inf
