"""Compute the evidence for every A/V offset of a clip, from lip and voice embeddings.

The embeddings of the visual stream and of the voice stream agree if lips and voice belong together
(see `avse.training.contrastive`), and agree best at the true offset. A clip of a second has little
evidence, so `avse.prepare.delays` combines the clips of a recording.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from avse.dsp.stft import HOP, HOPS_PER_VIDEO_FRAME
from avse.faces.lips import network_motion
from avse.inference.networks import SeparationNetwork, open_network
from avse.sync.agreement import slide, voice_embedding
from avse.types import FloatArray
from avse.utils.fingerprint import sha256

REACH = 6
"""The largest offset in video frames, late or early."""

VERSION = 1


@lru_cache(maxsize=1)
def listener(model: str) -> SeparationNetwork:
    """Open the network, once per process.

    Raises:
        MissingWeightsError, CorruptWeightsError: see `open_network`.
    """
    return open_network(model)


def model_digest(model: str) -> str:
    """Digest of the weights, `VERSION` and `REACH`, on which the evidence depends.

    Raises:
        MissingWeightsError: the weights do not exist.
    """
    from avse.utils.shipped import find

    path, known = find(model)
    return f"{VERSION}-{REACH}-{(known or sha256(path))[:16]}"


def delay_curve(
    network: SeparationNetwork,
    sound: npt.NDArray[np.int16],
    lips: npt.NDArray[np.float16],
    seen: npt.NDArray[np.uint8],
) -> FloatArray:
    """Compute the evidence that the sound is late by -REACH..REACH video frames.

    Args:
        network: see `avse.inference.networks`.
        sound: (samples,) int16, 16 kHz.
        lips: (frames, 43, 3) float16.
        seen: (frames,) uint8, whether the lips are visible.

    Returns:
        (2 · REACH + 1,) float32 evidence in nats: for each delay, the mean over the frames with
        visible lips and sound, times the number of all frames with visible lips.
    """
    here = seen > 0
    moved = network_motion(lips.astype(np.float32), here)
    whole = len(sound) // (HOP * HOPS_PER_VIDEO_FRAME) * HOP * HOPS_PER_VIDEO_FRAME
    b = voice_embedding(network, sound[None, :whole].astype(np.float32) / 32768)[0]
    a = network.lip_embedding(network.projection(moved) * here, here.astype(np.float32))
    frames = min(a.shape[1], b.shape[1])
    # Each delay has another number of frames with sound.
    totals, counts = slide(a[:, :frames], b[:, :frames], here[:frames], range(-REACH, REACH + 1))
    curve = network.gain * totals / np.maximum(counts, 1) * here[:frames].sum()
    return np.asarray(curve, np.float32)
