"""Voice activity features of each person, frame by frame.

Four features, and `SEEN`, which is 1 where the lips are visible. `HEAD`: the logit of the network's
voice activity head. `LEVEL`: level of the person's separated speech, in dB relative to the mixture.
`AGREEMENT`: the A/V sync score, which is the similarity of lip and voice embeddings in sync minus
that at other offsets, as in a synchronisation network (Chung and Zisserman 2016, *Out of time*). It
is low for lips that move to another person's voice. `MOTION`: speed of the lips, the only feature
for recordings without sound. `NEAR`: the sync score at small offsets, not averaged over time, for
`avse.diarization.dubbing`.
"""

from __future__ import annotations

import numpy as np

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME, spectrum_level
from avse.inference.networks import Estimate, SeparationNetwork
from avse.types import ComplexArray, FloatArray

HEAD, LEVEL, AGREEMENT, MOTION, SEEN = range(5)

REACH = 4
"""Largest offset in `NEAR`, in video frames either way: 160 ms."""

NEAR = slice(5, 5 + 2 * REACH + 1)
COUNT = NEAR.stop

QUIETEST = 1e-6
"""Power relative to the mixture below which a voice counts as silence: -60 dB."""

STILLEST = 0.02
"""Motion below which lips count as still, in whitened components per frame."""

NEAREST, FARTHEST = 8, 25
"""Offsets that count as out of sync in `AGREEMENT`, in video frames either way."""

_HEAD_FRAMES, _LEVEL_FRAMES, _LONG_FRAMES = 5, 3, 25


def find_cues(
    network: SeparationNetwork,
    spectrum: ComplexArray,
    components: FloatArray,
    seen: FloatArray,
    estimate: Estimate,
) -> FloatArray:
    """Compute all features of all people in one window.

    Args:
        network: the network that gave `estimate`.
        spectrum: (bins, frames), STFT of the mixture.
        components: (people, components, video frames), the lip components that the network had.
        seen: (people, video frames), 1 where the lips are visible.
        estimate: output of the network for this mixture and all people.

    Returns:
        (people, COUNT, video frames).
    """
    magnitude = np.abs(estimate.masks * spectrum)
    power = np.square(magnitude / spectrum_level(spectrum)).mean(axis=1)
    power = power.reshape(len(power), -1, HOPS_PER_VIDEO_FRAME).mean(axis=-1)
    loud = 10 * np.log10(smoothed(power, _LEVEL_FRAMES) + QUIETEST)
    heard = network.voice_embedding(magnitude / spectrum_level(magnitude))
    near = contrast(estimate.lips, heard, REACH) * network.gain
    one = [
        smoothed(estimate.activity, _HEAD_FRAMES),
        loud,
        smoothed(near[:, REACH], _LONG_FRAMES),
        motion(components),
        seen,
    ]
    return np.concatenate([np.stack(one, axis=1), near], axis=1, dtype=np.float32)


def contrast(lips: FloatArray, voices: FloatArray, reach: int = 0) -> FloatArray:
    """A/V sync score: similarity of lips and voices at small offsets minus that at large ones.

    Args:
        lips: (people, embedding, video frames).
        voices: (people, embedding, video frames), embeddings of the separated speech; offsets are
            circular.
        reach: largest offset in the result, in frames either way; less than `NEAREST`.

    Returns:
        (people, 2 · reach + 1, video frames), with offset 0 in the middle.
    """
    lags = [*range(-FARTHEST, -NEAREST), *range(NEAREST + 1, FARTHEST + 1)]
    apart = np.mean([np.roll(voices, lag, axis=-1) for lag in lags], axis=0)
    near = [np.roll(voices, lag, axis=-1) for lag in range(-reach, reach + 1)]
    return np.stack([(lips * (voice - apart)).sum(axis=1) for voice in near], axis=1)


def motion(components: FloatArray) -> FloatArray:
    """Logarithm of the speed of the lips, averaged over a second.

    Args:
        components: (people, components, video frames), whitened.

    Returns:
        (people, video frames).
    """
    steps = np.diff(components, axis=-1, prepend=components[..., :1])
    speed = np.sqrt(np.square(steps).mean(axis=1))
    return np.asarray(np.log(smoothed(speed, _LONG_FRAMES) + STILLEST), np.float32)


def smoothed(x: FloatArray, frames: int) -> FloatArray:
    """Running mean over an odd number of frames: (n, frames); the edge values are repeated."""
    around = np.pad(x, ((0, 0), (frames // 2, frames // 2)), mode="edge")
    spans = np.lib.stride_tricks.sliding_window_view(around, frames, axis=-1)
    return np.asarray(spans.mean(axis=-1), np.float32)
