"""Decide between a constant offset and a drift by a Hough transform.

The offset of a single window of a few seconds is often wrong. So no line is fitted to offsets of
windows; instead, for every line of offset over time, the evidence of all windows along the line is
added up, and the best line wins. Windows with wrong peaks do not bend it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from avse.sync.certainty import REACH, STEP_MS

FloatArray = npt.NDArray[np.float64]

FEWEST_WINDOWS = 4
"""With fewer windows, the offset is taken to be constant."""

LEAST_MS = 60.0
"""A smaller change of the offset over the recording is taken to be none."""

LEAD = 1.5
"""By how much the evidence of the best line has to exceed that of the best constant offset, in
standard deviations of the evidence along lines."""

_CHANGES = range(-2 * REACH, 2 * REACH + 1, 2)
"""The changes of the offset from the first window to the last that are tried, in steps."""


def find_slope(windows: FloatArray, middles: FloatArray) -> float:
    """Estimate the drift of the offset.

    Args:
        windows: (windows, 2 · REACH + 1) evidence of each window, in nats.
        middles: (windows,) middles of the windows in seconds, increasing.

    Returns:
        Milliseconds per second by which the sound gets later; 0 if a constant offset explains the
        evidence about as well.
    """
    span = float(middles[-1] - middles[0]) if len(middles) else 0.0
    if len(middles) < FEWEST_WINDOWS or span <= 0:
        return 0.0
    place = (middles - (middles[0] + middles[-1]) / 2) / span
    scores = [float(along(windows, place * change).max()) for change in _CHANGES]
    best = int(np.argmax(scores))
    change = _CHANGES[best] * STEP_MS
    lead = scores[best] - scores[_CHANGES.index(0)]
    if abs(change) < LEAST_MS or lead < LEAD * float(along(windows, place * _CHANGES[best]).std()):
        return 0.0
    return change / span


def along(windows: FloatArray, shifts: FloatArray) -> FloatArray:
    """Add up the evidence of all windows, each shifted by a number of steps.

    Args:
        windows: (windows, delays) evidence.
        shifts: (windows,) steps by which the delay in each window exceeds the delay of the result.

    Returns:
        (delays,) sums; delays outside a window's range add 0.
    """
    delays = windows.shape[1]
    at = np.arange(delays) + np.rint(shifts).astype(int)[:, None]
    there = (at >= 0) & (at < delays)
    found = np.take_along_axis(windows, np.clip(at, 0, delays - 1), axis=1)
    return np.asarray((found * there).sum(axis=0))
