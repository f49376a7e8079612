"""Measure the lag between an estimate and its reference; it is reported, never corrected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avse.metrics.score import as_signals

LONGEST_S = 0.5
"""Largest lag that is searched, in either direction."""

CLEAR = 0.3
"""Correlation from which a lag is reported."""


@dataclass(frozen=True)
class Lag:
    """Delay of an estimate.

    Attributes:
        samples: lag in samples, positive if the estimate is late.
        seconds: lag in seconds.
        correlation: correlation 0..1 of the two after correction of the lag.
    """

    samples: int
    seconds: float
    correlation: float


def find_lag(estimate: npt.ArrayLike, reference: npt.ArrayLike, rate_hz: int) -> Lag | None:
    """The lag at which estimate and reference correlate most, in absolute value.

    Args:
        estimate: (samples,).
        reference: (samples,), of any length.
        rate_hz: of both.

    Returns:
        None without a clear lag: silence, or almost no correlation.
    """
    from scipy.signal import correlate

    shorter = min(np.size(estimate), np.size(reference))
    e, r, refusal = as_signals(np.asarray(estimate)[:shorter], np.asarray(reference)[:shorter])
    if refusal is not None:
        return None
    e, r = e - e.mean(), r - r.mean()
    energy = float(np.sqrt((e @ e) * (r @ r)))
    if energy == 0:
        return None
    reach = min(round(LONGEST_S * rate_hz), shorter - 1)
    middle = shorter - 1
    around = np.abs(correlate(e, r, method="fft")[middle - reach : middle + reach + 1]) / energy
    best = int(around.argmax())
    if around[best] < CLEAR:
        return None
    lag = best - reach
    return Lag(lag, lag / rate_hz, float(min(1.0, around[best])))
