"""Write the files of a pack: shards of limited size, then the list of clips."""

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
"""Maximum number of bytes for a tensor in a safetensors header, without its name."""


@dataclass(frozen=True)
class ShardClip:
    """A clip that goes into the pack.

    Attributes:
        source: the clip's files.
        result: its measurements.
        person: name of the speaker, from labels or by clustering.
        split: "train", "valid" or "test".
        delay: video frames by which the sound is late.
        confidence: of the delay, 0..1.
    """

    source: SourceFile
    result: StoredResult
    person: str
    split: str
    delay: int
    confidence: float


@dataclass(frozen=True)
class Shard:
    """A shard that was written: its name, size in bytes, SHA-256, and number of clips."""

    name: str
    bytes: int
    sha256: str
    clips: int


def write_pack(
    folder: Path, clips: Sequence[ShardClip], *, shard_mb: float, pictures: bool
) -> list[Shard]:
    """Write the shards and `clips.jsonl`.

    Shards are first written under temporary names. Then the old list is deleted, the shards are
    renamed, and the new list is written last, so that a folder with a list is always complete. The
    same clips give the same bytes.

    Args:
        folder: folder of the pack.
        clips: the clips, in any order.
        shard_mb: largest size of a shard, in 10⁶ bytes.
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
    """Write a text file under a temporary name, and rename it.

    Raises:
        OutputError: the file cannot be written.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file under a temporary name, and rename it.

    Raises:
        OutputError: the file cannot be written.
    """
    with appearing(path) as temporary:
        temporary.write_bytes(data)


def size_of(source: SourceFile, samples: int, *, pictures: bool) -> int:
    """Maximum number of bytes of a clip in a shard."""
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
    """Make the entry of a clip in the list."""
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
