"""Assign off-screen speech to people whose voices are known.

While a visible person speaks, the tracker collects voiceprints of the separated voice. It computes
voiceprints of off-screen speech too. Where they are similar to those of a person whose face is
off-screen at that time, the speech is assigned to that person, weighted by the probability that it
is theirs. Visible people are compared as well: speech that sounds like one of them is a remainder
of their voice and is not assigned to anybody else.

For a known voice (`avse.inference.enrolment`), the network estimates a mask off-screen too. That
mask is weighted by the probability that its output is the person's voice; the rest goes to the
narrator.
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
"""(first video frame, number of frames) -> (people, frames), 0..1; see
`MaskEstimator.presence`."""


@dataclass(frozen=True)
class TrackingRule:
    """Parameters of the assignment.

    Attributes:
        slope, offset: of the log odds that two sounds are of one person, as a function of the
            cosine of their voiceprints: fitted by `benchmarks/voiceprints.py`.
        own_slope, own_offset: the same for the output of an off-screen person's mask: fitted to 67
            people of training clips. Such sound is closer to the person than a narrator's,
            because the mask selects it.
        known_s: length of a person's voice, alone, from which it is known, in seconds.
        span_s: length of the sound around a moment that decides whose it is, in seconds.
        evidence_s: minimal length of voice in that span, in seconds.
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
"""Share of the sound from which a voice counts as present in the report."""


@dataclass
class Absence:
    """A stretch in which a person's face is off-screen.

    Attributes:
        person: index of the person.
        first, stop: range of video frames, 25 per second from the first sample of the sound.
        heard_s: length of the off-screen speech that was assigned to the person, in seconds.
        confidence: mean probability that this speech was theirs; None if there was none.
    """

    person: int
    first: int
    stop: int
    heard_s: float = 0.0
    confidence: float | None = None

    def add(self, seconds: float, probability: float) -> None:
        """Count a video frame with assigned speech, with this probability."""
        before = (self.confidence or 0.0) * self.heard_s
        self.heard_s += seconds
        self.confidence = (before + probability * seconds) / self.heard_s


class SpeakerTracker:
    """Assigns off-screen speech to people.

    Args:
        presence: visibility of each person; None to assign nothing.
        rule: see `TrackingRule`.
        known: initial value of the attribute `known`, from an earlier run.

    Attributes:
        known: (people, size + 1) sums of each person's weighted voiceprint frames and of the
            weights; None before the first block.
        absences: absences of all people, ordered by their beginning; complete after the run.
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
        """Masks of all people, then of unassigned narrators, then of crowds.

        Args:
            blocks: contiguous blocks with traces.
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
        """Buffer voiceprints, which the assignment needs ahead of time."""
        assert block.traces is not None
        prints = block.traces.prints
        if self.prints is None:
            self.first = block.first // HOPS_PER_VIDEO_FRAME
        before = prints[..., :0] if self.prints is None else self.prints
        self.prints = np.concatenate([before, prints], axis=-1)

    def _learn(self, block: MaskBlock) -> None:
        """Collect voiceprints of each person where the speaker is certain."""
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
        """Similarity of the narrator around some video frames to each person.

        Returns:
            (people, frames), cosines; NaN where one of the voices is too short.
        """
        assert self.known is not None
        around = self._around(first, stop)[-1]
        cosine = _unit(self.known[:, :-1]) @ _unit(around[:-1].T).T
        return self._certain(cosine, around[-1][None])

    def _around(self, first: int, stop: int) -> Sums:
        """Voiceprints summed over the span around video frames: (people + 1, size + 1, frames)."""
        assert self.prints is not None
        reach, length = self._reach(), self.prints.shape[-1]
        sums = np.cumsum(np.pad(self.prints.astype(np.float64), ((0, 0), (0, 0), (1, 0))), axis=-1)
        places = np.arange(first, stop) - self.first
        low, high = (np.clip(places + by, 0, length) for by in (-reach, reach + 1))
        around: Sums = sums[..., high] - sums[..., low]
        return around

    def _certain(self, cosine: Sums, evidence: Sums) -> FloatArray:
        """Cosines (people, frames); NaN where the voice is unknown or the evidence is too short."""
        assert self.known is not None
        rule = self.rule
        known = self.known[:, -1:] >= rule.known_s * VIDEO_RATE
        enough = evidence >= rule.evidence_s * VIDEO_RATE
        return np.asarray(np.where(known & enough, cosine, np.nan), np.float32)

    def _whose(self, first: int, stop: int) -> FloatArray:
        """Probability that the narrator is each person: (people, frames)."""
        odds = _odds(self.likeness(first, stop), self.rule.slope, self.rule.offset)
        return np.asarray(odds / (1 + odds.sum(axis=0)), np.float32)

    def _own(self, first: int, stop: int) -> FloatArray:
        """Probability that the output of a person's mask is their voice: (people, frames).

        1 where the output is too quiet to decide.
        """
        assert self.known is not None
        around = self._around(first, stop)[:-1]
        size = np.linalg.norm(around[:, :-1], axis=1)
        product = (_unit(self.known[:, :-1])[..., None] * around[:, :-1]).sum(axis=1)
        cosine = self._certain(product / np.maximum(size, 1e-9), around[:, -1])
        odds = _odds(cosine, self.rule.own_slope, self.rule.own_offset)
        return np.where(np.isnan(cosine), np.float32(1), odds / (1 + odds))

    def _report(self, first: int, there: FloatArray, whose: FloatArray, own: FloatArray) -> None:
        """Record absences and the speech that was assigned in them."""
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
    """The video frame after the last one of a block."""
    return block.first // HOPS_PER_VIDEO_FRAME + block.cues.shape[-1]


def _odds(cosine: FloatArray, slope: float, offset: float) -> FloatArray:
    """The odds that a voice is a person's; 0 for NaN."""
    odds = np.exp(np.clip(slope * cosine + offset, -50, 50))
    return np.asarray(np.nan_to_num(odds, nan=0.0), np.float32)


def _unit(x: Sums) -> Sums:
    """Normalise rows (n, size) to unit length; 0 stays 0."""
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.maximum(length, 1e-9), np.float64)
