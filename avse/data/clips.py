"""Clips for training: sounds, and talking faces with synchronised sound and lips."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avse.dsp.stft import SAMPLE_RATE, VIDEO_RATE
from avse.types import FloatArray

SAMPLES_PER_FRAME = SAMPLE_RATE // VIDEO_RATE


@dataclass(frozen=True)
class AudioClip:
    """A sound of a pack: which corpus and person, its place in the list, and its length."""

    corpus: str
    person: str
    offset: int
    samples: int


class Sounds(ABC):
    """Sounds, 16 kHz mono, read from disk at each access."""

    clips: list[AudioClip]

    @abstractmethod
    def audio(self, clip: AudioClip) -> FloatArray:
        """(samples,) float32 in -1..1."""


@dataclass(frozen=True)
class TalkingClip:
    """One clip: (frames × 640,) samples and (frames, 43, 3) lips, minus the clip's median."""

    corpus: str
    name: str
    person: str
    audio: FloatArray
    lips: FloatArray
    seen: FloatArray


@dataclass(frozen=True)
class Row:
    """Description of a clip that is available before reading it: corpus, person, and video
    frames."""

    corpus: str
    person: str
    frames: int


class ClipSet(ABC):
    """Talking clips that can be listed without being read."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def row(self, n: int) -> Row:
        """Description of a clip, without reading its data."""

    @abstractmethod
    def clip(self, n: int) -> TalkingClip:
        """Read a clip."""

    def people(self) -> dict[str, dict[str, list[int]]]:
        """Indices of clips by corpus and person."""
        found: dict[str, dict[str, list[int]]] = {}
        for n in range(len(self)):
            row = self.row(n)
            found.setdefault(row.corpus, {}).setdefault(row.person, []).append(n)
        return found


class MemoryClips(ClipSet):
    """Clips in memory."""

    def __init__(self, clips: Sequence[TalkingClip]) -> None:
        self.clips = list(clips)

    def __len__(self) -> int:
        return len(self.clips)

    def row(self, n: int) -> Row:
        """Description of a clip."""
        clip = self.clips[n]
        return Row(clip.corpus, clip.person, len(clip.seen))

    def clip(self, n: int) -> TalkingClip:
        """A clip."""
        return self.clips[n]


def principal_components(
    clips: Sequence[TalkingClip], count: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, components and their scale over clips, every person counting alike.

    Returns:
        mean (points × 3,), components (count, points × 3), scale (count,).
    """
    people: dict[str, list[FloatArray]] = {}
    for clip in clips:
        people.setdefault(clip.person, []).append(clip.lips[clip.seen > 0].reshape(-1, 129))
    rng = np.random.default_rng(0)
    rows = []
    for frames in people.values():
        x = np.concatenate(frames)
        rows.append(x[rng.choice(len(x), min(len(x), 2000), replace=False)])
    x = np.concatenate(rows).astype(np.float64)
    mean = x.mean(axis=0)
    _, singular, directions = np.linalg.svd(x - mean, full_matrices=False)
    scale = singular[:count] / np.sqrt(len(x))
    return (
        mean.astype(np.float32),
        directions[:count].astype(np.float32),
        scale.astype(np.float32),
    )
