"""Read a pack of `avse prepare` clip by clip; only its list stays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from avse.data.clips import SAMPLES_PER_FRAME, AudioClip, TalkingClip
from avse.errors import InputError
from avse.faces.lips import POINTS, motion
from avse.types import FloatArray
from avse.utils.paths import inside
from avse.utils.schema import build, fit, load_json

CONFIDENT = 0.9
"""Confidence from which a delay is applied."""


@dataclass(frozen=True)
class PackedClip:
    """A line of `clips.jsonl`.

    Attributes:
        id: name of the clip and of its tensors.
        corpus, person, split: corpus, speaker, and train, valid or test.
        recording: label shared by clips cut from one recording; None if unknown.
        shard: file with the clip's tensors.
        frames: video frames at 25 Hz that its sound fills.
        samples: number of samples at 16 kHz.
        delay_frames: estimated delay of the sound in video frames.
        delay_confidence: 0..1, of that estimate.
        flags: quality; see `avse.prepare.clip.measure`.
    """

    id: str
    corpus: str
    person: str
    split: str
    recording: str | None
    shard: str
    frames: int
    samples: int
    delay_frames: int
    delay_confidence: float
    flags: dict[str, float]


class PreparedPack:
    """A pack on disk. Shards are memory-mapped; worker processes may share a pack.

    Args:
        folder: as given to `avse prepare -o`.
        confident: confidence from which a delay is applied.

    Attributes:
        clips: all of them.
        pictures: whether they have lips.

    Raises:
        InputError: it is not a pack, or not a finished one.
    """

    def __init__(self, folder: Path, *, confident: float = CONFIDENT) -> None:
        self.folder, self.confident = Path(folder), confident
        self._shards: dict[str, Any] = {}
        try:
            lines = (self.folder / "clips.jsonl").read_text(encoding="utf-8").splitlines()
            names = tuple(PackedClip.__dataclass_fields__)
            rows = fit([load_json(line) for line in lines], list[dict[str, Any]], "the list")
            self.clips = [
                build(PackedClip, {n: row[n] for n in names if n in row}, "a clip") for row in rows
            ]
        except OSError as error:
            raise InputError(
                f"{self.folder} is not a finished pack: {error.strerror}", "run `avse prepare`"
            ) from error
        except ValueError as error:
            raise InputError(
                f"the list of {self.folder} is damaged: {error}", "run `avse prepare` again"
            ) from error
        self.pictures = bool(self.clips) and "seen" in self.clips[0].flags

    def chosen(
        self, split: str | None = None, corpus: str | Sequence[str] | None = None
    ) -> list[PackedClip]:
        """The clips of a split and of one or several corpora; None: of all."""
        corpora = [corpus] if isinstance(corpus, str) else corpus
        return [
            clip
            for clip in self.clips
            if (split is None or clip.split == split)
            and (corpora is None or clip.corpus in corpora)
        ]

    def talking(
        self, split: str | None = None, corpus: str | Sequence[str] | None = None
    ) -> TalkingClips:
        """Talking faces, read from disk at each access.

        Raises:
            InputError: the pack has no lips.
        """
        if self.clips and not self.pictures:
            raise InputError(f"{self.folder} holds sound alone", "use it as speech or noise")
        return TalkingClips(self, self.chosen(split, corpus))

    def sound(
        self, split: str | None = None, corpus: str | Sequence[str] | None = None
    ) -> SoundClips:
        """Sounds, also of talking faces, read from disk at each access."""
        return SoundClips(self, self.chosen(split, corpus))

    def tensor(self, clip: PackedClip, name: str) -> npt.NDArray[Any]:
        """One of a clip's arrays as stored: "sound", "lips" or "seen".

        Raises:
            InputError: the shard is missing or damaged.
        """
        try:
            if clip.shard not in self._shards:
                path = inside(self.folder, clip.shard)
                self._shards[clip.shard] = safe_open(path, framework="numpy")
            array: npt.NDArray[Any] = self._shards[clip.shard].get_tensor(f"{clip.id}/{name}")
        except (OSError, ValueError, SafetensorError) as error:
            raise InputError(
                f"{self.folder / clip.shard} cannot be read: {error}", "run `avse prepare` again"
            ) from error
        return array

    def __getstate__(self) -> dict[str, Any]:
        """Without open files, which cannot go to another process."""
        return {**self.__dict__, "_shards": {}}


class TalkingClips(Sequence[TalkingClip]):
    """Clips with lips, read from disk at each access."""

    def __init__(self, pack: PreparedPack, rows: list[PackedClip]) -> None:
        self.pack, self.rows = pack, rows

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> TalkingClip: ...
    @overload
    def __getitem__(self, index: slice) -> TalkingClips: ...
    def __getitem__(self, index: int | slice) -> TalkingClip | TalkingClips:
        if isinstance(index, slice):
            return TalkingClips(self.pack, self.rows[index])
        row = self.rows[index]
        sound = self.pack.tensor(row, "sound")[: row.frames * SAMPLES_PER_FRAME]
        lips = self.pack.tensor(row, "lips").astype(np.float32)
        seen = self.pack.tensor(row, "seen").astype(np.float32)
        late = row.delay_frames if row.delay_confidence >= self.pack.confident else 0
        whole = (len(sound), lips.shape, len(seen))
        if whole != (row.frames * SAMPLES_PER_FRAME, (row.frames, POINTS, 3), row.frames) or (
            abs(late) >= row.frames
        ):
            raise InputError(
                f"{row.id} of {self.pack.folder} does not match the list",
                "run `avse prepare` again",
            )
        if late > 0:
            sound, lips, seen = sound[late * SAMPLES_PER_FRAME :], lips[:-late], seen[:-late]
        elif late < 0:
            sound, lips, seen = sound[: late * SAMPLES_PER_FRAME], lips[-late:], seen[-late:]
        name = row.id.partition("/")[2]
        audio = sound.astype(np.float32) / 32768
        return TalkingClip(row.corpus, name, row.person, audio, motion(lips, seen > 0), seen)


class SoundClips:
    """Sound in the shape of `avse.data.clips.Sounds`.

    Attributes:
        clips: each one's `offset` is its place in `rows`.
        rows: the lines of the list.
    """

    def __init__(self, pack: PreparedPack, rows: list[PackedClip]) -> None:
        self.pack, self.rows = pack, rows
        self.clips = [
            AudioClip(row.corpus, row.person, n, row.samples) for n, row in enumerate(rows)
        ]

    def audio(self, clip: AudioClip) -> FloatArray:
        """(samples,) float32 in -1..1."""
        raw = self.pack.tensor(self.rows[clip.offset], "sound")
        return np.asarray(raw.astype(np.float32) / 32768, np.float32)
