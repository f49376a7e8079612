"""Lip inputs of the visual stream, cut into windows."""

from __future__ import annotations

import numpy as np
import torch

from avse.faces.lips import AnyLips, Lips, network_motion
from avse.models.network import AVSENet
from avse.types import FloatArray


class LipComponents:
    """Lip components of one person: a few MB per hour in sight.

    Args:
        network: the network, on its device.
        lips: lips of the person.

    Attributes:
        first, stop: range of video frames with lips.
    """

    def __init__(self, network: AVSENet, lips: AnyLips) -> None:
        self.first, self.stop = lips.first, lips.stop
        self.size = network.spec.lip_components
        self.stretches: list[tuple[int, FloatArray, FloatArray]] = []
        _, points, _ = Lips(lips.stretches).sightings()
        there = np.ones(len(points), np.bool_)
        moved = network_motion(points, there)
        device, done = network.visual.mean.device, 0
        for one in lips.stretches:
            seen = one.seen
            count = int(np.count_nonzero(seen))
            inputs = torch.from_numpy(moved[done : done + count])[None].to(device)
            with torch.inference_mode():
                found = network.visual.project(inputs, torch.ones(1, count, device=device))[0]
            components = np.zeros((self.size, len(seen)), np.float32)
            components[:, seen] = found.cpu().numpy()
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
