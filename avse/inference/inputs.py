"""Lips as the visual stream takes them, cut into windows."""

from __future__ import annotations

import numpy as np
import torch

from avse.faces.lips import AnyLips, Lips, network_motion
from avse.models.network import AVSENet
from avse.types import FloatArray


class LipComponents:
    """What the visual stream is fed of one person's lips: a few MB for an hour in sight.

    Args:
        network: on its device.
        lips: of the person.

    Attributes:
        first, stop: video frames from the first with lips to the one after the last.
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
        """(components, frames), and (frames,) 1 where the lips were seen, else 0.

        Args:
            start: video frame; beyond both ends the lips are unseen.
            frames: how many.
        """
        out, seen = np.zeros((self.size, frames), np.float32), np.zeros(frames, np.float32)
        for first, components, there in self.stretches:
            low, high = max(start, first), min(start + frames, first + len(there))
            if high > low:
                out[:, low - start : high - start] = components[:, low - first : high - first]
                seen[low - start : high - start] = there[low - first : high - first]
        return out, seen
