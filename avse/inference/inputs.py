"""Lip inputs of the visual stream, cut into windows."""

from __future__ import annotations

import numpy as np

from avse.faces.lips import AnyLips, Lips, network_motion
from avse.inference.networks import LipProjection
from avse.types import FloatArray


class LipComponents:
    """Lip components of one person: a few MB per hour in sight.

    Args:
        projection: of the network.
        lips: lips of the person.

    Attributes:
        first, stop: range of video frames with lips.
    """

    def __init__(self, projection: LipProjection, lips: AnyLips) -> None:
        self.first, self.stop = lips.first, lips.stop
        self.size = len(projection.components)
        self.stretches: list[tuple[int, FloatArray, FloatArray]] = []
        _, points, _ = Lips(lips.stretches).sightings()
        there = np.ones(len(points), np.bool_)
        moved = network_motion(points, there)
        done = 0
        for one in lips.stretches:
            seen = one.seen
            count = int(np.count_nonzero(seen))
            components = np.zeros((self.size, len(seen)), np.float32)
            components[:, seen] = projection(moved[done : done + count])
            self.stretches.append((one.first, components, seen.astype(np.float32)))
            done += count

    def window(self, start: int, frames: int) -> tuple[FloatArray, FloatArray]:
        """Lip components (components, frames), and visibility (frames,): 1 where the lips are
        visible.

        Args:
            start: first video frame; outside of `first` to `stop` the lips are not visible.
            frames: number of frames.
        """
        out, seen = np.zeros((self.size, frames), np.float32), np.zeros(frames, np.float32)
        for first, components, there in self.stretches:
            low, high = max(start, first), min(start + frames, first + len(there))
            if high > low:
                out[:, low - start : high - start] = components[:, low - first : high - first]
                seen[low - start : high - start] = there[low - first : high - first]
        return out, seen
