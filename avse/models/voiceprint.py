"""Voiceprints (speaker embeddings) of separated voices.

The network computes frames, which are summed over seconds of speech and normalised to unit length.
Such voiceprints of one person are close to each other and far from those of others (as the
d-vectors of Wan et al. 2018, *Generalized end-to-end loss for speaker verification*, but as a
running sum of frames). The training data contain remainders of other voices, as separated voices
do.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME, mel_filters
from avse.models.blocks import TemporalBlock
from avse.models.network import level
from avse.models.spec import VoiceprintSpec
from avse.models.streams import FLOOR


class VoiceprintNet(nn.Module):
    """See the head of this file."""

    mel: Tensor

    def __init__(self, spec: VoiceprintSpec) -> None:
        super().__init__()
        self.spec = spec
        width, coarse, k = spec.channels, spec.coarse_channels, spec.kernel
        step, drop = HOPS_PER_VIDEO_FRAME, spec.dropout
        self.register_buffer("mel", torch.from_numpy(mel_filters(spec.bands)))
        self.norm = nn.BatchNorm1d(spec.bands)
        self.enter = nn.Conv1d(spec.bands, width, 1)
        self.before = nn.Sequential(*(TemporalBlock(width, k, dropout=drop) for _ in range(2)))
        self.down = nn.Conv1d(width, coarse, step, stride=step)
        self.blocks = nn.Sequential(
            *(TemporalBlock(coarse, k, d, dropout=drop) for d in spec.dilations)
        )
        self.last = nn.BatchNorm1d(coarse)
        self.leave = nn.Conv1d(coarse, spec.size, 1)

    def forward(self, spectrum: Tensor) -> Tensor:
        """Compute the frames of voiceprints.

        Args:
            spectrum: (n, bins, frames), magnitudes of single voices, frames a multiple of 4.

        Returns:
            (n, size, video frames), to be summed over frames in which the person speaks.
        """
        loud = (spectrum / level(spectrum)).abs()
        bands = (self.mel @ loud.square() + 100 * FLOOR).log()
        x = self.before(self.enter(self.norm(bands)))
        x = torch.relu(self.last(self.blocks(self.down(x))))
        out: Tensor = self.leave(x)
        return out


def pooled(frames: Tensor, weight: Tensor) -> Tensor:
    """Pool frames to voiceprints.

    Args:
        frames: (n, size, video frames).
        weight: (n, video frames), weight of each frame.

    Returns:
        (n, size), of unit length.
    """
    return functional.normalize((frames * weight[:, None]).sum(dim=-1), dim=-1)


def enrolment(total: Tensor) -> Tensor:
    """The voiceprint of a known voice as input of the fusion.

    Args:
        total: (..., size), a sum of frames of a `VoiceprintNet` times their weights, or a
            voiceprint; 0 for a voice that is not known.

    Returns:
        (..., size), with a root mean square of 1; 0 for a voice that is not known.
    """
    out: Tensor = functional.normalize(total, dim=-1) * total.shape[-1] ** 0.5
    return out
