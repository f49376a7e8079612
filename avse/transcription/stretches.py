"""Find the audible stretches of a voice, and cut it into pieces for a recogniser."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from avse.diarization.segments import SMALLEST_LEVEL, runs, tidied
from avse.faces.lips import RATE_HZ
from avse.types import FloatArray

HEARD_DB = 50.0
"""Frames within this level of the loudest frame of a voice are audible, in dB. The value is high,
because the gate's silence is far lower, and a lost soft word is worse than a breath."""

SHORTEST_S, SHORTEST_PAUSE_S = 0.1, 0.7
"""Shorter sounds are left out, and shorter pauses are filled, in seconds."""

_REST_S = 1.0  # shortest remainder after cutting a stretch


@dataclass(frozen=True)
class Cutting:
    """Rules for cutting a voice.

    Attributes:
        longest_s: maximum length of a piece in seconds; longer stretches are cut at a quiet moment.
        longest_pause_s: stretches with shorter pauses between them form one piece.
    """

    longest_s: float
    longest_pause_s: float


@dataclass(frozen=True)
class Loudness:
    """The level of a voice over time.

    Attributes:
        levels: (frames,) mean power at 25 Hz.
        heard: audible stretches: first frame, and the frame after the last.
        peak: largest absolute sample.
    """

    levels: FloatArray
    heard: list[tuple[int, int]]
    peak: float

    def next_piece(self, begin: int, cutting: Cutting) -> tuple[int, int] | None:
        """Find the first piece from a frame on.

        Returns:
            Its first frame, and the frame after its last; None if no audible stretch is left.
        """
        ahead = [(max(first, begin), stop) for first, stop in self.heard if stop > begin]
        if not ahead:
            return None
        first, stop = ahead[0]
        limit = first + round(cutting.longest_s * RATE_HZ)
        if stop > limit:
            near = first + 2 * (limit - first) // 3
            far = max(near + 1, min(limit, stop - round(_REST_S * RATE_HZ)))
            return first, near + int(np.argmin(self.levels[near:far])) + 1
        for follows, end in ahead[1:]:
            if end > limit or follows - stop > cutting.longest_pause_s * RATE_HZ:
                break
            stop = end
        return first, stop

    def is_heard(self, start_s: float, stop_s: float) -> bool:
        """Whether the voice is audible within a stretch of time."""
        return any(a < stop_s * RATE_HZ and b > start_s * RATE_HZ for a, b in self.heard)


def loudness(blocks: Iterable[FloatArray], rate_hz: int) -> Loudness:
    """Measure the level of a voice.

    Args:
        blocks: (1, n) float32 each; in all but the last, n is a multiple of the frame length.
        rate_hz: sample rate, a multiple of 25.
    """
    step = rate_hz // RATE_HZ
    levels: list[FloatArray] = []
    peak = 0.0
    for block in blocks:
        frames = np.pad(block[0], (0, -block.shape[1] % step)).reshape(-1, step)
        levels.append(np.mean(np.square(frames), axis=1))
        peak = max(peak, float(np.abs(block).max(initial=0.0)))
    together = np.concatenate([np.zeros(0, np.float32), *levels])
    loudest = float(together.max(initial=0.0))
    if loudest < SMALLEST_LEVEL:
        return Loudness(together, [], peak)
    flags = together > loudest * 10 ** (-HEARD_DB / 10)
    return Loudness(together, runs(tidied(flags, SHORTEST_S, SHORTEST_PAUSE_S)), peak)
