"""Signal-to-distortion ratios: SI-SDR, its improvement, and SDR as BSS-Eval defines it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft
from scipy.linalg import toeplitz

from avse.metrics.score import Score, as_signals, not_defined
from avse.metrics.si_sdr import si_sdr

SDR_FILTER = 512
"""Taps of the filter that SDR allows, as in BSS-Eval."""

_PERFECT = "the estimate equals the reference, so that the ratio has no upper bound"
_NOTHING = "nothing of the reference is in the estimate, so that the ratio has no lower bound"


def si_sdr_score(estimate: npt.ArrayLike, reference: npt.ArrayLike) -> Score:
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux et al. 2019), higher is better.

    Both signals are made zero-mean first; the gain of either has no effect.

    Args:
        estimate: (samples,).
        reference: (samples,).
    """
    e, r, refusal = as_signals(estimate, reference)
    if refusal is not None:
        return refusal
    e, r = e - e.mean(), r - r.mean()
    if (e @ r) ** 2 == 0:
        return not_defined(_NOTHING)
    value = si_sdr(e, r)
    if value is None or math.isinf(value):
        return not_defined(_PERFECT)
    return Score(value)


def sdr_score(estimate: npt.ArrayLike, reference: npt.ArrayLike) -> Score:
    """Signal-to-distortion ratio of BSS-Eval in dB (Vincent et al. 2006), higher is better.

    The metric ignores filtering of the reference by up to 512 taps. As in fast_bss_eval (Scheibler
    2022), whose values the tests compare, the filter is the solution of the normal equations, and
    means are not removed. Each voice is scored alone, so no permutation is searched.

    Args:
        estimate: (samples,).
        reference: (samples,).
    """
    e, r, refusal = as_signals(estimate, reference)
    if refusal is not None:
        return refusal
    if e.size <= SDR_FILTER:
        return not_defined(
            f"{e.size} samples are too short: a filter of {SDR_FILTER} taps explains anything"
        )
    e, r = e / np.linalg.norm(e), r / np.linalg.norm(r)
    size = next_fast_len(e.size + SDR_FILTER, real=True)
    spectrum = rfft(r, size)
    own = irfft(np.square(np.abs(spectrum)), size)[:SDR_FILTER]
    cross = irfft(rfft(e, size) * spectrum.conj(), size)[:SDR_FILTER]
    try:
        explained = float(cross @ np.linalg.solve(toeplitz(own), cross))
    except np.linalg.LinAlgError:
        return not_defined(
            "the reference fills too few frequencies for a filter to be found (singular matrix)"
        )
    if not math.isfinite(explained):
        return not_defined("the filter that maps the reference to the estimate was not found")
    if explained >= 1:
        return not_defined(_PERFECT)
    if explained <= 0:
        return not_defined(_NOTHING)
    return Score(10 * math.log10(explained / (1 - explained)))


def improvement(
    metric: Callable[[npt.ArrayLike, npt.ArrayLike], Score],
    estimate: npt.ArrayLike,
    mixture: npt.ArrayLike,
    reference: npt.ArrayLike,
) -> Score:
    """Improvement over the mixture: the metric of the estimate minus that of the mixture.

    Args:
        metric: `si_sdr_score` or `sdr_score`.
        estimate: (samples,).
        mixture: (samples,).
        reference: (samples,).
    """
    return difference(metric(estimate, reference), metric(mixture, reference))


def difference(after: Score, before: Score) -> Score:
    """After minus before, both of the same metric."""
    if after.value is None:
        return after
    if before.value is None:
        return Score(None, f"{before.reason} (of the mixture)")
    return Score(after.value - before.value)
