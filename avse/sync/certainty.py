"""Estimate the A/V offset and its confidence from the evidence for every offset.

The evidence (see `avse.sync.agreement`) has a peak at the true offset, and side peaks because
syllables are similar. The confidence is a logistic regression on the height of the peak above the
rest and on the total strength of the evidence. It was fitted on clips with a known offset, and on
pairs of a face and another person's voice, for which every offset is wrong.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from avse.sync.result import Offset

FloatArray = npt.NDArray[np.float64]

STEP_MS = 10
"""Milliseconds from one delay to the next."""

REACH = 100
"""The largest offset, late or early, in steps: one second."""

_SAME = 15
"""Delays within this many steps of a peak belong to the peak."""

LEAD_MS = 20
"""Bias of the measured offset: the median over GRID clips of people who were not in training. It is
subtracted from every offset."""

WEIGHTS = (-3.48, 1.11, 0.54)
"""Bias of the logistic regression, and its weights of the two features of `describe`. docs/sync.md
names the clips that they were fitted on; `benchmarks/sync.py --fit` fits them again."""


def judge(curve: FloatArray) -> Offset:
    """Estimate the offset from the evidence.

    Args:
        curve: (2 · REACH + 1,) evidence in nats for delays of -REACH to REACH steps.

    Returns:
        The offset; `offset_ms` is None if the evidence is 0 everywhere.
    """
    if not curve.any():
        return Offset(None, 0.0)
    best = int(np.argmax(curve))
    features = np.array([1.0, *describe(curve)])
    confidence = 1 / (1 + np.exp(-features @ np.array(WEIGHTS)))
    return Offset(float((best - REACH) * STEP_MS + LEAD_MS), round(float(confidence), 3))


def describe(curve: FloatArray) -> tuple[float, float]:
    """Compute the two features of the confidence.

    Args:
        curve: (2 · REACH + 1,) evidence in nats.

    Returns:
        By how much the peak exceeds the best delay outside it, in standard deviations of the
        evidence there; and the logarithm of the sum of this standard deviation and the peak.
    """
    best = int(np.argmax(curve))
    rest = curve[np.abs(np.arange(len(curve)) - best) > _SAME]
    deviation = float(rest.std()) + 1e-6
    lead = float(curve[best] - rest.max()) / deviation
    return lead, float(np.log(deviation + max(0.0, float(curve[best]))))
