"""Off-screen speech in a window: masks of narrators and crowds, and voiceprints."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME
from avse.models.spec import OFFSCREEN_PARTS
from avse.types import ComplexArray, FloatArray

NARRATOR, CROWD = OFFSCREEN_PARTS.index("narrator"), OFFSCREEN_PARTS.index("crowd")

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

    shares: FloatArray
    prints: FloatArray

    def followed_by(self, late: OffscreenFeatures) -> OffscreenFeatures:
        """Join two blocks."""
        return OffscreenFeatures(
            np.concatenate([self.shares, late.shares], axis=-1),
            np.concatenate([self.prints, late.prints], axis=-1),
        )


@dataclass(frozen=True)
class Traces:
    """`OffscreenFeatures` of the frames of a block, averaged over the windows that cover them."""

    shares: FloatArray
    prints: FloatArray


class OffscreenNetworks(Protocol):
    """The two networks for off-screen speech, in evaluation mode.

    Attributes:
        voiceprint_size: size of a voiceprint.
    """

    voiceprint_size: int

    def shares(self, mixture: FloatArray, left: FloatArray) -> FloatArray:
        """Compute the shares of each of `OFFSCREEN_PARTS` in the residual.

        Args:
            mixture: (bins, frames), magnitudes; the number of frames is a multiple of 4.
            left: (bins, frames), magnitudes of the residual: what no visible person's mask takes.

        Returns:
            (parts, bins, frames), 0..1.

        Raises:
            GPUMemoryError: this takes more memory than the GPU has.
        """
        ...

    def voiceprints(self, magnitude: FloatArray) -> FloatArray:
        """Compute the frames of voiceprints.

        Args:
            magnitude: (n, bins, frames), of single voices.

        Returns:
            (n, size, video frames).

        Raises:
            GPUMemoryError: this takes more memory than the GPU has.
        """
        ...


def offscreen_features(
    networks: OffscreenNetworks, mixture: ComplexArray, masks: ComplexArray
) -> OffscreenFeatures:
    """Compute the features of one window.

    Args:
        networks: see `OffscreenNetworks`.
        mixture: (bins, frames), STFT; the number of frames is a multiple of 4.
        masks: (people, bins, frames), of all people in the picture.
    """
    magnitude = np.abs(mixture)
    left = magnitude * np.abs(1 - masks.sum(axis=0))
    shares = networks.shares(magnitude, left)[[NARRATOR, CROWD]]
    voices = np.concatenate([np.abs(masks) * magnitude, (shares[0] * left)[None]])
    weight = share_of(voices, magnitude)
    frames = networks.voiceprints(voices) * weight[:, None]
    return OffscreenFeatures(shares, np.concatenate([frames, weight[:, None]], axis=1))


def share_of(voices: FloatArray, mixture: FloatArray) -> FloatArray:
    """Share of each voice in the sound, frame by frame.

    Args:
        voices: (n, bins, frames), magnitudes.
        mixture: (bins, frames), magnitudes of the mixture.

    Returns:
        (n, video frames), 0..1; 0 where the mixture is quiet.
    """
    whole = _energy(mixture[None])
    loud = whole > whole.max(axis=-1, keepdims=True) * 10 ** (-QUIET_DB / 10)
    share = np.clip(_energy(voices) / np.maximum(whole, 1e-12), 0, 1)
    return np.asarray(share * loud, np.float32)


def _energy(magnitude: FloatArray) -> FloatArray:
    """Energy of (n, bins, frames) in each video frame: (n, video frames)."""
    power = np.square(magnitude).mean(axis=1)
    return np.asarray(power.reshape(len(power), -1, HOPS_PER_VIDEO_FRAME).mean(axis=-1))
