"""Dubbing and voice-over: lips that move to a voice which is not theirs.

Frame by frame they look like a speaker's. Over seconds they do not: a stranger's voice agrees with
the lips no better in step than out of step. So the agreement of lips and voice is averaged over up
to ten seconds in which the person would count as speaking, within one shot, and a logistic
regression makes a probability of it. The best of small delays counts, as sound and picture may be
apart by a little that nothing tells; where they probably are, nothing is said (`judgeable`).

Lips that are read badly, as those of small faces are, agree with no voice either: this tells lips
that fit from lips that do not, and cannot tell why. So it is looked for only where asked.
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
"""Seconds of speech in a shot below which nothing is said, and over which agreement is averaged."""


@dataclass(frozen=True)
class DubbingRule:
    """Agreement over a stretch of speech to the probability that the voice is another's.

    The logit is (weight · agreement + offset) · n / (n + half). Agreement has a part that is new in
    every frame and a part that stays with the person (some lips are read badly): evidence grows
    with the number of frames n at first, and not without end.

    Attributes:
        weight, offset: see above.
        half: frames after which half of all possible evidence is in.
        threshold: probability from which a voice counts as another's.
    """

    weight: float
    offset: float
    half: float
    threshold: float

    def probability(self, agreement: FloatArray, frames: int) -> FloatArray:
        """As if half of all people were dubbed.

        Args:
            agreement: mean over so many frames, at the best delay; of any shape.
            frames: how many.
        """
        logit = (self.weight * agreement + self.offset) * frames / (frames + self.half)
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -50, 50))), np.float32)


RULE = DubbingRule(weight=-88.3, offset=19.91, half=113.8, threshold=0.99)
"""Of the weights `avse-small`: `fit` of `benchmarks/dubbing.py`, training people, 1,053 scenes."""


@dataclass(frozen=True)
class Dubbing:
    """How much of what looks like a person's speech is another's voice.

    Attributes:
        probability: that it is, of the stretch of which it is likeliest.
        segments: in playing time, where it is, as far as can be told.
    """

    probability: float
    segments: tuple[Segment, ...]

    @property
    def seconds(self) -> float:
        """How long the lips move to another's voice."""
        return sum(segment.length for segment in self.segments)


def judgeable(sync: Sync | None) -> bool:
    """Whether lips and sound are near enough for a lack of agreement to mean something.

    Where they are probably apart, but too uncertainly to be corrected, the voice is separated badly
    (two people who talk at once get each other's), and then agrees with nobody's lips.

    Args:
        sync: as measured before lips that are certainly out of step were moved; None if it was not
            measured.
    """
    if sync is None:
        return False
    return sync.out_of_step or not (sync.probable and sync.apart)


def another_voice(
    near: FloatArray, speech: Flags, cuts: Sequence[int] = (), rule: DubbingRule = RULE
) -> FloatArray:
    """Frame by frame, whether the voice that is heard is not this person's.

    Args:
        near: (2 · REACH + 1, frames), the cues `NEAR` of one person.
        speech: (frames,) where the person would count as speaking.
        cuts: first frames of shots; stretches do not reach across.
        rule: see `DubbingRule`.

    Returns:
        (frames,) probabilities; NaN where nothing can be said: too little speech, or none.
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
        # Each frame is judged by the stretch around it, the first and last by what there is.
        middle = np.arange(len(shot)) - length // 2
        out[shot] = likely[np.clip(middle, 0, len(likely) - 1)]
    return out


def without_another(
    probability: FloatArray, another: FloatArray, rule: DubbingRule = RULE
) -> FloatArray:
    """Probabilities of speech, less where the voice is another's: both (frames,)."""
    with np.errstate(invalid="ignore"):
        taken = another >= rule.threshold
    return np.where(taken, probability * (1 - another), probability)


def summarise(another: FloatArray, first: float = 0.0, rule: DubbingRule = RULE) -> Dubbing | None:
    """What was found of one person; None if nothing can be said.

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
