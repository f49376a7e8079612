"""Draw enrolment sounds: other speech of a person, from which a voiceprint is computed.

Where a person talks alone in a recording, a voiceprint can be computed and given to the fusion
(`AVSESpec.enrolment`). In training, that sound comes from other clips of the person or from other
parts of a clip, never from the parts in the mixture. In a recording it is separated sound, which
is imperfect; so some enrolment sounds contain another source.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from avse.dsp.stft import SAMPLE_RATE
from avse.training.degradation import change_speed
from avse.types import FloatArray

LONGEST, LEAST = 4 * SAMPLE_RATE, SAMPLE_RATE
"""Most samples drawn of a voice, and the fewest; a voice with fewer is not enrolled."""

PIECE = SAMPLE_RATE // 2
"""Fewest samples that are taken from a clip."""

CLIPS = 8
"""Maximum number of clips that are tried."""

COMPANY, COMPANY_DB = 0.4, (-15.0, -5.0)
"""Probability of interfering sound, and its level relative to the voice."""


@dataclass
class UsedSpeech:
    """The parts of a person's clips that a mixture uses.

    Attributes:
        pieces: (first, last + 1) samples, by the index of the clip.
        speed: factor by which the speed of the voice was changed.
    """

    pieces: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    speed: float = 1.0

    def add(self, clip: int, begin: int, end: int) -> None:
        """Note a piece."""
        self.pieces.setdefault(clip, []).append((begin, end))

    def left(self, clip: int, length: int) -> tuple[int, int]:
        """The longest stretch of a clip that the mixture does not use."""
        longest = at = 0
        found = (0, 0)
        for begin, end in [*sorted(self.pieces.get(clip, [])), (length, length)]:
            if begin - at > longest:
                longest, found = begin - at, (at, begin)
            at = max(at, end)
        return found


@dataclass(frozen=True)
class Talker:
    """A voice of a mixture.

    Attributes:
        mixture, voice: indices of the mixture and of its voice.
        clips: places of all clips of the person.
        used: the parts of the clips that the mixture uses.
    """

    mixture: int
    voice: int
    clips: Sequence[int]
    used: UsedSpeech


def elsewhere(
    rng: np.random.Generator,
    clips: Sequence[int],
    used: UsedSpeech,
    read: Callable[[int], FloatArray],
) -> FloatArray | None:
    """Draw 1 to 4 s of a person's speech that the mixture does not use.

    Args:
        rng: decides what.
        clips: places of all clips of the person.
        used: the parts that must not be drawn.
        read: gives the sound of a clip by its place.

    Returns:
        (n,) samples, or None if there is too little.
    """
    wanted = int(rng.integers(LONGEST // 3, LONGEST + 1))
    parts: list[FloatArray] = []
    have = 0
    for n in rng.permutation(len(clips))[:CLIPS]:
        x = read(clips[n])
        first, last = used.left(clips[n], len(x))
        count = min(last - first, wanted - have)
        if count < PIECE:
            continue
        begin = int(rng.integers(first, last - count + 1))
        parts.append(_at_level(x[begin : begin + count]))
        have += count
        if wanted - have < PIECE:
            break
    if have < LEAST:
        return None
    joined = np.concatenate(parts)
    return joined if used.speed == 1 else change_speed(joined, used.speed)[:LONGEST]


def draw_enrolments(
    rng: np.random.Generator,
    share: float,
    sources: FloatArray,
    talkers: Sequence[Talker],
    read: Callable[[int], FloatArray],
) -> FloatArray:
    """Draw enrolment sounds for the voices of a batch of mixtures.

    Args:
        rng: generator for all choices.
        share: probability of enrolling a voice.
        sources: (mixtures, voices + 1, samples), from which interfering sound is taken.
        talkers: the voices of the mixtures.
        read: gives the sound of a clip by its place.

    Returns:
        (mixtures, voices, `LONGEST`), 0 at the end of shorter ones and where a voice is unknown.
    """
    out = np.zeros((len(sources), sources.shape[1] - 1, LONGEST), np.float32)
    for one in talkers:
        if rng.random() >= share:
            continue
        x = elsewhere(rng, one.clips, one.used, read)
        if x is None:
            continue
        if rng.random() < COMPANY:
            others = [s for v, s in enumerate(sources[one.mixture]) if v != one.voice and s.any()]
            if others:
                company = np.resize(others[rng.integers(len(others))], len(x))
                x = x + _at_level(company) * np.float32(10 ** (rng.uniform(*COMPANY_DB) / 20))
        out[one.mixture, one.voice, : len(x)] = x
    return out


def _at_level(x: FloatArray) -> FloatArray:
    rms = float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))
    return x * np.float32(0.1 / max(rms, 1e-6))
