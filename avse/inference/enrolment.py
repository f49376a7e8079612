"""Enrolment: what the voice of each person sounds like, from where that person talks alone.

A first pass over a recording finds stretches in which one person speaks and nobody else does, and
describes those voices. A second pass gives the descriptions to the network, which then finds these
people again where they talk at once and where their lips cannot be seen. Nobody is asked to record
anything: conversations enrol their own speakers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from avse.dsp.stft import VIDEO_RATE
from avse.inference.mask_estimator import MaskBlock
from avse.inference.voice_activity import speaking
from avse.models.voiceprint import enrolment
from avse.types import FloatArray


@dataclass(frozen=True)
class EnrolmentRule:
    """When a person talks alone, and when a voice is known.

    Attributes:
        speaks: least probability that the person speaks.
        share: least share of the sound that is the person's voice.
        known_s: seconds of such sound from which a voice is known. The network was trained with
            one to four seconds.
    """

    speaks: float = 0.6
    share: float = 0.8
    known_s: float = 1.0


USUAL = EnrolmentRule()


@dataclass(frozen=True)
class Enrolment:
    """Voices of the people in a recording.

    Attributes:
        sums: (people, size + 1): of each person's voice, the sum of voiceprint frames times their
            weight, and of the weights.
        rule: see `EnrolmentRule`.
    """

    sums: npt.NDArray[np.float64]
    rule: EnrolmentRule = USUAL

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """(people,) whose voice is known."""
        enough: npt.NDArray[np.bool_] = self.sums[:, -1] >= self.rule.known_s * VIDEO_RATE
        return enough

    def voices(self) -> FloatArray:
        """(people, size) voiceprints as the network takes them, 0 for voices that are not known."""
        found = enrolment(torch.from_numpy(self.sums[:, :-1] * self.known[:, None]))
        return np.asarray(found, np.float32)


def enrolled(
    blocks: Iterable[MaskBlock], people: int, rule: EnrolmentRule = USUAL
) -> Enrolment | None:
    """Learn voices from the masks of a first pass.

    Args:
        blocks: with traces.
        people: how many there are.
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
