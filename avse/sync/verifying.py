"""Verify an offset that is not certain: compare separation with and without moving the lips by it.

In a mixture, the voices mask one another, so that three seconds seldom make an offset certain. In
separated voices, the lips agree with the voice more clearly. So a stretch is separated twice, once
with the lips as they are and once with the lips moved by the offset. If the offset is right, the
voices of the moved lips agree better with their lips; if it is wrong, they agree worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from avse.dsp.stft import VIDEO_RATE
from avse.faces.lips import AnyLips
from avse.inference.activity_features import AGREEMENT, SEEN
from avse.inference.engine import Engine
from avse.inference.networks import SeparationNetwork
from avse.inference.sound import Sound
from avse.settings import Settings
from avse.sync.result import Sync

STRETCH_S = 12.0
"""The length of the separated stretch at most, in seconds."""

FARTHEST_MS = 500.0
"""Larger offsets are not verified: they are rare, and mostly wrong if they are not certain."""

CLEARLY, BARELY = 0.05, 0.02
"""By how much the agreement has to be better with moved lips: `BARELY` for a probable offset, else
`CLEARLY`. They were set on 120 mixtures of two people in the wild (2.9 s each; 111 of the offsets
were measured within 60 ms of the truth). Of the mixtures in step, none is moved by more than 40 ms.
With lips 120 ms early, the agreement gains 0.037 or more for all offsets that are right, and 0.077
or more for 95 % of them."""


def verify(network: SeparationNetwork, lips: Sequence[AnyLips], sound: Sound, sync: Sync) -> Sync:
    """Verify an offset that is not certain by separation.

    Args:
        network: see `avse.inference.networks`.
        lips: each person's lips, not moved; frame 0 is at the first sample of the sound.
        sound: of the recording.
        sync: the measured offset.

    Returns:
        `sync` with `verified` set; `sync` itself if its offset is certain or cannot be verified.
    """
    offset_ms = sync.whole.offset_ms
    settled = sync.by_hand or sync.confident or not sync.apart or sync.drift is not None
    if settled or offset_ms is None or abs(offset_ms) > FARTHEST_MS or not lips:
        return sync
    engine = Engine(network, Settings(gate=False, carry=False))
    begin = _best_stretch(lips)
    moved = [sync.moved(one) for one in lips]
    gain = _agreement(engine, moved, sound, begin) - _agreement(engine, lips, sound, begin)
    return replace(sync, verified=gain > (BARELY if sync.probable else CLEARLY))


def _agreement(engine: Engine, lips: Sequence[AnyLips], sound: Sound, begin: int) -> float:
    """Mean agreement of the separated voices with their lips over the frames with lips."""
    total, count, frames = 0.0, 0.0, round(STRETCH_S * VIDEO_RATE)
    for cues in engine.run(lips, sound, begin=begin, exact=False).cues():
        here = cues[..., : max(0, frames)]
        total += float((here[:, AGREEMENT] * here[:, SEEN]).sum())
        count += float(here[:, SEEN].sum())
        frames -= here.shape[-1]
        if frames <= 0:
            break
    return total / max(1.0, count)


def _best_stretch(lips: Sequence[AnyLips]) -> int:
    """The first frame of the stretch of `STRETCH_S` with the most visible lips."""
    stop = max((one.stop for one in lips), default=0)
    seen = np.zeros(max(1, stop))
    for one in lips:
        for part in one.stretches:
            low, high = max(0, part.first), min(stop, part.first + len(part.points))
            if high > low:
                seen[low:high] += part.seen[low - part.first : high - part.first]
    sums = np.concatenate([[0.0], np.cumsum(seen)])
    starts = np.arange(0, max(1, stop - VIDEO_RATE), 2 * VIDEO_RATE)
    ends = np.minimum(starts + round(STRETCH_S * VIDEO_RATE), stop)
    return int(starts[np.argmax(sums[ends] - sums[starts])])
