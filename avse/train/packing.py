"""Recordings to packs: what the training stages read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avse.errors import AvseError
from avse.media import AudioReader
from avse.scene import look
from avse.settings import Settings
from avse.stft import SAMPLE_RATE
from avse.train.clips import SAMPLES_PER_FRAME

Samples = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Recording:
    """A file, the corpus it counts towards and the person in it."""

    path: Path
    corpus: str
    person: str


def by_folder(root: Path, corpus: str) -> list[Recording]:
    """Every file below a folder; the person is the folder that it lies in."""
    files = sorted(p for p in root.rglob("*") if p.is_file() and not p.name.endswith(".tsv"))
    return [Recording(p, corpus, p.parent.name) for p in files]


def read_sound(path: Path) -> npt.NDArray[np.float32]:
    """(samples,) mono at the network's rate."""
    with AudioReader(path, rate_hz=SAMPLE_RATE, mono=True) as reader:
        sound: npt.NDArray[np.float32] = np.concatenate([b.samples for b in reader], axis=-1)[0]
        return sound


def to_int16(x: npt.NDArray[np.float32]) -> Samples:
    """Round to 16 bits."""
    return np.asarray(np.clip(np.rint(x * 32767), -32768, 32767), np.int16)


def pack_sound(recordings: Iterable[Recording], path: Path) -> list[str]:
    """Write `path`.i16 and `path`.json, as `avse.train.mixing.Pack` reads them.

    Returns:
        What was left out, and why.
    """
    index: list[tuple[str, str, int, int]] = []
    dropped: list[str] = []
    offset = 0
    with path.with_suffix(".i16").open("wb") as out:
        for recording in recordings:
            try:
                x = to_int16(read_sound(recording.path))
            except AvseError as error:
                dropped.append(f"{recording.path}: {error.message}")
                continue
            out.write(x.tobytes())
            index.append((recording.corpus, recording.person, offset, len(x)))
            offset += len(x)
    path.with_suffix(".json").write_text(json.dumps(index))
    return dropped


def pack_clips(recordings: Iterable[Recording], path: Path) -> list[str]:
    """Write `path`.npz and `path`.json, as `avse.train.clips.TalkingPack` reads them.

    Clips with one face only are kept.

    Returns:
        What was left out, and why.
    """
    index: list[dict[str, object]] = []
    dropped: list[str] = []
    sounds: list[Samples] = []
    points: list[npt.NDArray[np.float16]] = []
    seen: list[npt.NDArray[np.bool_]] = []
    frame = 0
    for recording in recordings:
        try:
            scene = look(recording.path, Settings())
            sound = read_sound(recording.path)
        except AvseError as error:
            dropped.append(f"{recording.path}: {error.message}")
            continue
        if len(scene.people) != 1:
            dropped.append(f"{recording.path}: {len(scene.people)} faces")
            continue
        # Lips count from the first sample of the sound already.
        frames = len(sound) // SAMPLES_PER_FRAME
        lips = next(iter(scene.people)).lips.window(0, frames)
        sounds.append(to_int16(sound[: frames * SAMPLES_PER_FRAME]))
        points.append(lips.points.astype(np.float16))
        seen.append(lips.seen)
        index.append(
            {
                "corpus": recording.corpus,
                "name": recording.path.stem,
                "person": recording.person,
                "n": frames,
                "frame": frame,
                "delay": 0,
            }
        )
        frame += frames
    np.savez(
        path.with_suffix(".npz"),
        audio=np.concatenate(sounds),
        points=np.concatenate(points),
        seen=np.concatenate(seen),
    )
    path.with_suffix(".json").write_text(json.dumps(index, indent=0))
    return dropped
