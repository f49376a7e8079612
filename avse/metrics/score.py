"""A score, or the reason why there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SILENCE_DBFS = -120.0
"""A signal whose RMS, its mean taken off, lies below this counts as silent: 30 dB under the last
bit of 16."""

Signal = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Score:
    """Result of a metric for one item.

    Attributes:
        value: a finite number; None where the metric is not defined.
        reason: "not defined, because ..."; None where there is a value.
    """

    value: float | None
    reason: str | None = None

    def __post_init__(self) -> None:
        if (self.value is None) == (self.reason is None):
            raise ValueError("a score has either a value or a reason")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError("a score is a finite number")


def not_defined(why: str) -> Score:
    """An undefined score."""
    return Score(None, f"not defined, because {why}")


def as_signals(
    estimate: npt.ArrayLike, reference: npt.ArrayLike
) -> tuple[Signal, Signal, Score | None]:
    """Check a pair of signals, once, for all metrics.

    Args:
        estimate: (samples,).
        reference: (samples,).

    Returns:
        Both as float64, and the undefined score of all metrics for an invalid pair (different
        lengths, empty signals, values that are not finite, silence), else None.

    Raises:
        ValueError: a signal has more than one channel.
    """
    e, r = np.asarray(estimate, np.float64), np.asarray(reference, np.float64)
    if e.ndim != 1 or r.ndim != 1:
        raise ValueError(f"signals of shapes {e.shape} and {r.shape} are not one channel each")
    return e, r, _refusal(e, r)


def _refusal(e: Signal, r: Signal) -> Score | None:
    if e.size != r.size:
        return not_defined(
            f"the lengths differ: {e.size} samples of the estimate, {r.size} of the reference"
        )
    if e.size == 0:
        return not_defined("the signals are empty")
    for name, signal in (("estimate", e), ("reference", r)):
        if not np.isfinite(signal).all():
            return not_defined(f"the {name} holds values that are not finite")
    for name, signal in (("reference", r), ("estimate", e)):
        if is_silent(signal):
            return not_defined(f"the {name} is silent")
    return None


def is_silent(signal: Signal) -> bool:
    """Whether the RMS, the mean taken off, is below `SILENCE_DBFS`."""
    if signal.size == 0:
        return True
    return bool(signal.std() < 10 ** (SILENCE_DBFS / 20))
