"""Off-screen speech in a window: masks of narrators and crowds, and voiceprints."""

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
"""Frames that are this much quieter than the loudest frame of the window have no weight in
voiceprints."""


@dataclass(frozen=True)
class OffscreenFeatures:
    """Features of off-screen speech in one window.

    Attributes:
        shares: (2, bins, frames), 0..1: shares of a narrator and of a crowd in the sound that no
            visible person's mask takes.
        prints: (people + 1, size + 1, video frames): for each person, and last for the narrator,
            voiceprint frames times their weight, and the weight: the share of this voice in the
            sound, 0 where the sound is quiet.
    """

    shares: Tensor
    prints: Tensor

    def followed_by(self, late: OffscreenFeatures) -> OffscreenFeatures:
        """Join two blocks."""
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
    """The two networks for off-screen speech.

    Args:
        network: separates the remaining sound into narrator and crowd.
        voiceprint: computes voiceprints.
    """

    def __init__(self, network: OffscreenNet, voiceprint: VoiceprintNet) -> None:
        self.network, self.voiceprint = network, voiceprint

    @torch.inference_mode()
    def features(self, mixture: Tensor, masks: Tensor) -> OffscreenFeatures:
        """Compute the features of one window.

        Args:
            mixture: (bins, frames), complex; the number of frames is a multiple of 4.
            masks: (people, bins, frames), complex, of all people in the picture.
        """
        left = mixture * (1 - masks.sum(dim=0))
        shares = self.network(mixture[None], left[None])[0, [NARRATOR, CROWD]]
        voices = torch.cat([masks * mixture, (shares[0] * left)[None]]).abs()
        weight = share_of(voices, mixture.abs())
        frames = self.voiceprint(voices) * weight[:, None]
        return OffscreenFeatures(shares, torch.cat([frames, weight[:, None]], dim=1))


def share_of(voices: Tensor, mixture: Tensor) -> Tensor:
    """Share of each voice in the sound, frame by frame.

    Args:
        voices: (n, bins, frames), magnitudes.
        mixture: (bins, frames), magnitudes of the mixture.

    Returns:
        (n, video frames), 0..1; 0 where the mixture is quiet.
    """
    whole = _energy(mixture[None])
    loud = whole > whole.amax(dim=-1, keepdim=True) * 10 ** (-QUIET_DB / 10)
    return (_energy(voices) / whole.clamp_min(1e-12)).clamp(0, 1) * loud


def _energy(magnitude: Tensor) -> Tensor:
    """Energy of (n, bins, frames) in each video frame: (n, video frames)."""
    power = magnitude.square().mean(dim=1)
    return power.reshape(len(power), -1, HOPS_PER_VIDEO_FRAME).mean(dim=-1)
