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

import torch
from torch import Tensor
from torch.nn import functional

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME
from avse.models.network import AVSENet, NetworkOutput, level

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
    network: AVSENet, spectrum: Tensor, components: Tensor, seen: Tensor, answer: NetworkOutput
) -> Tensor:
    """Compute all features of all people in one window.

    Args:
        network: the network that gave `answer`.
        spectrum: (bins, frames), complex STFT of the mixture.
        components: (people, components, video frames), the lip components that the network had.
        seen: (people, video frames), 1 where the lips are visible.
        answer: output of the network for this mixture and all people.

    Returns:
        (people, COUNT, video frames).
    """
    voices = answer.complex_mask()[0] * spectrum
    power = (voices.abs() / level(spectrum[None])).square().mean(dim=1)
    power = power.reshape(len(power), -1, HOPS_PER_VIDEO_FRAME).mean(dim=-1)
    loud = 10 * (smoothed(power, _LEVEL_FRAMES) + QUIETEST).log10()
    heard = network.voice((voices / level(voices)).abs())
    near = contrast(answer.lips[0], heard, REACH) * network.voice.gain.exp()
    one = [
        smoothed(answer.activity[0], _HEAD_FRAMES),
        loud,
        smoothed(near[:, REACH], _LONG_FRAMES),
        motion(components),
        seen,
    ]
    return torch.cat([torch.stack(one, dim=1), near], dim=1)


def contrast(lips: Tensor, voices: Tensor, reach: int = 0) -> Tensor:
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
    apart = torch.stack([voices.roll(lag, dims=-1) for lag in lags]).mean(dim=0)
    near = [voices.roll(lag, dims=-1) for lag in range(-reach, reach + 1)]
    return torch.stack([(lips * (voice - apart)).sum(dim=1) for voice in near], dim=1)


def motion(components: Tensor) -> Tensor:
    """Logarithm of the speed of the lips, averaged over a second.

    Args:
        components: (people, components, video frames), whitened.

    Returns:
        (people, video frames).
    """
    steps = functional.pad(components[..., 1:] - components[..., :-1], (1, 0))
    speed = steps.square().mean(dim=1).sqrt()
    return (smoothed(speed, _LONG_FRAMES) + STILLEST).log()


def smoothed(x: Tensor, frames: int) -> Tensor:
    """Running mean over an odd number of frames: (n, frames); the edge values are repeated."""
    around = functional.pad(x[:, None], (frames // 2, frames // 2), mode="replicate")
    return functional.avg_pool1d(around, frames, stride=1)[:, 0]
