"""Follow a known voice while its face is out of sight.

While a face is seen and speaks, the voice that is found for it is described, and so it becomes
known whose voice sounds how. Off-screen speech is described too; where it sounds like a person
whose face is lost at that time, it is assigned to that person, by the probability that it is
theirs. The people in sight are compared as well: what sounds like one of them is a remainder of
their voice, and is not assigned to anybody else.

Where the network knows a voice (`avse.inference.enrolment`), it gives that person a mask out of
sight too. That mask counts as far as what it lets through sounds like the person; the rest goes to
the narrator.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME, VIDEO_RATE
from avse.inference.mask_estimator import MaskBlock
from avse.inference.voice_activity import speaking
from avse.types import FloatArray

Sums = npt.NDArray[np.float64]

Presence = Callable[[int, int], FloatArray]
"""(first video frame, how many) -> (people, frames), 0..1; see `MaskEstimator.presence`."""


@dataclass(frozen=True)
class TrackingRule:
    """When a voice is somebody's.

    Attributes:
        slope, offset: the log odds of two sounds being one person's rather than a stranger's, by
            the cosine of their voiceprints: fitted by `benchmarks/voiceprints.py`.
        own_slope, own_offset: the same for the sound that the network itself found for a person out
            of sight: fitted to 67 people of training clips. Such sound is nearer to the person
            than a narrator's, since a mask chooses.
        known_s: seconds of a person's voice, alone, after which it is known.
        span_s: seconds of sound around a moment that decide whose it is.
        evidence_s: seconds of voice in them that are needed to say anything.
    """

    slope: float = 10.6
    offset: float = -5.2
    own_slope: float = 11.8
    own_offset: float = -7.2
    known_s: float = 1.0
    span_s: float = 3.0
    evidence_s: float = 0.2


USUAL = TrackingRule()

AUDIBLE = 0.3
"""Share of the sound from which a voice counts as heard, in the report."""


@dataclass
class Absence:
    """A stretch in which somebody's face is out of sight.

    Attributes:
        person: index among the people of the recording.
        first, stop: video frames, 25 a second from the first sample of the sound.
        heard_s: seconds in which a voice out of sight was given to the person.
        confidence: probability, on average over those, that it was theirs; None if there are none.
    """

    person: int
    first: int
    stop: int
    heard_s: float = 0.0
    confidence: float | None = None

    def add(self, seconds: float, probability: float) -> None:
        """Their voice was heard, with this probability."""
        before = (self.confidence or 0.0) * self.heard_s
        self.heard_s += seconds
        self.confidence = (before + probability * seconds) / self.heard_s


class SpeakerTracker:
    """Gives voices out of sight to those who are known to have them.

    Args:
        presence: how far each person takes part; None if nobody is given anything.
        rule: see `TrackingRule`.
        known: where to begin with `known`, from an earlier run.

    Attributes:
        known: (people, size + 1) sums of each person's voiceprint frames and of their weights;
            None before the first block.
        absences: of each person, in the order of their beginnings; complete in the end.
    """

    def __init__(
        self,
        presence: Presence | None,
        rule: TrackingRule = USUAL,
        *,
        known: Sums | None = None,
    ) -> None:
        self.presence, self.rule = presence, rule
        self.absences: list[Absence] = []
        self.open: dict[int, Absence] = {}
        self.known = None if known is None else known.copy()
        self.prints: FloatArray | None = None
        self.first = 0

    def assigned(self, blocks: Iterable[MaskBlock]) -> Iterator[MaskBlock]:
        """Masks of everybody, and two more: of narrators that are nobody's, and of crowds.

        Args:
            blocks: with traces, that join without a gap.
        """
        waiting: list[MaskBlock] = []
        ahead = round(self.rule.span_s * VIDEO_RATE / 2)
        for block in blocks:
            self._keep(block)
            waiting.append(block)
            while waiting and self._until() >= _stop(waiting[0]) + ahead:
                yield self._handed_out(waiting.pop(0))
        for block in waiting:
            yield self._handed_out(block)
        self.absences += self.open.values()
        self.absences.sort(key=lambda absence: (absence.first, absence.person))

    def _until(self) -> int:
        return self.first + (0 if self.prints is None else self.prints.shape[-1])

    def _keep(self, block: MaskBlock) -> None:
        """Keep what voices sound like, which has to be known ahead of time."""
        assert block.traces is not None
        prints = block.traces.prints
        if self.prints is None:
            self.first = block.first // HOPS_PER_VIDEO_FRAME
        before = prints[..., :0] if self.prints is None else self.prints
        self.prints = np.concatenate([before, prints], axis=-1)

    def _learn(self, block: MaskBlock) -> None:
        """Remember what each voice sounds like, while it is certain whose it is."""
        assert block.traces is not None
        theirs = block.traces.prints[:-1]
        if self.known is None:
            self.known = np.zeros(theirs.shape[:2], np.float64)
        speaks = np.nan_to_num(speaking(block.cues))
        self.known += (theirs * speaks[:, None]).sum(axis=-1)

    def _handed_out(self, block: MaskBlock) -> MaskBlock:
        assert block.traces is not None
        assert self.prints is not None
        self._learn(block)
        first, stop = block.first // HOPS_PER_VIDEO_FRAME, _stop(block)
        frames = block.masks.shape[-1]
        given = np.zeros((len(block.masks), stop - first), np.float32)
        doubted = np.zeros_like(given)
        if self.presence is not None:
            whose, own = self._whose(first, stop), self._own(first, stop)
            there = self.presence(first, stop - first)
            given, doubted = whose * (1 - there), (1 - own) * (1 - there)
            self._report(first, there, whose, own)

        def on_masks(x: FloatArray) -> FloatArray:
            return np.repeat(x, HOPS_PER_VIDEO_FRAME, axis=-1)[:, None, :frames]

        gain, removed = on_masks(given), on_masks(doubted) * block.masks
        left = 1 - block.masks.sum(axis=0)
        narrator, crowd = block.traces.shares * left
        masks = np.concatenate(
            [
                block.masks - removed + gain * narrator,
                (1 - gain.sum(axis=0)) * narrator[None] + removed.sum(axis=0),
                crowd[None],
            ]
        )
        drop = max(0, first - self._reach() - self.first)
        self.prints, self.first = self.prints[..., drop:], self.first + drop
        return dataclasses.replace(block, masks=np.asarray(masks, np.complex64))

    def _reach(self) -> int:
        return round(self.rule.span_s * VIDEO_RATE / 2)

    def likeness(self, first: int, stop: int) -> FloatArray:
        """How much the narrator around each of some video frames sounds like each person.

        Returns:
            (people, frames), cosines; NaN where there is not enough of the one or the other voice.
        """
        assert self.known is not None
        around = self._around(first, stop)[-1]
        cosine = _unit(self.known[:, :-1]) @ _unit(around[:-1].T).T
        return self._certain(cosine, around[-1][None])

    def _around(self, first: int, stop: int) -> Sums:
        """(people + 1, size + 1, frames): prints, summed over the sound around video frames."""
        assert self.prints is not None
        reach, length = self._reach(), self.prints.shape[-1]
        sums = np.cumsum(np.pad(self.prints.astype(np.float64), ((0, 0), (0, 0), (1, 0))), axis=-1)
        places = np.arange(first, stop) - self.first
        low, high = (np.clip(places + by, 0, length) for by in (-reach, reach + 1))
        around: Sums = sums[..., high] - sums[..., low]
        return around

    def _certain(self, cosine: Sums, evidence: Sums) -> FloatArray:
        """(people, frames) cosines; NaN where the person is not known, or evidence is short."""
        assert self.known is not None
        rule = self.rule
        known = self.known[:, -1:] >= rule.known_s * VIDEO_RATE
        enough = evidence >= rule.evidence_s * VIDEO_RATE
        return np.asarray(np.where(known & enough, cosine, np.nan), np.float32)

    def _whose(self, first: int, stop: int) -> FloatArray:
        """Probability, of each person, that the narrator's voice is theirs: (people, frames)."""
        odds = _odds(self.likeness(first, stop), self.rule.slope, self.rule.offset)
        return np.asarray(odds / (1 + odds.sum(axis=0)), np.float32)

    def _own(self, first: int, stop: int) -> FloatArray:
        """Probability that what a person's mask lets through is their voice: (people, frames).

        1 where too little is let through to tell.
        """
        assert self.known is not None
        around = self._around(first, stop)[:-1]
        size = np.linalg.norm(around[:, :-1], axis=1)
        product = (_unit(self.known[:, :-1])[..., None] * around[:, :-1]).sum(axis=1)
        cosine = self._certain(product / np.maximum(size, 1e-9), around[:, -1])
        odds = _odds(cosine, self.rule.own_slope, self.rule.own_offset)
        return np.where(np.isnan(cosine), np.float32(1), odds / (1 + odds))

    def _report(self, first: int, there: FloatArray, whose: FloatArray, own: FloatArray) -> None:
        """Note who is out of sight, and whose voice was found then."""
        assert self.prints is not None
        loud = self.prints[:, -1, first - self.first :] >= AUDIBLE
        for person, present in enumerate(there):
            for n, share in enumerate(present):
                if share >= 0.5:
                    if person in self.open:
                        self.absences.append(self.open.pop(person))
                    continue
                here = first + n
                absence = self.open.setdefault(person, Absence(person, here, here))
                absence.stop = here + 1
                theirs = float(own[person, n]) if loud[person, n] else 0.0
                narrated = float(whose[person, n]) if loud[-1, n] else 0.0
                probability = max(theirs, narrated)
                if probability > 0.5:
                    absence.add(1 / VIDEO_RATE, probability)


def _stop(block: MaskBlock) -> int:
    """The video frame after the last of a block."""
    return block.first // HOPS_PER_VIDEO_FRAME + block.cues.shape[-1]


def _odds(cosine: FloatArray, slope: float, offset: float) -> FloatArray:
    """The odds of a voice being somebody's; 0 for NaN."""
    odds = np.exp(np.clip(slope * cosine + offset, -50, 50))
    return np.asarray(np.nan_to_num(odds, nan=0.0), np.float32)


def _unit(x: Sums) -> Sums:
    """(n, size), each of unit length; 0 stays 0."""
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.maximum(length, 1e-9), np.float64)
