"""The embeddings that lips and voices share: what an `AVSENet` makes of either by itself."""

from __future__ import annotations

from torch import Tensor

from avse.dsp.stft import stft
from avse.models.network import AVSENet, level


def voice_embedding(network: AVSENet, sound: Tensor) -> Tensor:
    """(n, samples) of clean voices -> (n, embedding, video frames)."""
    spectrum = stft(sound)[..., :-1]
    out: Tensor = network.voice((spectrum / level(spectrum)).abs())
    return out


def lip_embedding(network: AVSENet, lips: Tensor, seen: Tensor) -> Tensor:
    """(n, frames, points, 3) and (n, frames) -> (n, embedding, frames)."""
    out: Tensor = network.visual(network.visual.project(lips, seen), seen)
    return out
