"""Constant offset or drift: the line through windows on which they agree best.

Windows are not asked for their delays first, as a window of a few seconds is often wrong: for every
line, the evidence of all windows along it is added up (a Hough transform), which no number of
windows in disagreement can pull away from the line of the others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from avse.sync.certainty import REACH, STEP_MS

FloatArray = npt.NDArray[np.float64]

FEWEST_WINDOWS = 4
"""Windows below which no drift is looked for."""

LEAST_MS = 60.0
"""Change of the offset over the recording below which a drift is not told from none."""

LEAD = 1.5
"""How far the best line has to beat the best constant offset, in standard deviations of the
evidence along lines."""

_CHANGES = range(-2 * REACH, 2 * REACH + 1, 2)
"""Changes of the offset from the first window to the last that are tried, in steps."""


def find_slope(windows: FloatArray, middles: FloatArray) -> float:
    """By how much the offset changes.

    Args:
        windows: (windows, 2 · REACH + 1) evidence of each.
        middles: (windows,) their middles in seconds, increasing.

    Returns:
        Milliseconds a second by which the sound gets later; 0 if a constant offset explains the
        windows about as well.
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
    """Evidence of all windows, each moved.

    Args:
        windows: (windows, delays).
        shifts: (windows,) by how many steps each window's delay exceeds the one asked about.

    Returns:
        (delays,); what lies beyond a window's last delay says nothing.
    """
    delays = windows.shape[1]
    at = np.arange(delays) + np.rint(shifts).astype(int)[:, None]
    there = (at >= 0) & (at < delays)
    found = np.take_along_axis(windows, np.clip(at, 0, delays - 1), axis=1)
    return np.asarray((found * there).sum(axis=0))
