"""The visual, voice and audio streams.

`VisualStream` and `VoiceStream` map to one embedding at the video rate; `AudioStream` computes
features of the mixture. `avse.models.network` combines them and names the sources.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from avse.dsp.stft import BINS, HOPS_PER_VIDEO_FRAME, mel_filters
from avse.models.blocks import BatchNorm, TemporalBlock, fine_blocks
from avse.models.spec import AVSESpec

FLOOR = 1e-5
"""Power below which a time-frequency bin of a level-normalised mixture counts as empty."""


@dataclass
class AudioFeatures:
    """The output of the audio stream.

    Attributes:
        coarse: (batch, coarse_channels, video frames).
        fine: (batch, fine_channels, frames) at the STFT rate.
    """

    coarse: Tensor
    fine: Tensor

    def pick(self, index: Tensor) -> AudioFeatures:
        """Select mixtures of the batch by index, with repetition."""
        return AudioFeatures(self.coarse[index], self.fine[index])

    def expand(self, count: int) -> AudioFeatures:
        """Repeat the only mixture of the batch, without a copy."""
        return AudioFeatures(self.coarse.expand(count, -1, -1), self.fine.expand(count, -1, -1))


class VisualStream(nn.Module):
    """Maps lip geometry to an embedding of the voice: a dilated temporal CNN at 25 Hz."""

    mean: Tensor
    components: Tensor
    scale: Tensor

    def __init__(self, spec: AVSESpec) -> None:
        super().__init__()
        width = 3 * spec.lip_points
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("components", torch.zeros(spec.lip_components, width))
        self.register_buffer("scale", torch.ones(spec.lip_components))
        # Components, their velocities, and whether the lips were seen.
        self.enter = nn.Conv1d(2 * spec.lip_components + 1, spec.visual_channels, 1)
        self.blocks = nn.ModuleList(
            TemporalBlock(spec.visual_channels, k, d, dropout=spec.dropout)
            for k, d in zip(spec.visual_kernels, spec.visual_dilations, strict=True)
        )
        self.norm = BatchNorm(spec.visual_channels)
        self.leave = nn.Conv1d(spec.visual_channels, spec.embedding, 1)

    def project(self, points: Tensor, seen: Tensor) -> Tensor:
        """Whitened principal components of the motion around the person's resting mouth.

        Args:
            points: (batch, video frames, points, 3), head-fixed, minus the person's median.
            seen: (batch, video frames), 1 where the lips are visible, else 0.

        Returns:
            (batch, components, video frames).
        """
        z = (points.flatten(2) - self.mean) @ self.components.T / self.scale
        return (z * seen[..., None]).transpose(1, 2)

    def forward(self, components: Tensor, seen: Tensor) -> Tensor:
        """Compute the embedding.

        Args:
            components: (batch, components, video frames), from `project`.
            seen: (batch, video frames).

        Returns:
            (batch, embedding, video frames), 0 where the lips are not visible.
        """
        both = functional.pad(seen[:, 1:] * seen[:, :-1], (1, 0))
        velocity = functional.pad(components[..., 1:] - components[..., :-1], (1, 0))
        x = torch.cat([components, 2 * velocity * both[:, None], seen[:, None]], dim=1)
        x = self.enter(x)
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.leave(torch.relu(self.norm(x))) * seen[:, None]
        return out


class VoiceStream(nn.Module):
    """Maps a single voice to the embedding of its speaker's lips.

    It is trained with `VisualStream` and simulates the lips of speech without video. Separation
    does not use it.
    """

    mel: Tensor

    def __init__(self, spec: AVSESpec) -> None:
        super().__init__()
        width, step = spec.voice_channels, HOPS_PER_VIDEO_FRAME
        self.register_buffer("mel", torch.from_numpy(mel_filters(spec.voice_bands)))
        self.norm = BatchNorm(spec.voice_bands)
        self.enter = nn.Conv1d(spec.voice_bands, width, 2 * step, stride=step, padding=step // 2)
        self.blocks = nn.ModuleList(
            TemporalBlock(width, spec.kernel, d, dropout=spec.dropout) for d in (1, 2, 4)
        )
        self.leave = nn.Conv1d(width, spec.embedding, 1)
        self.gain = nn.Parameter(torch.tensor(-3.0))

    def forward(self, magnitude: Tensor) -> Tensor:
        """(batch, bins, frames) of a level-normalised voice -> (batch, embedding, video frames)."""
        bands = (self.mel @ magnitude.square() + 100 * FLOOR).log()
        bands = bands - bands.mean(dim=(1, 2), keepdim=True)
        x = self.enter(self.norm(bands))
        for block in self.blocks:
            x = block(x)
        out: Tensor = self.leave(torch.relu(x))
        return out

    def evidence(self, lips: Tensor, voices: Tensor) -> Tensor:
        """Similarity of lips and voices.

        The inner product of the embeddings, summed over time, not averaged, so that longer
        stretches weigh more.

        Args:
            lips: (faces, embedding, video frames).
            voices: (voices, embedding, video frames).

        Returns:
            (faces, voices).
        """
        return torch.einsum("fct,vct->fv", lips, voices) * self.gain.exp()


class AudioStream(nn.Module):
    """Maps the mixture's magnitudes to features at two rates."""

    def __init__(self, spec: AVSESpec) -> None:
        super().__init__()
        fine, coarse, k = spec.fine_channels, spec.coarse_channels, spec.kernel
        step = HOPS_PER_VIDEO_FRAME
        self.compression = spec.compression
        self.norm = BatchNorm(BINS)
        self.enter = nn.Conv1d(BINS, fine, 1)
        self.encoder = fine_blocks(fine, spec.encoder_blocks, spec)
        self.down = nn.Conv1d(fine, coarse, step, stride=step)
        dense = spec.convolution == "dense"
        self.blocks = nn.Sequential(
            *(TemporalBlock(coarse, k, d, dense=dense) for d in spec.audio_dilations)
        )

    def forward(self, magnitude: Tensor) -> AudioFeatures:
        """(batch, bins, frames) of a level-normalised mixture, frames a multiple of 4."""
        compressed = (magnitude.square() + FLOOR).pow(self.compression / 2)
        fine = self.encoder(self.enter(self.norm(compressed)))
        return AudioFeatures(self.blocks(self.down(fine)), fine)
