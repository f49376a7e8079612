"""Probability of speech from voice activity features: two logistic regressions.

`benchmarks/who_calibration.py` fitted them to the features of the weights `avse-small`, on scenes
drawn from the training clips: people who talk, keep still, move their lips slowly, or move them to
another person's voice. For other weights, fit them again, and compare with `benchmarks/who.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avse.inference.activity_features import AGREEMENT, HEAD, LEVEL, MOTION, SEEN
from avse.types import FloatArray


@dataclass(frozen=True)
class Calibration:
    """A logistic regression.

    Attributes:
        weights: weights of some features, by index.
        offset: bias of the logit.
    """

    weights: dict[int, float]
    offset: float

    def probability(self, cues: FloatArray) -> FloatArray:
        """Probability (..., frames) from features (..., cues, frames)."""
        logit = self.offset + sum(w * cues[..., n, :] for n, w in self.weights.items())
        return np.asarray(1 / (1 + np.exp(-np.clip(logit, -50, 50))), np.float32)


AUDIO_VISUAL = Calibration({HEAD: 0.4594, LEVEL: 0.0548, AGREEMENT: 4.296}, 0.1837)
"""For recordings with sound."""

LIPS_ONLY = Calibration({MOTION: 3.6}, 6.3)
"""For recordings without sound, with the native face backend: fitted to 12 clips of GRID s1 and 30
people of demonstration pages."""

LIPS_ONLY_MESH = Calibration({MOTION: 4.2}, 4.83)
"""The same for face meshes, whose landmarks jitter more: lips then seem to move twice as fast."""


def lips_only(faces: str) -> Calibration:
    """The calibration for recordings without sound.

    Args:
        faces: name of the face backend, see `avse.settings.Settings`.
    """
    return LIPS_ONLY if faces == "native" else LIPS_ONLY_MESH


def speaking(cues: FloatArray, calibration: Calibration = AUDIO_VISUAL) -> FloatArray:
    """Compute the probability that each person speaks.

    Args:
        cues: (people, cues, frames), see `avse.inference.activity_features`.
        calibration: `AUDIO_VISUAL`, or that of `lips_only`.

    Returns:
        (people, frames) probabilities; NaN where the lips are not visible.
    """
    probability = calibration.probability(cues)
    return np.where(cues[:, SEEN] > 0.5, probability, np.float32(np.nan))
