"""What `avse sync` finds out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from avse.faces.lips import RATE_HZ, AnyLips, Lips, resample_stretches

CONFIDENT = 0.9
"""Confidence from which separation corrects for an offset without being asked."""

PROBABLE = 0.5
"""Confidence from which `avse sync --fix`, which was asked, moves the sound."""

IN_STEP_MS = 40.0
"""Offsets up to this are left alone: lips lead or follow the voice by 10 to 20 ms by themselves,
the estimate is off by as much, and separation does not suffer before 40 ms. It is also how far
off a confident estimate may be: from here on correcting it is an improvement."""


@dataclass(frozen=True)
class Offset:
    """By how much the sound is late.

    Attributes:
        offset_ms: in milliseconds, negative if the sound is early; None if there was nothing to
            judge by.
        confidence: 0..1, the probability that this is right to within 40 ms.
    """

    offset_ms: float | None
    confidence: float

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {"offset_ms": self.offset_ms, "confidence": self.confidence}


@dataclass(frozen=True)
class PersonOffset:
    """The offset by one person's lips: their number, and what they say."""

    number: int
    offset: Offset


@dataclass(frozen=True)
class WindowOffset:
    """The offset in a stretch of the recording, by all lips.

    Attributes:
        start_s, end_s: the stretch, in seconds from the first sample of the sound.
        offset: of it alone.
    """

    start_s: float
    end_s: float
    offset: Offset


@dataclass(frozen=True)
class Drift:
    """An offset that grows or shrinks evenly.

    Attributes:
        ms_per_minute: by which the sound gets later.
        begin_ms, end_ms: the offset at the beginning and the end of what was judged.
        middle_s: where the offset of the whole holds, in seconds from the first sample of the
            sound.
    """

    ms_per_minute: float
    begin_ms: float
    end_ms: float
    middle_s: float


@dataclass(frozen=True)
class Sync:
    """How far the sound of a recording is from its picture.

    Attributes:
        whole: by everybody's lips, over the whole recording; if it drifts, in its middle.
        people: by each person's, in order of their numbers.
        windows: over time.
        drift: None if the offset is constant, as far as can be told.
        by_hand: whether the user has set the offset of the whole; see `set_by_hand`.
        verified: whether separation bears out an offset that is not certain; see
            `avse.sync.verifying`.
    """

    whole: Offset
    people: tuple[PersonOffset, ...]
    windows: tuple[WindowOffset, ...]
    drift: Drift | None = None
    by_hand: bool = False
    verified: bool = False

    @property
    def confident(self) -> bool:
        """Whether the offset is known well enough to act upon unasked."""
        return self.whole.offset_ms is not None and self.whole.confidence >= CONFIDENT

    @property
    def probable(self) -> bool:
        """Whether the offset is rather right than wrong."""
        return self.whole.offset_ms is not None and self.whole.confidence >= PROBABLE

    @property
    def apart(self) -> bool:
        """Whether the offset found, right or wrong, is more than lips and voices have anyway."""
        if self.drift is not None:
            return max(abs(self.drift.begin_ms), abs(self.drift.end_ms)) > IN_STEP_MS
        return abs(self.whole.offset_ms or 0.0) > IN_STEP_MS

    @property
    def out_of_step(self) -> bool:
        """Whether sound and picture are certainly apart: what separation corrects.

        An offset that was set by hand is certain, however small it is.
        """
        if self.by_hand:
            return bool(self.whole.offset_ms)
        return self.apart and (self.confident or self.verified)

    def describe(self) -> str:
        """What was found, in words."""
        if self.whole.offset_ms is None:
            return "nothing tells whether sound and picture are in step"
        borne_out = ", borne out by separation" if self.verified else ""
        sure = f"(confidence {self.whole.confidence:.2f}{borne_out})"
        if self.by_hand:
            sure = "(set by hand)"
        late = lateness(self.whole.offset_ms)
        if not self.probable and not self.verified:
            return f"not known; lips and voices agree best with the sound {late} {sure}"
        if self.drift is None:
            return f"the sound is {late} {sure}"
        begin, end = lateness(self.drift.begin_ms), lateness(self.drift.end_ms)
        return f"the sound drifts from {begin} at the beginning to {end} at the end {sure}"

    def as_json(self) -> dict[str, object]:
        """For programs; windows left out."""
        drift = self.drift
        return {
            "people": [
                {"number": person.number, **person.offset.as_json()} for person in self.people
            ],
            **self.whole.as_json(),
            "drift": None
            if drift is None
            else {
                "ms_per_minute": round(drift.ms_per_minute, 1),
                "begin_ms": round(drift.begin_ms, 1),
                "end_ms": round(drift.end_ms, 1),
            },
            "verified": self.verified,
            "out_of_step": self.out_of_step,
            **({"set_by_hand": True} if self.by_hand else {}),
        }

    def late_s(self, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """By how many seconds the sound is late at instants of the picture.

        Args:
            times: seconds from the first sample of the sound.
        """
        late = np.full_like(times, (self.whole.offset_ms or 0.0) / 1000)
        if self.drift is not None:
            late += (times - self.drift.middle_s) * self.drift.ms_per_minute / 60_000
        return late

    def moved(self, lips: AnyLips) -> Lips:
        """Lips put where their sound is."""
        frames, points, confidence = Lips(lips.stretches).sightings()
        times = frames / RATE_HZ
        # Neighbouring frames stay neighbours, however they drift; gaps stay gaps.
        longest = Fraction(3, 2 * RATE_HZ)
        return resample_stretches(times + self.late_s(times), points, confidence, max_gap_s=longest)


def set_by_hand(offset_ms: float, measured: Sync | None = None) -> Sync:
    """What `in_step` shall go by where the user has set the offset.

    Args:
        offset_ms: by which the sound is late.
        measured: what was measured, whose people and windows are kept.
    """
    others = Sync(Offset(None, 0.0), (), ()) if measured is None else measured
    return replace(others, whole=Offset(offset_ms, 1.0), drift=None, by_hand=True)


def in_step(lips: Sequence[AnyLips], sync: Sync | None) -> list[AnyLips]:
    """Lips put where their sound is, if they are certainly elsewhere."""
    if sync is None or not sync.out_of_step:
        return list(lips)
    return [sync.moved(sequence) for sequence in lips]


def lateness(offset_ms: float) -> str:
    """An offset in words: "120 ms late"."""
    rounded = round(abs(offset_ms))
    return f"{rounded} ms {'late' if offset_ms > 0 else 'early'}" if rounded else "in step"
