"""Listening, window by window, for voices out of sight, and for whose they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME
from avse.models.offscreen import KINDS, OffscreenNet
from avse.models.voiceprint import VoiceprintNet
from avse.types import FloatArray

NARRATOR, CROWD = KINDS.index("narrator"), KINDS.index("crowd")

QUIET_DB = 30.0
"""Frames that are quieter than the loudest of their window by more than this say nothing of whose
voice it is."""


@dataclass(frozen=True)
class OffscreenFeatures:
    """Features of off-screen speech in one window.

    Attributes:
        shares: (2, bins, frames), 0..1: how much of what the visible are not given is a narrator,
            and how much a crowd.
        prints: (people + 1, size + 1, video frames): of each person's voice, and last of the
            narrator's, voiceprint frames times their weight, and that weight: the share of the
            sound that this voice is, 0 where it is quiet.
    """

    shares: Tensor
    prints: Tensor

    def followed_by(self, late: OffscreenFeatures) -> OffscreenFeatures:
        """The two as one."""
        return OffscreenFeatures(
            torch.cat([self.shares, late.shares], dim=-1),
            torch.cat([self.prints, late.prints], dim=-1),
        )


@dataclass(frozen=True)
class Traces:
    """`OffscreenFeatures` of the frames of a block, averaged over the windows that cover them."""

    shares: FloatArray
    prints: FloatArray


class Offscreen:
    """Two networks: what is left by the visible, and whose voice is it?

    Args:
        network: shares out what is left.
        voiceprint: describes voices.
    """

    def __init__(self, network: OffscreenNet, voiceprint: VoiceprintNet) -> None:
        self.network, self.voiceprint = network, voiceprint

    @torch.inference_mode()
    def features(self, mixture: Tensor, masks: Tensor) -> OffscreenFeatures:
        """Listen to one window.

        Args:
            mixture: (bins, frames), complex, frames a multiple of 4.
            masks: (people, bins, frames), complex, of everybody in the picture.
        """
        left = mixture * (1 - masks.sum(dim=0))
        shares = self.network(mixture[None], left[None])[0, [NARRATOR, CROWD]]
        voices = torch.cat([masks * mixture, (shares[0] * left)[None]]).abs()
        weight = share_of(voices, mixture.abs())
        frames = self.voiceprint(voices) * weight[:, None]
        return OffscreenFeatures(shares, torch.cat([frames, weight[:, None]], dim=1))


def share_of(voices: Tensor, mixture: Tensor) -> Tensor:
    """How much of the sound each voice is, frame by frame.

    Args:
        voices: (n, bins, frames), magnitudes.
        mixture: (bins, frames), magnitudes of what they are part of.

    Returns:
        (n, video frames), 0..1; 0 where the mixture is quiet.
    """
    whole = _energy(mixture[None])
    loud = whole > whole.amax(dim=-1, keepdim=True) * 10 ** (-QUIET_DB / 10)
    return (_energy(voices) / whole.clamp_min(1e-12)).clamp(0, 1) * loud


def _energy(magnitude: Tensor) -> Tensor:
    """(n, bins, frames) to (n, video frames)."""
    power = magnitude.square().mean(dim=1)
    return power.reshape(len(power), -1, HOPS_PER_VIDEO_FRAME).mean(dim=-1)
