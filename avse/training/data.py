"""Combine packs of `avse prepare` into the data sets from which the mixers draw."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from avse.data.clips import AudioClip, ClipSet, Row, Sounds, TalkingClip
from avse.data.pack import PackedClip, PreparedPack, SoundClips, TalkingClips
from avse.errors import UsageError
from avse.training.recipe import DataSettings
from avse.types import FloatArray
from avse.utils.fingerprint import sha256

EVERYBODY = "all"
NEVER = 2.0
"""A confidence above that of any delay, so that none is applied."""

Delays = Mapping[str, int]
"""Video frames by which the sound is late, by "PACK/clip id"."""


class Faces(ClipSet):
    """Talking faces of several packs, read from disk at each access.

    Args:
        folders: of the packs.
        split: split of the speakers; "all" for every speaker.
        confident: confidence from which a pack's estimate of a delay is applied.
        delays: to apply instead of the packs' own; clips that are not among them keep theirs.

    Raises:
        InputError: a folder is not a pack, or one without lips.
    """

    def __init__(
        self,
        folders: Sequence[str],
        split: str,
        *,
        confident: float = 0.9,
        delays: Delays | None = None,
    ) -> None:
        self.parts: list[TalkingClips] = []
        for folder in folders:
            pack = PreparedPack(Path(folder), confident=confident)
            chosen = pack.talking(None if split == EVERYBODY else split)
            rows = [_moved(row, delays, key(pack, row.id)) for row in chosen.rows]
            self.parts.append(TalkingClips(pack, rows))
        self.index = [(p, n) for p, part in enumerate(self.parts) for n in range(len(part))]

    def __len__(self) -> int:
        return len(self.index)

    def clip(self, n: int) -> TalkingClip:
        """Read a clip."""
        part, inside = self.index[n]
        return self.parts[part][inside]

    def row(self, n: int) -> Row:
        """Description of a clip, without reading its data."""
        part, inside = self.index[n]
        row = self.parts[part].rows[inside]
        return Row(row.corpus, row.person, row.frames)

    def keys(self) -> Iterator[str]:
        """Delay of each clip, as in `Delays`."""
        for part, inside in self.index:
            pack = self.parts[part].pack
            yield key(pack, self.parts[part].rows[inside].id)


def key(pack: PreparedPack, identity: str) -> str:
    """The name of a clip among those of several packs."""
    return f"{pack.folder.name}/{identity}"


def _moved(row: PackedClip, delays: Delays | None, name: str) -> PackedClip:
    if delays is None or name not in delays:
        return row
    return dataclasses.replace(row, delay_frames=delays[name], delay_confidence=1.0)


class PackedSounds(Sounds):
    """Sounds of several packs, also of packs with talking faces, read from disk at each access.

    Args:
        folders: of the packs.
        split: split of the speakers; "all" for every speaker.

    Raises:
        InputError: a folder is not a pack.
    """

    def __init__(self, folders: Sequence[str], split: str) -> None:
        self.parts: list[SoundClips] = []
        self.clips: list[AudioClip] = []
        self.places: list[tuple[int, int]] = []
        for folder in folders:
            part = PreparedPack(Path(folder)).sound(None if split == EVERYBODY else split)
            for n, clip in enumerate(part.clips):
                self.places.append((len(self.parts), n))
                self.clips.append(dataclasses.replace(clip, offset=len(self.clips)))
            self.parts.append(part)

    def audio(self, clip: AudioClip) -> FloatArray:
        """(samples,) float32 in -1..1."""
        part, n = self.places[clip.offset]
        return self.parts[part].audio(self.parts[part].clips[n])


@dataclasses.dataclass(frozen=True)
class Corpora:
    """Training and validation data of a stage.

    Attributes:
        faces: talking faces for training.
        held_out: talking faces of other people, by the name of the pack.
        speech: voices for training, or None.
        noise: noises, or None.
        crowds: recordings of crowds, or None.
        held_out_speech: voices of other people, or None.
    """

    faces: ClipSet
    held_out: dict[str, ClipSet]
    speech: Sounds | None
    noise: Sounds | None
    crowds: Sounds | None = None
    held_out_speech: Sounds | None = None


def open_corpora(data: DataSettings, *, delays: Delays | None, own_delays: bool = True) -> Corpora:
    """Open all packs of a recipe.

    Args:
        data: where they are.
        delays: see `Faces`.
        own_delays: whether the packs' own delays are applied.

    Raises:
        InputError: a folder is not a pack, or has no lips where they are needed.
        UsageError: there are no training data.
    """
    confident = data.confident if own_delays else NEVER
    confident = min(confident, 1.0) if delays is not None else confident
    faces = Faces(data.clips, data.train, confident=confident, delays=delays)
    speech = PackedSounds(data.speech, data.train)
    noise = PackedSounds(data.noise, EVERYBODY)
    crowds = PackedSounds(data.crowds, EVERYBODY)
    others = PackedSounds(data.speech, data.valid)
    if not len(faces) and not speech.clips:
        raise UsageError(
            f"the packs hold nobody of the split {data.train!r}",
            "check [data], or the split that people are in: pack/clips.jsonl",
        )
    held_out: dict[str, ClipSet] = {}
    for folder in data.clips:
        name = Path(folder).name
        while name in held_out:
            name += "+"
        group = Faces([folder], data.valid, confident=confident, delays=delays)
        if len(group):
            held_out[name] = group
    return Corpora(
        faces,
        held_out,
        speech if speech.clips else None,
        noise if noise.clips else None,
        crowds if crowds.clips else None,
        others if others.clips else None,
    )


def fingerprints(data: DataSettings) -> dict[str, str]:
    """SHA-256 of the list of each pack, by folder: identifies the data with which a run began.

    Raises:
        InputError: a folder is not a pack.
    """
    found: dict[str, str] = {}
    for folder in (*data.clips, *data.speech, *data.noise, *data.crowds):
        PreparedPack(Path(folder))
        found[folder] = sha256(Path(folder) / "clips.jsonl")
    return found


def sample(clips: ClipSet, most: int, seed: int = 0) -> list[TalkingClip]:
    """At most so many clips, evenly spaced: enough to estimate a covariance."""
    chosen = np.arange(len(clips))
    if len(clips) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(clips), most, replace=False))
    return [clips.clip(int(n)) for n in chosen]
