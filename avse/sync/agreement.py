"""Cross-correlation of lip and voice embeddings over A/V offsets.

Contrastive training of the visual stream and the voice stream (`avse.training.contrastive`) makes
the inner product of their embeddings the evidence that lips and voice belong together. `slide`
computes that product for a range of offsets. `hear` computes the voice embedding every 10 ms, four
times per video frame, so that offsets are resolved more finely than a video frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from avse.dsp.stft import HOP, HOPS_PER_VIDEO_FRAME, WINDOW, spectrum_level, stft_frames
from avse.inference.networks import SeparationNetwork
from avse.types import FloatArray

BoolArray = npt.NDArray[np.bool_]


def voice_embedding(network: SeparationNetwork, sounds: FloatArray) -> FloatArray:
    """Compute the embedding of clean voices.

    Args:
        network: see `avse.inference.networks`.
        sounds: (n, samples) float32, 16 kHz; a multiple of 640 samples.

    Returns:
        (n, embedding, video frames) float32.
    """
    padded = np.pad(sounds, ((0, 0), (WINDOW // 2, WINDOW // 2 - HOP)))
    magnitude = np.abs(stft_frames(padded, WINDOW, HOP))
    return network.voice_embedding(magnitude / spectrum_level(magnitude))


def hear(network: SeparationNetwork, sound: FloatArray) -> FloatArray:
    """Compute the voice embedding at every hop of the STFT.

    The voice stream has one output per video frame; it runs four times, with the sound shifted by a
    hop each time.

    Args:
        network: see `avse.inference.networks`.
        sound: (samples,) float32, 16 kHz.

    Returns:
        (embedding, hops) float32; the number of hops is samples / 160, rounded down to a multiple
        of 4.
    """
    frames = len(sound) // (HOP * HOPS_PER_VIDEO_FRAME)
    phases = HOPS_PER_VIDEO_FRAME
    if not frames:
        return np.zeros((network.spec.embedding, 0), np.float32)
    padded = np.pad(sound, (0, phases * HOP))
    count = frames * phases * HOP
    moved = np.stack([padded[n * HOP : n * HOP + count] for n in range(phases)])
    voices = voice_embedding(network, moved)
    return voices.transpose(1, 2, 0).reshape(voices.shape[1], -1)


def slide(
    lips: FloatArray,
    voice: FloatArray,
    seen: BoolArray,
    delays: Sequence[int],
    *,
    step: int = 1,
    start: int = 0,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Sum the inner products of lip and voice embeddings over frames, for each delay.

    Args:
        lips: (embedding, frames) lip embeddings.
        voice: (embedding, instants) voice embeddings.
        seen: (frames,) bool, whether the lips are visible.
        delays: delays of the sound, in instants.
        step: instants from one lip frame to the next.
        start: instant of lip frame 0; it may lie outside the sound.

    Returns:
        (delays,) sums over the frames with visible lips and sound, and (delays,) the number of
        these frames.
    """
    products = lips.T.astype(np.float64) @ voice.astype(np.float64)
    frames = np.flatnonzero(seen)
    totals, counts = np.zeros(len(delays)), np.zeros(len(delays), np.int64)
    for n, late in enumerate(delays):
        at = start + step * frames + late
        there = (at >= 0) & (at < voice.shape[1])
        totals[n] = products[frames[there], at[there]].sum()
        counts[n] = there.sum()
    return totals, counts
