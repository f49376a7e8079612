"""Write a pack's files: shards of at most a given size, then the list that makes them a pack."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from avse.media.atomic_files import appearing, place, temporary_name, writing
from avse.prepare.layouts import SourceFile
from avse.prepare.store import StoredResult

CLIPS = "clips.jsonl"
_PATTERN = "shard-*.safetensors"
_TENSORS = ("sound", "lips", "seen")
_HEADER = 160
"""Bytes at most that a safetensors header needs for a tensor, its name aside."""


@dataclass(frozen=True)
class ShardClip:
    """A clip that goes into the pack.

    Attributes:
        source: the clip's files.
        result: what was measured.
        person: who talks; labelled or found.
        split: "train", "valid" or "test".
        delay: video frames by which the sound is late.
        confidence: 0..1, of the delay.
    """

    source: SourceFile
    result: StoredResult
    person: str
    split: str
    delay: int
    confidence: float


@dataclass(frozen=True)
class Shard:
    """A file that was written: its name, bytes, SHA-256, and how many clips are in it."""

    name: str
    bytes: int
    sha256: str
    clips: int


def write_pack(
    folder: Path, clips: Sequence[ShardClip], *, shard_mb: float, pictures: bool
) -> list[Shard]:
    """Write shards and `clips.jsonl`.

    Everything is written under temporary names first. Then the old list goes, the files of the new
    pack get their names, and its list comes last: a folder with a list is whole. The same clips
    give the same bytes.

    Args:
        folder: the pack.
        clips: in any order.
        shard_mb: size of a shard at most, in 10⁶ bytes.
        pictures: whether clips have lips.

    Raises:
        OutputError: the folder cannot be written to.
    """
    ordered = sorted(clips, key=lambda c: (c.split, c.source.corpus, c.person, c.source.id))
    shards: list[Shard] = []
    rows: list[dict[str, object]] = []
    temporary: dict[str, Path] = {}
    try:
        for number, group in enumerate(_grouped(ordered, round(shard_mb * 1e6), pictures)):
            name = f"shard-{number:05d}.safetensors"
            tensors: dict[str, npt.NDArray[Any]] = {}
            for clip in group:
                arrays = _arrays(clip)
                tensors |= {f"{clip.source.id}/{key}": value for key, value in arrays.items()}
                rows.append(_row(clip, name, arrays))
            data = save(tensors, metadata={"format": "avse-pack-1"})
            temporary[name] = temporary_name(folder / name)
            with writing(folder / name):
                temporary[name].write_bytes(data)
            digest = hashlib.sha256(data).hexdigest()
            shards.append(Shard(name, len(data), digest, len(group)))
        text = "".join(json.dumps(row, sort_keys=True) + "\n" for row in rows)
        with writing(folder):
            (folder / CLIPS).unlink(missing_ok=True)
            for name, path in temporary.items():
                place(path, folder / name, overwrite=True)
            for stale in folder.glob(_PATTERN):
                if stale.name not in temporary:
                    stale.unlink()
        write_text(folder / CLIPS, text)
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)
    return shards


def write_text(path: Path, text: str) -> None:
    """Write a text file, which appears by rename.

    Raises:
        OutputError: it cannot be written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, which appears by rename.

    Raises:
        OutputError: it cannot be written.
    """
    with appearing(path) as temporary:
        temporary.write_bytes(data)


def size_of(source: SourceFile, samples: int, *, pictures: bool) -> int:
    """Bytes that a clip takes in a shard, at most."""
    frames = samples // 640 + 1
    names = len(_TENSORS) * (_HEADER + len(json.dumps(source.id)))
    return 2 * samples + (frames * (43 * 3 * 2 + 1) if pictures else 0) + names


def _grouped(clips: Sequence[ShardClip], limit: int, pictures: bool) -> Iterator[list[ShardClip]]:
    group: list[ShardClip] = []
    room = limit - 1024
    for clip in clips:
        samples = round(clip.result.measured.flags["seconds"] * 16_000) + 16
        size = size_of(clip.source, samples, pictures=pictures)
        if group and size > room:
            yield group
            group, room = [], limit - 1024
        group.append(clip)
        room -= size
    if group:
        yield group


def _arrays(clip: ShardClip) -> dict[str, npt.NDArray[Any]]:
    arrays = clip.result.arrays(*_TENSORS)
    return {key: np.ascontiguousarray(arrays[key]) for key in _TENSORS if key in arrays}


def _row(clip: ShardClip, shard: str, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, object]:
    """What the list says of a clip."""
    source, measured = clip.source, clip.result.measured
    files = [
        {"size": state.size, "mtime_ns": state.mtime_ns, "sha256": state.sha256}
        for state in measured.files
    ]
    samples = len(arrays["sound"])
    return {
        "id": source.id,
        "path": source.path,
        **files[0],
        "sound": None if source.sound is None else {"path": source.sound, **files[-1]},
        "corpus": source.corpus,
        "person": clip.person,
        "recording": source.recording,
        "split": clip.split,
        "shard": shard,
        "frames": len(arrays["seen"]) if "seen" in arrays else samples // 640,
        "samples": samples,
        "delay_frames": clip.delay,
        "delay_confidence": round(clip.confidence, 3),
        "flags": measured.flags,
    }
