"""Metrics of face-conditioned separation: wrong speaker, contrast between faces, level in
silence."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from avse.metrics.distortion import si_sdr_score
from avse.metrics.score import Score, Signal, as_signals, is_silent, not_defined

FRAME_S = 0.02
SILENT_DB = -40.0
"""Re its loudest frame, the target is certainly silent below this,"""
NOISY_DB = -25.0
"""and certainly not above this; between, silence is what lies within 6 dB of its noise floor."""
SHORTEST_SILENCE_S = 0.2
ALONE_DB = 10.0
"""Other people speak where the mixture is this much louder than the target."""
FLOOR_DB = -100.0
"""Lower limit of levels, so that digital silence can be averaged."""


def wrong_speaker(
    estimate: npt.ArrayLike, reference: npt.ArrayLike, others: Sequence[npt.ArrayLike]
) -> Score:
    """1 if the estimate is closer to another person of the mixture than to the target speaker.

    Closeness is SI-SDR. The mean over items is the wrong-speaker rate.

    Args:
        estimate: (samples,).
        reference: (samples,) of the target speaker.
        others: (samples,) of each other person.
    """
    if not others:
        return not_defined("nobody else speaks in the mixture, or their references are not here")
    e, _, refusal = as_signals(estimate, reference)
    if refusal is not None:
        return refusal
    own = _closeness(e, reference)
    return Score(float(any(_closeness(e, other) > own for other in others)))


def _closeness(estimate: Signal, reference: npt.ArrayLike) -> float:
    """SI-SDR; infinite for an exact estimate, and minus infinity where it is undefined
    otherwise."""
    score = si_sdr_score(estimate, reference)
    if score.value is not None:
        return score.value
    return math.inf if "no upper bound" in str(score.reason) else -math.inf


def face_contrast(answers: Sequence[npt.ArrayLike]) -> Score:
    """Difference between the estimates for the faces of one mixture: 0..1.

    The share of an estimate's energy that another estimate, at any gain, does not explain,
    averaged over pairs: 1 - correlation². 0 means identical estimates: the face is ignored. Voices
    of different people have about 1.

    Args:
        answers: (samples,) for each face of the same mixture.
    """
    if len(answers) < 2:
        return not_defined("fewer than two people of the mixture were separated")
    signals = [np.asarray(answer, np.float64) for answer in answers]
    if len({signal.shape for signal in signals}) > 1:
        return not_defined("the answers differ in length")
    values = []
    for a, b in combinations(signals, 2):
        if is_silent(a) or is_silent(b):
            if is_silent(a) and is_silent(b):
                return not_defined("the answers are silent")
            values.append(1.0)
            continue
        x, y = a - a.mean(), b - b.mean()
        values.append(max(0.0, 1 - float(x @ y) ** 2 / float((x @ x) * (y @ y))))
    return Score(float(np.mean(values)))


def silent_level(
    estimate: npt.ArrayLike, reference: npt.ArrayLike, mixture: npt.ArrayLike, rate_hz: int
) -> Score:
    """Level of the output while only others speak, in dB re the mixture there; lower is better.

    0 dB means no suppression. The level is measured in stretches of 0.2 s and more in which the
    reference is silent (40 dB below its loudest frame; or, in noisy recordings, 25 dB below it and
    within 6 dB of its 10th percentile) and the mixture is 10 dB louder than the reference. Frames
    of 20 ms, averaged over 100 ms. Levels below -100 dB count as -100 dB.

    Args:
        estimate: (samples,).
        reference: (samples,) of the target; digital silence if it does not speak at all.
        mixture: (samples,).
        rate_hz: of all.
    """
    from scipy.ndimage import binary_opening, uniform_filter1d

    e, r, m = (np.asarray(s, np.float64) for s in (estimate, reference, mixture))
    if not e.size == r.size == m.size:
        return not_defined("the lengths of estimate, reference and mixture differ")
    frame = max(1, round(FRAME_S * rate_hz))
    count = e.size // frame
    power = np.square(np.stack([s[: count * frame] for s in (e, r, m)]))
    output, target, mixed = power.reshape(3, count, frame).mean(axis=-1)
    around = uniform_filter1d(target, 5, mode="nearest") if count else target
    loudest = float(around.max(initial=0.0))
    floor = float(np.quantile(around, 0.1)) * 10**0.6 if count else 0.0
    limit = max(loudest * 10 ** (SILENT_DB / 10), min(floor, loudest * 10 ** (NOISY_DB / 10)))
    quiet = (around <= limit) | is_silent(r)
    quiet &= (mixed > 10 ** (ALONE_DB / 10) * target) & (mixed > 1e-12)
    quiet = binary_opening(quiet, np.ones(round(SHORTEST_SILENCE_S / FRAME_S)))
    if not quiet.any():
        return not_defined(
            f"there are no {SHORTEST_SILENCE_S} s in which the target is silent and others speak"
        )
    ratio = float(output[quiet].mean() / mixed[quiet].mean())
    return Score(max(FLOOR_DB, 10 * math.log10(ratio)) if ratio > 0 else FLOOR_DB)
