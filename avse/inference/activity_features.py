"""What the network knows about who speaks, frame by frame.

Four cues for each person, and `SEEN`, 1 where the lips were seen at all. `HEAD`: the logit of the
network's own activity head. `LEVEL`: how loud the voice is that was found for the person, in dB
relative to the mixture. `AGREEMENT`: how much better the lips go with that voice than with the same
voice at other times: the contrast between the embeddings in step and out of step, as a
synchronisation network is read (Chung and Zisserman 2016, *Out of time*). It is what speaks
against lips that move to another's voice. `MOTION`: how much the lips move; all there is without
sound. `NEAR` is agreement again, frame by frame, at small delays too: for
`avse.diarization.dubbing`, which averages it over seconds.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME
from avse.models.network import AVSENet, NetworkOutput, level

HEAD, LEVEL, AGREEMENT, MOTION, SEEN = range(5)

REACH = 4
"""Delays in `NEAR`, in video frames either way: 160 ms."""

NEAR = slice(5, 5 + 2 * REACH + 1)
COUNT = NEAR.stop

QUIETEST = 1e-6
"""Power, relative to the mixture's, below which a voice counts as silence: -60 dB."""

STILLEST = 0.02
"""Motion, in whitened components a frame, that counts as none."""

NEAREST, FARTHEST = 8, 25
"""Out of step, for `AGREEMENT`: by so many frames, either way."""

_HEAD_FRAMES, _LEVEL_FRAMES, _LONG_FRAMES = 5, 3, 25


def find_cues(
    network: AVSENet, spectrum: Tensor, components: Tensor, seen: Tensor, answer: NetworkOutput
) -> Tensor:
    """All cues for everybody in one window.

    Args:
        network: that answered.
        spectrum: (bins, frames), complex, of the mixture.
        components: (people, components, video frames), what the network saw.
        seen: (people, video frames), 1 where it saw lips.
        answer: to this mixture alone, with everybody.

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
    """How much better lips and voices go together in step, or nearly, than out of step.

    Args:
        lips: (people, embedding, video frames).
        voices: (people, embedding, video frames), what was heard of each; what is shifted beyond
            one end comes in again at the other.
        reach: delays up to so many frames, either way, are in the answer; less than `NEAREST`.

    Returns:
        (people, 2 · reach + 1, video frames), in step in the middle.
    """
    lags = [*range(-FARTHEST, -NEAREST), *range(NEAREST + 1, FARTHEST + 1)]
    apart = torch.stack([voices.roll(lag, dims=-1) for lag in lags]).mean(dim=0)
    near = [voices.roll(lag, dims=-1) for lag in range(-reach, reach + 1)]
    return torch.stack([(lips * (voice - apart)).sum(dim=1) for voice in near], dim=1)


def motion(components: Tensor) -> Tensor:
    """Logarithm of how fast the lips move, over a second.

    Args:
        components: (people, components, video frames), whitened.

    Returns:
        (people, video frames).
    """
    steps = functional.pad(components[..., 1:] - components[..., :-1], (1, 0))
    speed = steps.square().mean(dim=1).sqrt()
    return (smoothed(speed, _LONG_FRAMES) + STILLEST).log()


def smoothed(x: Tensor, frames: int) -> Tensor:
    """Running mean over an odd number of frames: (n, frames), the ends held beyond the ends."""
    around = functional.pad(x[:, None], (frames // 2, frames // 2), mode="replicate")
    return functional.avg_pool1d(around, frames, stride=1)[:, 0]
