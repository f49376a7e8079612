"""The network for off-screen speech: it divides the residual among voices, crowd and rest.

It is trained on the outputs of a fixed `AVSENet`. The input is the mixture, and its residual after
the separation of the visible speakers; the output is the share of each kind in each time-frequency
bin of the residual. It is a U-Net of the temporal blocks of `avse.models.network`, without lips.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avse.dsp.stft import BINS, HOPS_PER_VIDEO_FRAME
from avse.models.blocks import TemporalBlock
from avse.models.network import level
from avse.models.spec import OFFSCREEN_PARTS, OffscreenSpec
from avse.models.streams import FLOOR


class OffscreenNet(nn.Module):
    """The network; see the docstring of this module."""

    def __init__(self, spec: OffscreenSpec) -> None:
        super().__init__()
        self.spec = spec
        fine, coarse, k = spec.fine_channels, spec.coarse_channels, spec.kernel
        step = HOPS_PER_VIDEO_FRAME
        self.norm = nn.BatchNorm1d(2 * BINS)
        self.enter = nn.Conv1d(2 * BINS, fine, 1)
        self.before = nn.Sequential(*(TemporalBlock(fine, k) for _ in range(spec.fine_blocks)))
        self.down = nn.Conv1d(fine, coarse, step, stride=step)
        self.blocks = nn.Sequential(*(TemporalBlock(coarse, k, d) for d in spec.dilations))
        self.up = nn.ConvTranspose1d(coarse, fine, step, stride=step)
        self.after = nn.Sequential(*(TemporalBlock(fine, k) for _ in range(spec.fine_blocks)))
        self.last = nn.BatchNorm1d(fine)
        self.leave = nn.Conv1d(fine, len(OFFSCREEN_PARTS) * BINS, 1)

    def forward(self, spectrum: Tensor, left: Tensor) -> Tensor:
        """Compute the shares of the residual.

        Args:
            spectrum: (batch, bins, frames), complex STFT of mixtures, frames a multiple of 4.
            left: the residual: the mixtures minus every voice separated by lips.

        Returns:
            (batch, len(OFFSCREEN_PARTS), bins, frames), 0..1; in every bin they add up to 1.
        """
        scale = level(spectrum)
        magnitude = torch.cat([spectrum.abs() / scale, left.abs() / scale], dim=1)
        x = self.norm((magnitude.square() + FLOOR).pow(self.spec.compression / 2))
        fine = self.before(self.enter(x))
        fine = self.after(fine + self.up(self.blocks(self.down(fine))))
        logits: Tensor = self.leave(torch.relu(self.last(fine)))
        return logits.reshape(len(logits), len(OFFSCREEN_PARTS), BINS, -1).softmax(dim=1)
