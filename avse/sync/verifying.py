"""An offset that is not certain, put to the test: do voices agree better with lips that are moved?

In a mixture, everybody's voice hides everybody else's, so three seconds seldom make an offset
certain. Voices that have been separated do not hide one another. So a stretch is separated twice,
with lips as they are and with lips moved by the offset; the right lips get voices that agree with
them. A wrong offset loses that test: moved lips get the worse voices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from avse.dsp.stft import VIDEO_RATE
from avse.faces.lips import AnyLips
from avse.inference.activity_features import AGREEMENT, SEEN
from avse.inference.engine import Engine
from avse.inference.sound import Sound
from avse.models.network import AVSENet
from avse.settings import Settings
from avse.sync.result import Sync

STRETCH_S = 12.0
"""Seconds that are separated at most, where most lips are in sight."""

FARTHEST_MS = 500.0
"""Larger offsets are not put to the test: they are rare, and mostly wrong if uncertain."""

CLEARLY, BARELY = 0.05, 0.02
"""By how much agreement has to be better with moved lips; the smaller one is enough for an offset
that is probable. Of 120 mixtures of two people in the wild (2.9 s each, in step, and 111 of the
offsets measured within 60 ms of the truth), none is moved by more than 40 ms; with lips 120 ms
early, all offsets that are right gain 0.037 or more, 95 % of them 0.077."""


def verify(network: AVSENet, lips: Sequence[AnyLips], sound: Sound, sync: Sync) -> Sync:
    """Say of an uncertain offset whether separation bears it out; others stay as they are.

    Args:
        network: in evaluation mode, on its device.
        lips: of everybody in the picture, frame 0 at the first sample of the sound, not moved.
        sound: of the recording.
        sync: as measured.
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
    """How well separated voices agree with the lips, on average over the frames with lips."""
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
    """The video frame from which most lips are in sight for `STRETCH_S`."""
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
