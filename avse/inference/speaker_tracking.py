"""A voice that is known carries on where its face is out of sight.

While a face is seen and speaks, the voice that is found for it is described, and so it becomes
known whose voice sounds how. What is heard of people out of sight is described too; where it sounds
like somebody whose face is lost just then, it is theirs, as far as that is certain. All others in
the picture are asked as well: what sounds like somebody who is in sight, some of whose voice was
left over, is not given to who is not.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avse.inference.mask_estimator import MaskBlock
from avse.inference.voice_activity import speaking
from avse.stft import HOPS_PER_VIDEO_FRAME, VIDEO_RATE

FloatArray = npt.NDArray[np.float32]
Sums = npt.NDArray[np.float64]

Presence = Callable[[int, int], FloatArray]
"""(first video frame, how many) -> (people, frames), 0..1; see `MaskEstimator.presence`."""


@dataclass(frozen=True)
class TrackingRule:
    """When a voice is somebody's.

    Attributes:
        slope, offset: the log odds of two sounds being one person's rather than a stranger's, by
            the cosine of their voiceprints: fitted by `benchmarks/voiceprints.py`.
        known_s: seconds of a person's voice, alone, that have to be heard before it is known.
        span_s: seconds of sound around a moment that decide whose it is.
        evidence_s: seconds of voice in them that are needed to say anything.
    """

    slope: float = 10.6
    offset: float = -5.2
    known_s: float = 1.0
    span_s: float = 3.0
    evidence_s: float = 0.2


USUAL = TrackingRule()

HEARD = 0.3
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
        self.narrator: FloatArray | None = None
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
        return self.first + (0 if self.narrator is None else self.narrator.shape[-1])

    def _keep(self, block: MaskBlock) -> None:
        """Keep what the narrator sounds like, which has to be known ahead of time."""
        assert block.traces is not None
        narrator = block.traces.prints[-1]
        if self.narrator is None:
            self.first = block.first // HOPS_PER_VIDEO_FRAME
        before = narrator[:, :0] if self.narrator is None else self.narrator
        self.narrator = np.concatenate([before, narrator], axis=-1)

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
        assert self.narrator is not None
        self._learn(block)
        first, stop = block.first // HOPS_PER_VIDEO_FRAME, _stop(block)
        frames = block.masks.shape[-1]
        given = np.zeros((len(block.masks), stop - first), np.float32)
        if self.presence is not None:
            whose = self._whose(first, stop)
            there = self.presence(first, stop - first)
            given = whose * (1 - there)
            self._report(first, there, whose)
        gain = np.repeat(given, HOPS_PER_VIDEO_FRAME, axis=-1)[:, None, :frames]
        left = 1 - block.masks.sum(axis=0)
        narrator, crowd = block.traces.shares * left
        masks = np.concatenate(
            [
                block.masks + gain * narrator,
                (1 - gain.sum(axis=0)) * narrator[None],
                crowd[None],
            ]
        )
        drop = max(0, first - self._reach() - self.first)
        self.narrator, self.first = self.narrator[:, drop:], self.first + drop
        return dataclasses.replace(block, masks=np.asarray(masks, np.complex64))

    def _reach(self) -> int:
        return round(self.rule.span_s * VIDEO_RATE / 2)

    def likeness(self, first: int, stop: int) -> FloatArray:
        """How much the narrator around each of some video frames sounds like each person.

        Returns:
            (people, frames), cosines; NaN where there is not enough of the one or the other voice.
        """
        assert self.narrator is not None
        assert self.known is not None
        rule, reach = self.rule, self._reach()
        narrator = self.narrator.astype(np.float64)
        sums = np.cumsum(np.pad(narrator, ((0, 0), (1, 0))), axis=-1)
        places = np.arange(first, stop) - self.first
        low = np.clip(places - reach, 0, narrator.shape[-1])
        high = np.clip(places + reach + 1, 0, narrator.shape[-1])
        around = sums[:, high] - sums[:, low]
        cosine = _unit(self.known[:, :-1]) @ _unit(around[:-1].T).T
        cosine[self.known[:, -1] < rule.known_s * VIDEO_RATE] = np.nan
        cosine[:, around[-1] < rule.evidence_s * VIDEO_RATE] = np.nan
        return np.asarray(cosine, np.float32)

    def _whose(self, first: int, stop: int) -> FloatArray:
        """Probability, of each person, that the narrator's voice is theirs: (people, frames)."""
        cosine = self.likeness(first, stop)
        odds = np.exp(np.clip(self.rule.slope * cosine + self.rule.offset, -50, 50))
        odds = np.nan_to_num(odds, nan=0.0)
        return np.asarray(odds / (1 + odds.sum(axis=0)), np.float32)

    def _report(self, first: int, there: FloatArray, whose: FloatArray) -> None:
        """Note who is out of sight, and whose voice was heard then."""
        assert self.narrator is not None
        heard = self.narrator[-1, first - self.first :] >= HEARD
        for person, present in enumerate(there):
            for n, share in enumerate(present):
                if share >= 0.5:
                    if person in self.open:
                        self.absences.append(self.open.pop(person))
                    continue
                here = first + n
                absence = self.open.setdefault(person, Absence(person, here, here))
                absence.stop = here + 1
                probability = float(whose[person, n])
                if heard[n] and probability > 0.5:
                    absence.add(1 / VIDEO_RATE, probability)


def _stop(block: MaskBlock) -> int:
    """The video frame after the last of a block."""
    return block.first // HOPS_PER_VIDEO_FRAME + block.cues.shape[-1]


def _unit(x: Sums) -> Sums:
    """(n, size), each of unit length; 0 stays 0."""
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return np.asarray(x / np.maximum(length, 1e-9), np.float64)
