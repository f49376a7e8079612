"""The A/V offset and its confidence, from the evidence for every offset.

The evidence (see `avse.sync.agreement`) has a peak at the true offset, and side peaks because
syllables are similar. The confidence is a logistic regression on the height of the peak above the
rest and on the total strength of the evidence. It was fitted on clips with a known offset, and on
faces and sounds that do not belong together, for which every answer is wrong.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from avse.sync.result import Offset

FloatArray = npt.NDArray[np.float64]

STEP_MS = 10
"""From one delay to the next."""

REACH = 100
"""Largest offset either way, in steps: one second."""

_SAME = 15
"""Offsets within this many steps of a peak belong to it."""

LEAD_MS = 20
"""Bias of the measured offset: the median over GRID clips of people who were not in training. It is
subtracted from every offset."""

WEIGHTS = (-3.48, 1.11, 0.54)
"""Of 1, the peak's lead over the best other delay in standard deviations of the evidence, and the
logarithm of peak and deviation. docs/sync.md says on what they were fitted; `benchmarks/sync.py
--fit` fits them again."""


def judge(curve: FloatArray) -> Offset:
    """Estimate the offset from the evidence.

    Args:
        curve: (2 · REACH + 1,) evidence in nats for delays of -REACH to REACH steps; 0 is none.
    """
    if not curve.any():
        return Offset(None, 0.0)
    best = int(np.argmax(curve))
    features = np.array([1.0, *describe(curve)])
    confidence = 1 / (1 + np.exp(-features @ np.array(WEIGHTS)))
    return Offset(float((best - REACH) * STEP_MS + LEAD_MS), round(float(confidence), 3))


def describe(curve: FloatArray) -> tuple[float, float]:
    """Height of the peak in standard deviations of the rest, and the logarithm of both."""
    best = int(np.argmax(curve))
    rest = curve[np.abs(np.arange(len(curve)) - best) > _SAME]
    deviation = float(rest.std()) + 1e-6
    lead = float(curve[best] - rest.max()) / deviation
    return lead, float(np.log(deviation + max(0.0, float(curve[best]))))
