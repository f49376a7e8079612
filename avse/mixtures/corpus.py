"""Find the clips of a folder, and the people in them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from avse.data.splits import ALL, split_of
from avse.errors import InputError, UsageError
from avse.mixtures.protocols import ANY, GRID_PROTOCOLS
from avse.utils.schema import fit, load_json
from avse.utils.suffixes import SOUND_FILES, VIDEO_FILES

_TALKER = re.compile(r"s(\d{1,2})", re.IGNORECASE)


@dataclass(frozen=True)
class CorpusClip:
    """A clip of one speaker.

    Attributes:
        path: relative to the folder of clips, with forward slashes.
        speaker: name of the speaker.
    """

    path: str
    speaker: str


@dataclass(frozen=True)
class Corpus:
    """The clips of a folder, by speaker.

    Attributes:
        root: the folder of clips.
        clips: the usable clips, in order of their paths.
        warnings: messages to the user about the clips.
    """

    root: Path
    clips: tuple[CorpusClip, ...]
    warnings: tuple[str, ...] = ()

    def people(self) -> dict[str, list[CorpusClip]]:
        """Clips by speaker; speakers and clips are sorted."""
        people: dict[str, list[CorpusClip]] = {}
        for clip in sorted(self.clips, key=lambda clip: (clip.speaker, clip.path)):
            people.setdefault(clip.speaker, []).append(clip)
        return people


def find_clips(root: Path, *, pictures: bool) -> list[str]:
    """List the media files below a folder by their suffixes: relative paths, in order.

    Of two files that differ only in the suffix, such as a video and its sound, the video is taken.
    Hidden files and folders are skipped.

    Args:
        root: the folder; links to folders are followed.
        pictures: whether to leave out audio files.

    Raises:
        UsageError: the folder does not exist.
        InputError: the folder has no media files.
    """
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise UsageError(f"{root} {what}", "name the folder that holds the clips")
    suffixes = VIDEO_FILES if pictures else VIDEO_FILES | SOUND_FILES
    found: dict[str, str] = {}
    try:
        paths = sorted(_files(root))
    except OSError as error:
        raise InputError(
            f"{error.filename} cannot be looked into: {error.strerror}", "check its access rights"
        ) from error
    for path in paths:
        suffix = PurePosixPath(path).suffix.lower()
        if suffix in suffixes:
            stem = path[: -len(suffix)]
            if stem not in found or suffix in VIDEO_FILES:
                found[stem] = path
    if not found:
        kind = "videos" if pictures else "videos or sound files"
        hint = "check the folder" + ("; --no-video makes sets of sound alone" if pictures else "")
        raise InputError(f"{root} holds no {kind}", hint)
    return sorted(found.values())


def find_corpus(root: Path, protocol: str, split: str, *, pictures: bool) -> Corpus:
    """Find the clips of one split of a folder.

    Args:
        root: the folder of clips.
        protocol: a GRID protocol or "any".
        split: "train", "valid", "test" or "all".
        pictures: whether to leave out audio files.

    Raises:
        UsageError: the folder does not exist, or the protocol does not fit its layout.
        InputError: the split has no clips.
    """
    paths = find_clips(root, pictures=pictures)
    if protocol == ANY:
        return _of_any(root, paths, split)
    return _of_grid(root, paths, protocol, split)


def corpus_of_pack(root: Path, pack: Path, split: str, *, pictures: bool) -> Corpus:
    """Find the clips of one split of a folder, with the speakers and splits of a pack made from it.

    Args:
        root: the folder of clips.
        pack: the pack of `avse prepare`, which has the speaker and split of each clip.
        split: "train", "valid", "test" or "all".
        pictures: whether to leave out audio files.

    Raises:
        UsageError: the folder does not exist.
        InputError: the pack is not a pack, or has no clips of that split in the folder.
    """
    there = set(find_clips(root, pictures=pictures))
    clips, missing = [], 0
    try:
        for line in (pack / "clips.jsonl").read_text(encoding="utf-8").splitlines():
            row = fit(load_json(line), dict[str, Any], "a clip")
            path, person, part = (
                fit(row.get(name), str, name) for name in ("path", "person", "split")
            )
            if split in (ALL, part):
                missing += path not in there
                clips += [CorpusClip(path, person)] if path in there else []
    except (OSError, ValueError) as error:
        raise InputError(
            f"{pack} is not a pack of `avse prepare`, or a damaged one: {error}", "check --pack"
        ) from error
    if not clips:
        raise InputError(
            f"no clip of the {split} split of {pack} is in {root}",
            "name the folder that the pack was made of",
        )
    warnings = (f"{missing} clips that the pack lists are not there",) if missing else ()
    return Corpus(root, tuple(clips), warnings)


def _of_any(root: Path, paths: list[str], split: str) -> Corpus:
    clips = [CorpusClip(path, path.split("/")[0]) for path in paths if "/" in path]
    if not clips:
        raise UsageError(
            f"the clips in {root} are not in folders, so the speakers are unknown",
            "make a folder for each person",
        )
    warnings = []
    if loose := len(paths) - len(clips):
        warnings.append(f"{loose} clips lie in no person's folder and are left out")
    chosen = [clip for clip in clips if split in (ALL, split_of(clip.speaker))]
    return Corpus(root, tuple(chosen), tuple(warnings))


def _of_grid(root: Path, paths: list[str], protocol: str, split: str) -> Corpus:
    wanted = GRID_PROTOCOLS[protocol].talkers(split)
    numbered = [(path, talker_of(path)) for path in paths]
    if all(number is None for _, number in numbered):
        raise UsageError(
            f"{root} is not laid out as GRID is",
            "it should hold folders s1 to s34; use --protocol any for other folders",
        )
    clips = [CorpusClip(path, f"s{number}") for path, number in numbered if number in wanted]
    missing = sorted(wanted - {number for _, number in numbered} - {21})
    warnings = []
    if missing:
        names = ", ".join(f"s{number}" for number in missing)
        warnings.append(
            f"{names} of the {protocol} {split} split are not there: results will not compare with "
            "published ones"
        )
    return Corpus(root, tuple(clips), tuple(warnings))


def talker_of(path: str) -> int | None:
    """Parse a GRID talker number: 7 for "s7/bbaf2n.mpg", "video/s7/mpg_6000/bbaf2n.mpg"."""
    for part in path.split("/")[:-1]:
        if match := _TALKER.fullmatch(part):
            return int(match[1])
    return None


def _files(folder: Path, below: str = "", above: frozenset[str] = frozenset()) -> Iterator[str]:
    """Relative paths of files that are not hidden, unsorted.

    Args:
        folder: the folder to list.
        below: prefix of the paths.
        above: parent folders, to detect circular links.
    """
    real = os.path.realpath(folder)
    if real in above:
        return
    for entry in os.scandir(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(folder / entry.name, f"{below}{entry.name}/", above | {real})
        elif entry.is_file():
            yield below + entry.name
