"""Scenes with visible and off-screen speakers, made from packs of `avse prepare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avse.data.clips import SAMPLES_PER_FRAME
from avse.data.pack import PreparedPack, TalkingClips
from avse.dsp.stft import SAMPLE_RATE
from avse.evaluation.statistics import interval
from avse.faces.lips import POINTS, LipSequence
from avse.training.mixing import set_level
from avse.types import FloatArray

PAUSE_S = 0.15


class Cast:
    """The people of a pack.

    Args:
        pack: folder of the pack.
        splits: the splits whose people are used; () for all.
        least_s: people with fewer seconds of clips are left out.
    """

    def __init__(self, pack: Path, splits: tuple[str, ...] = (), least_s: float = 4.5) -> None:
        opened = PreparedPack(pack)
        rows = [clip for clip in opened.clips if not splits or clip.split in splits]
        self.clips = TalkingClips(opened, rows)
        people: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            people.setdefault(row.person, []).append(place)
        self.people = {
            name: places
            for name, places in people.items()
            if sum(rows[place].samples for place in places) >= least_s * SAMPLE_RATE
        }

    def draw(self, rng: np.random.Generator, count: int) -> list[str]:
        """Draw the names of different people."""
        return [str(name) for name in rng.permutation(sorted(self.people))[:count]]

    def talk(
        self, rng: np.random.Generator, name: str, frames: int
    ) -> tuple[FloatArray, FloatArray]:
        """Join clips of a person: (samples,) of the voice and (frames, points, 3) of the lips."""
        sounds: list[FloatArray] = []
        lips: list[FloatArray] = []
        have = 0
        places = rng.permutation(self.people[name])
        while have < frames:
            clip = self.clips[int(places[len(lips) % len(places)])]
            length = len(clip.lips)
            sound = set_level(clip.audio, 0.1)[: length * SAMPLES_PER_FRAME]
            sounds.append(np.pad(sound, (0, length * SAMPLES_PER_FRAME - len(sound))))
            lips.append(clip.lips)
            have += length
        return (
            np.concatenate(sounds)[: frames * SAMPLES_PER_FRAME].astype(np.float32),
            np.concatenate(lips)[:frames].astype(np.float32),
        )

    def still(self, rng: np.random.Generator, name: str, frames: int) -> FloatArray:
        """Make still lips of a person, with landmark noise: (frames, points, 3)."""
        first = self.clips[int(rng.choice(self.people[name]))].lips[0]
        drift = np.cumsum(rng.normal(0, 0.0005, (frames, 1, 3)), axis=0)
        shake = rng.normal(0, 0.0008, (frames, POINTS, 3))
        return np.asarray(first + drift + shake, np.float32)


def face(lips: FloatArray, seen: npt.NDArray[np.bool_]) -> LipSequence:
    """Make the lips of a face that is visible in the frames of `seen`, (frames,)."""
    confidence = np.repeat(seen[:, None], POINTS, axis=1).astype(np.float32)
    return LipSequence(0, lips, confidence)


def silenced(sound: FloatArray, speaks: npt.NDArray[np.bool_]) -> FloatArray:
    """Silence a voice except in the frames of `speaks`, (frames,), with fades of 20 ms."""
    gate = np.repeat(speaks.astype(np.float32), SAMPLES_PER_FRAME)
    edge = np.hanning(2 * SAMPLES_PER_FRAME // 2 + 1)
    slow = np.clip(np.convolve(gate, edge / edge.sum(), "same"), 0, 1)
    return np.asarray(sound * slow, np.float32)


def told(values: Sequence[float]) -> str:
    """Format the mean over scenes and its 95 % interval."""
    array = np.array(values, np.float64)
    low, high = interval(array, [str(n) for n in range(len(array))])
    spread = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
    return f"{array.mean():6.2f}{spread}"
