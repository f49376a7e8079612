"""Is an estimate in step with its reference? Looked at and reported, never repaired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avse.metrics.score import as_signals

LONGEST_S = 0.5
"""Lags up to this are looked for, either way."""

CLEAR = 0.3
"""Correlation from which a lag is believed."""


@dataclass(frozen=True)
class Lag:
    """How late an estimate is.

    Attributes:
        samples: positive where the estimate comes after the reference.
        seconds: the same.
        correlation: 0..1 of the two, shifted by that.
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
        None where there is no clear one: silence, or hardly anything in common.
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
