"""Signal-to-distortion ratios: SI-SDR, its improvement, and SDR as BSS-Eval defines it."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy.typing as npt
import torch

from avse.metrics.extra import package
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

    The metric ignores filtering of the reference by up to 512 taps. fast_bss_eval (Scheibler 2022)
    computes it, without removing means, as is its default. Each voice is scored alone, so no
    permutation is searched.

    Args:
        estimate: (samples,).
        reference: (samples,).

    Raises:
        MissingExtraError: fast_bss_eval is not installed.
    """
    # Not its NumPy functions: they take np.linalg.solve for what it was before NumPy 2.
    sdr_loss = package("fast_bss_eval.torch.metrics").sdr_loss
    e, r, refusal = as_signals(estimate, reference)
    if refusal is not None:
        return refusal
    if e.size <= SDR_FILTER:
        return not_defined(
            f"{e.size} samples are too short: a filter of {SDR_FILTER} taps explains anything"
        )
    try:
        both = torch.tensor(e[None]), torch.tensor(r[None])
        value = -float(sdr_loss(*both, filter_length=SDR_FILTER)[0])
    except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
        return not_defined(
            "the reference fills too few frequencies for a filter to be found (singular matrix)"
        )
    if math.isnan(value):
        return not_defined("the filter that maps the reference to the estimate was not found")
    if math.isinf(value):
        return not_defined(_PERFECT if value > 0 else _NOTHING)
    return Score(value)


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
