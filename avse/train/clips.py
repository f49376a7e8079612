"""Talking-face clips as training material: sound and lips of real people, in step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avse.faces.lips import motion
from avse.stft import SAMPLE_RATE, VIDEO_RATE

FloatArray = npt.NDArray[np.float32]
SAMPLES_PER_FRAME = SAMPLE_RATE // VIDEO_RATE


@dataclass(frozen=True)
class TalkingClip:
    """One clip: (frames × 640,) samples and (frames, 43, 3) lips, minus the clip's median."""

    corpus: str
    name: str
    person: str
    audio: FloatArray
    lips: FloatArray
    seen: FloatArray


class TalkingPack:
    """All clips of some corpora, in memory.

    `NAME.npz` holds audio (samples,) int16, points (frames, 43, 3) float16, seen (frames,) bool;
    `NAME.json` a list of {"corpus", "name", "person", "n": frames, "frame": first frame,
    "delay": frames by which the sound is late}.
    """

    def __init__(self, path: Path) -> None:
        index = json.loads(path.with_suffix(".json").read_text())
        with np.load(path.with_suffix(".npz")) as stored:
            audio, points, seen = stored["audio"], stored["points"], stored["seen"]
        self.clips: list[TalkingClip] = []
        for row in index:
            first, n = row["frame"], row["n"]
            span = slice(first, first + n)
            sound = audio[first * SAMPLES_PER_FRAME : (first + n) * SAMPLES_PER_FRAME]
            lips = points[span].astype(np.float32)
            here = seen[span].astype(np.float32)
            late = int(row.get("delay", 0))
            if late > 0:
                sound, lips, here = sound[late * SAMPLES_PER_FRAME :], lips[:-late], here[:-late]
            elif late < 0:
                sound, lips, here = sound[: late * SAMPLES_PER_FRAME], lips[-late:], here[-late:]
            lips = motion(lips, here > 0)
            self.clips.append(
                TalkingClip(
                    row["corpus"],
                    row["name"],
                    row["person"],
                    sound.astype(np.float32) / 32768,
                    lips,
                    here,
                )
            )


def principal_components(
    clips: list[TalkingClip], count: int
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
