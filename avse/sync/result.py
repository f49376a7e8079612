"""What `avse sync` finds out."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from avse.faces.lips import RATE_HZ, LipSequence, resample

CONFIDENT = 0.9
"""Confidence from which an offset is acted upon: separation corrects, `--fix` writes."""

IN_STEP_MS = 60.0
"""Offsets up to this are left alone: lips lead or follow the voice by 10 to 20 ms by themselves,
the estimate is off by as much, and separation does not suffer before 40 ms."""


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
    """

    whole: Offset
    people: tuple[PersonOffset, ...]
    windows: tuple[WindowOffset, ...]
    drift: Drift | None = None

    @property
    def confident(self) -> bool:
        """Whether the offset is known well enough to act upon."""
        return self.whole.offset_ms is not None and self.whole.confidence >= CONFIDENT

    @property
    def out_of_step(self) -> bool:
        """Whether sound and picture are certainly apart, by more than lips and voices are."""
        if not self.confident or self.whole.offset_ms is None:
            return False
        drift = self.drift
        ends = (self.whole.offset_ms,) if drift is None else (drift.begin_ms, drift.end_ms)
        return max(abs(end) for end in ends) > IN_STEP_MS

    def late_s(self, times: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """By how many seconds the sound is late at instants of the picture.

        Args:
            times: seconds from the first sample of the sound.
        """
        late = np.full_like(times, (self.whole.offset_ms or 0.0) / 1000)
        if self.drift is not None:
            late += (times - self.drift.middle_s) * self.drift.ms_per_minute / 60_000
        return late

    def moved(self, lips: LipSequence) -> LipSequence:
        """Lips put where their sound is."""
        frames = np.flatnonzero(lips.seen)
        times = (lips.first + frames) / RATE_HZ
        # Neighbouring frames stay neighbours, however they drift; gaps stay gaps.
        longest = Fraction(3, 2 * RATE_HZ)
        return resample(
            times + self.late_s(times),
            lips.points[frames],
            lips.confidence[frames],
            max_gap_s=longest,
        )
