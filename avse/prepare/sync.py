"""Compute the evidence for every A/V offset of a clip, from lip and voice embeddings.

The embeddings of the visual stream and of the voice stream agree if lips and voice belong together
(see `avse.training.contrastive`), and agree best at the true offset. A clip of a second has little
evidence, so `avse.prepare.delays` combines the clips of a recording.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from avse.faces.lips import network_motion
from avse.sync.agreement import slide
from avse.types import FloatArray
from avse.utils.fingerprint import sha256

if TYPE_CHECKING:
    from avse.models.network import AVSENet

REACH = 6
"""The largest offset in video frames, late or early."""

VERSION = 1


@lru_cache(maxsize=1)
def listener(model: str) -> AVSENet:
    """Load the network, once per process.

    Raises:
        MissingWeightsError, CorruptWeightsError: see `avse.models.weights.load`.
    """
    from avse.models.weights import load

    return load(model)


def model_digest(model: str) -> str:
    """Digest of the weights, `VERSION` and `REACH`, on which the evidence depends.

    Raises:
        MissingWeightsError: the weights do not exist.
    """
    from avse.utils.shipped import find

    path, known = find(model)
    return f"{VERSION}-{REACH}-{(known or sha256(path))[:16]}"


def delay_curve(
    network: AVSENet,
    sound: npt.NDArray[np.int16],
    lips: npt.NDArray[np.float16],
    seen: npt.NDArray[np.uint8],
) -> FloatArray:
    """Compute the evidence that the sound is late by -REACH..REACH video frames.

    Args:
        network: in evaluation mode.
        sound: (samples,) int16, 16 kHz.
        lips: (frames, 43, 3) float16.
        seen: (frames,) uint8, whether the lips are visible.

    Returns:
        (2 · REACH + 1,) float32 evidence in nats: for each delay, the mean over the frames with
        visible lips and sound, times the number of all frames with visible lips.
    """
    import torch

    from avse.models.embeddings import lip_embedding, voice_embedding

    here = seen > 0
    moved = network_motion(lips.astype(np.float32), here)
    with torch.inference_mode():
        voice = voice_embedding(network, torch.from_numpy(sound.astype(np.float32) / 32768)[None])
        mouth = lip_embedding(
            network, torch.from_numpy(moved)[None], torch.from_numpy(here.astype(np.float32))[None]
        )
        gain = float(network.voice.gain.exp())
        a, b = mouth[0].numpy(), voice[0].numpy()
    frames = min(a.shape[1], b.shape[1])
    # Each delay has another number of frames with sound.
    totals, counts = slide(a[:, :frames], b[:, :frames], here[:frames], range(-REACH, REACH + 1))
    curve = gain * totals / np.maximum(counts, 1) * here[:frames].sum()
    return np.asarray(curve, np.float32)
