"""Dubbing and voice-over: lips that move to another person's voice.

In single frames, such lips look like those of a speaker. Over seconds they do not: the sync score
of another person's voice is no better at offset 0 than at other offsets. The score is averaged over
up to ten seconds of speech within one shot, and a logistic regression maps it to a probability. The
best of small offsets counts, because a small A/V offset may be undetected; if sound and picture are
probably out of sync, there is no result (`judgeable`).

Unreliable lips, such as those of small faces, have a low sync score with every voice. The score
does not tell the reason, so this analysis is optional.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avse.diarization.segments import Flags, Segment, segments
from avse.faces.lips import RATE_HZ
from avse.sync.result import Sync
from avse.types import FloatArray

SHORTEST_S, LONGEST_S = 2.0, 10.0
"""Minimal length of speech in a shot, and length of the average, in seconds."""


@dataclass(frozen=True)
class DubbingRule:
    """Maps the sync score of a stretch of speech to the probability of another person's voice.

    The logit is (weight · agreement + offset) · n / (n + half). The score has a part that varies
    from frame to frame and a part that is constant for a person (some lips are unreliable), so the
    evidence grows with the number of frames n at first and then saturates.

    Attributes:
        weight, offset: see above.
        half: number of frames with half of the maximal evidence.
        threshold: probability from which a voice counts as another person's.
    """

    weight: float
    offset: float
    half: float
    threshold: float

    def probability(self, agreement: FloatArray, frames: int) -> FloatArray:
        """Probability with equal priors.

        Args:
            agreement: mean score over the frames at the best offset; any shape.
            frames: number of frames.
        """
        logit = (self.weight * agreement + self.offset) * frames / (frames + self.half)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -50, 50))), np.float32)


RULE = DubbingRule(weight=-88.3, offset=19.91, half=113.8, threshold=0.99)
"""Of the weights `avse-small`: `fit` of `benchmarks/dubbing.py`, training people, 1,053 scenes."""


@dataclass(frozen=True)
class Dubbing:
    """Result of the analysis of one person.

    Attributes:
        probability: probability of another person's voice in the likeliest stretch.
        segments: stretches with another person's voice, in playing time.
    """

    probability: float
    segments: tuple[Segment, ...]

    @property
    def seconds(self) -> float:
        """Time in seconds in which the lips move to another person's voice."""
        return sum(segment.length for segment in self.segments)


def judgeable(sync: Sync | None) -> bool:
    """Whether lips and sound are close enough to sync for a low score to be meaningful.

    If there is probably an A/V offset that is too uncertain to be corrected, the separation fails
    (two people who talk at once may be exchanged), and the score is low for all lips.

    Args:
        sync: the A/V offset before correction; None if it was not measured.
    """
    if sync is None:
        return False
    return sync.out_of_step or not (sync.probable and sync.apart)


def another_voice(
    near: FloatArray, speech: Flags, cuts: Sequence[int] = (), rule: DubbingRule = RULE
) -> FloatArray:
    """Probability, frame by frame, that the voice is another person's.

    Args:
        near: (2 · REACH + 1, frames), the features `NEAR` of one person.
        speech: (frames,) bool, where the person would count as speaking.
        cuts: first frames of shots; stretches do not cross them.
        rule: see `DubbingRule`.

    Returns:
        (frames,) probabilities; NaN where there is too little speech.
    """
    out = np.full(len(speech), np.nan, np.float32)
    spoken = np.flatnonzero(speech)
    for shot in np.split(spoken, np.searchsorted(spoken, sorted(cuts))):
        length = min(len(shot), round(LONGEST_S * RATE_HZ))
        if length < SHORTEST_S * RATE_HZ:
            continue
        sums = np.pad(near[:, shot].cumsum(axis=1, dtype=np.float64), ((0, 0), (1, 0)))
        means = (sums[:, length:] - sums[:, :-length]) / length
        likely = rule.probability(means.max(axis=0).astype(np.float32), length)
        # A frame gets the probability of the stretch around it; near the ends, of the nearest one.
        middle = np.arange(len(shot)) - length // 2
        out[shot] = likely[np.clip(middle, 0, len(likely) - 1)]
    return out


def without_another(
    probability: FloatArray, another: FloatArray, rule: DubbingRule = RULE
) -> FloatArray:
    """Reduce the probability of speech where the voice is another person's; both are (frames,)."""
    with np.errstate(invalid="ignore"):
        taken = another >= rule.threshold
    return np.where(taken, probability * (1 - another), probability)


def summarise(another: FloatArray, first: float = 0.0, rule: DubbingRule = RULE) -> Dubbing | None:
    """Summarise the result of one person; None if there is none.

    Args:
        another: (frames,) from `another_voice`.
        first: playing time of the first frame, in seconds.
        rule: see `DubbingRule`.
    """
    known = ~np.isnan(another)
    if not known.any():
        return None
    taken = np.nan_to_num(another) >= rule.threshold
    return Dubbing(float(another[known].max()), tuple(segments(taken, first)))
