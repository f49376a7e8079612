"""Enrolment: voiceprints of the people in a recording, from where each talks alone.

A first pass over a recording finds stretches in which exactly one person speaks, and computes their
voiceprints. In the second pass they are an input of the network, which then separates these people
better where they talk at once and where their lips are hidden. No separate recording is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avse.dsp.stft import VIDEO_RATE
from avse.inference.mask_estimator import MaskBlock
from avse.inference.voice_activity import speaking
from avse.types import FloatArray


@dataclass(frozen=True)
class EnrolmentRule:
    """Thresholds: when a person talks alone, and when a voice is known.

    Attributes:
        speaks: minimal probability that the person speaks.
        share: minimal share of the person's voice in the sound.
        known_s: minimal length of such sound, in seconds. The network was trained with one to
            four seconds.
    """

    speaks: float = 0.6
    share: float = 0.8
    known_s: float = 1.0


USUAL = EnrolmentRule()


@dataclass(frozen=True)
class Enrolment:
    """Voiceprints of the people in a recording.

    Attributes:
        sums: (people, size + 1): for each person, the weighted sum of voiceprint frames, and the
            sum of the weights.
        rule: see `EnrolmentRule`.
    """

    sums: npt.NDArray[np.float64]
    rule: EnrolmentRule = USUAL

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(people,) bool, whose voice is known."""
        enough: npt.NDArray[np.bool_] = self.sums[:, -1] >= self.rule.known_s * VIDEO_RATE
        return enough

    def voices(self) -> FloatArray:
        """(people, size) voiceprints for the network, 0 for unknown voices.

        As `avse.models.voiceprint.enrolment`: their root mean square is 1.
        """
        total = self.sums[:, :-1] * self.known[:, None]
        power = np.square(total).mean(axis=-1, keepdims=True)
        return np.asarray(total / np.sqrt(np.maximum(power, 1e-24)), np.float32)


def enrolled(
    blocks: Iterable[MaskBlock], people: int, rule: EnrolmentRule = USUAL
) -> Enrolment | None:
    """Learn voices from the masks of a first pass.

    Args:
        blocks: masks with traces of off-screen speech.
        people: number of people.
        rule: see `EnrolmentRule`.

    Returns:
        None if nobody talks alone for long enough.
    """
    sums: npt.NDArray[np.float64] | None = None
    for block in blocks:
        assert block.traces is not None
        prints = block.traces.prints[:people]
        speaks = np.nan_to_num(speaking(block.cues)) >= rule.speaks
        alone = speaks & (prints[:, -1] >= rule.share)
        here = (prints * alone[:, None]).sum(axis=-1, dtype=np.float64)
        sums = here if sums is None else sums + here
    found = None if sums is None else Enrolment(sums, rule)
    return found if found is not None and found.known.any() else None
