"""The result of measuring the A/V offset: offsets, drift and confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from avse.faces.lips import RATE_HZ, AnyLips, Lips, resample_stretches

CONFIDENT = 0.9
"""From this confidence on, separation corrects for an offset by default."""

PROBABLE = 0.5
"""From this confidence on, `avse sync --fix` moves the sound."""

IN_STEP_MS = 40.0
"""Offsets up to this are not corrected: in speech, lips lead or follow the voice by 10 to 20 ms,
the error of the estimate is as large, and separation is not worse up to 40 ms. The confidence is
the probability that the error of an estimate is at most this."""


@dataclass(frozen=True)
class Offset:
    """An A/V offset: by how much the sound is late.

    Attributes:
        offset_ms: in milliseconds, negative if the sound is early; None if there is no evidence.
        confidence: 0..1, the probability that the offset is right to within 40 ms.
    """

    offset_ms: float | None
    confidence: float

    def as_json(self) -> dict[str, object]:
        """The offset as in the JSON output."""
        return {"offset_ms": self.offset_ms, "confidence": self.confidence}


@dataclass(frozen=True)
class PersonOffset:
    """The offset of one person's lips.

    Attributes:
        number: of the person.
        offset: measured from this person's lips alone.
    """

    number: int
    offset: Offset


@dataclass(frozen=True)
class WindowOffset:
    """The offset in a window of the recording.

    Attributes:
        start_s, end_s: the window, in seconds from the first sample of the sound.
        offset: measured in this window alone, from all people's lips.
    """

    start_s: float
    end_s: float
    offset: Offset


@dataclass(frozen=True)
class Drift:
    """An offset that grows or shrinks at a constant rate.

    Attributes:
        ms_per_minute: the rate; positive if the sound gets later.
        begin_ms, end_ms: the offset at the beginning of the first window and at the end of the
            last.
        middle_s: the time at which the offset is that of `Sync.whole`, in seconds from the first
            sample of the sound.
    """

    ms_per_minute: float
    begin_ms: float
    end_ms: float
    middle_s: float


@dataclass(frozen=True)
class Sync:
    """The A/V offset of a recording.

    Attributes:
        whole: measured from all people's lips over the whole recording; with a drift, the offset
            at `Drift.middle_s`.
        people: measured from each person's lips, in order of their numbers.
        windows: measured in each window.
        drift: None if no drift was found.
        by_hand: whether the user has set the offset; see `set_by_hand`.
        verified: whether separation has confirmed an offset that is not certain; see
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
        """Whether the confidence is at least `CONFIDENT`."""
        return self.whole.offset_ms is not None and self.whole.confidence >= CONFIDENT

    @property
    def probable(self) -> bool:
        """Whether the confidence is at least `PROBABLE`."""
        return self.whole.offset_ms is not None and self.whole.confidence >= PROBABLE

    @property
    def apart(self) -> bool:
        """Whether the measured offset, right or wrong, exceeds `IN_STEP_MS` somewhere."""
        if self.drift is not None:
            return max(abs(self.drift.begin_ms), abs(self.drift.end_ms)) > IN_STEP_MS
        return abs(self.whole.offset_ms or 0.0) > IN_STEP_MS

    @property
    def out_of_step(self) -> bool:
        """Whether sound and picture are certainly out of step, so that separation corrects it.

        An offset that was set by hand is certain, however small it is.
        """
        if self.by_hand:
            return bool(self.whole.offset_ms)
        return self.apart and (self.confident or self.verified)

    def describe(self) -> str:
        """Describe the result in words."""
        if self.whole.offset_ms is None:
            return "not known; there are no lips and voices to compare"
        confirmed = ", confirmed by separation" if self.verified else ""
        sure = f"(confidence {self.whole.confidence:.2f}{confirmed})"
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
        """The result as in the JSON output, without windows."""
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
        """Compute by how much the sound is late at times of the picture.

        Args:
            times: (n,) seconds from the first sample of the sound.

        Returns:
            (n,) seconds, negative where the sound is early.
        """
        late = np.full_like(times, (self.whole.offset_ms or 0.0) / 1000)
        if self.drift is not None:
            late += (times - self.drift.middle_s) * self.drift.ms_per_minute / 60_000
        return late

    def moved(self, lips: AnyLips) -> Lips:
        """Move lips in time, so that they are in step with their sound."""
        frames, points, confidence = Lips(lips.stretches).sightings()
        times = frames / RATE_HZ
        # With a drift, frames are not 1 / RATE_HZ apart any more; they still belong to one stretch.
        longest = Fraction(3, 2 * RATE_HZ)
        return resample_stretches(times + self.late_s(times), points, confidence, max_gap_s=longest)


def set_by_hand(offset_ms: float, measured: Sync | None = None) -> Sync:
    """Make a `Sync` of an offset that the user has set.

    Args:
        offset_ms: milliseconds by which the sound is late.
        measured: a measurement, whose people and windows are kept.
    """
    others = Sync(Offset(None, 0.0), (), ()) if measured is None else measured
    return replace(others, whole=Offset(offset_ms, 1.0), drift=None, by_hand=True)


def in_step(lips: Sequence[AnyLips], sync: Sync | None) -> list[AnyLips]:
    """Move all lips in time, so that they are in step with the sound, if it is out of step.

    Args:
        lips: each person's lips.
        sync: the offset; None moves nothing.
    """
    if sync is None or not sync.out_of_step:
        return list(lips)
    return [sync.moved(sequence) for sequence in lips]


def lateness(offset_ms: float) -> str:
    """Put an offset in words: "120 ms late"."""
    rounded = round(abs(offset_ms))
    return f"{rounded} ms {'late' if offset_ms > 0 else 'early'}" if rounded else "in step"
