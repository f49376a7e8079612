"""Segments of speech: from probabilities or clean speech, and back to frames."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from avse.errors import UsageError
from avse.faces.lips import RATE_HZ
from avse.types import FloatArray

Flags = npt.NDArray[np.bool_]

LOUD_DB = 30.0
"""Clean speech is active within this many dB of its loudest frame, as in training
(`avse.training.separation_stage.speaking`)."""

SMALLEST_LEVEL = 1e-7
"""With a lower mean power of its loudest frame, a signal has no speech."""


@dataclass(frozen=True, order=True)
class Segment:
    """A stretch of time, in seconds."""

    start: float
    stop: float

    @property
    def length(self) -> float:
        """Length in seconds."""
        return self.stop - self.start


@dataclass(frozen=True)
class Hysteresis:
    """Hysteresis thresholds of speech segments.

    A segment begins where the probability reaches `on`, and extends to both sides while it is at
    least `off`. Then pauses shorter than `shortest_pause_s` are filled, and segments shorter than
    `shortest_speech_s` are removed.

    Attributes:
        on, off: probabilities, off at most on.
        shortest_speech_s, shortest_pause_s: in seconds.

    Raises:
        UsageError: a value is invalid.
    """

    on: float = 0.5
    off: float = 0.3
    shortest_speech_s: float = 0.2
    shortest_pause_s: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.off <= self.on <= 1:
            raise UsageError(
                f"thresholds of {self.on:g} and {self.off:g} make no hysteresis",
                "the first is 0 to 1, the second above 0 and no higher than the first",
            )
        if self.shortest_speech_s < 0 or self.shortest_pause_s < 0:
            raise UsageError("a shortest duration is negative", "choose 0 seconds or more")

    def flags(self, probability: FloatArray) -> Flags:
        """Decide which frames are speech.

        Args:
            probability: (frames,) at 25 Hz; NaN where unknown, which is not speech.

        Returns:
            (frames,) bool.
        """
        with np.errstate(invalid="ignore"):
            carried, sure = probability >= self.off, probability >= self.on
        kept = np.zeros(len(probability), np.bool_)
        for first, stop in runs(carried):
            kept[first:stop] = sure[first:stop].any()
        return tidied(kept, self.shortest_speech_s, self.shortest_pause_s)


def runs(flags: Flags) -> list[tuple[int, int]]:
    """Find each stretch of True: its first frame, and the frame after its last."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def tidied(flags: Flags, shortest_speech_s: float, shortest_pause_s: float) -> Flags:
    """Fill short pauses, then remove short speech: (frames,) at 25 Hz."""
    out = flags.copy()
    spoken = runs(out)
    for (_, before), (after, _) in pairwise(spoken):
        if (after - before) / RATE_HZ < shortest_pause_s:
            out[before:after] = True
    for first, stop in runs(out):
        if (stop - first) / RATE_HZ < shortest_speech_s:
            out[first:stop] = False
    return out


def segments(flags: Flags, first: float = 0.0) -> list[Segment]:
    """Convert flags at 25 Hz to segments.

    Args:
        flags: (frames,); frame k is the 40 ms from first + k / 25 on.
        first: time of the first frame, in seconds.
    """
    return [Segment(first + a / RATE_HZ, first + b / RATE_HZ) for a, b in runs(flags)]


def flags_of(spoken: Iterable[Segment], frames: int) -> Flags:
    """Convert segments to flags at 25 Hz, (frames,): whether a frame's middle is in a segment."""
    middles = (np.arange(frames) + 0.5) / RATE_HZ
    out = np.zeros(frames, np.bool_)
    for segment in spoken:
        out |= (middles >= segment.start) & (middles < segment.stop)
    return out


def speech_in(voice: FloatArray, rate_hz: int) -> list[Segment]:
    """Find the segments of clean speech.

    Frames of 40 ms within `LOUD_DB` of the loudest are speech. Pauses of less than 0.3 s are filled
    and bursts of less than 0.1 s are left out, as in manual annotation.

    Args:
        voice: (samples,).
        rate_hz: sample rate, a multiple of 25.
    """
    step = rate_hz // RATE_HZ
    pieces = np.pad(voice, (0, -len(voice) % step)).reshape(-1, step)
    level = np.mean(np.square(pieces, dtype=np.float64), axis=1)
    loudest = float(level.max(initial=0.0))
    if loudest < SMALLEST_LEVEL:
        return []
    return segments(tidied(level > loudest * 10 ** (-LOUD_DB / 10), 0.1, 0.3))
