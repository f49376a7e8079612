"""Read the mixture lists of published test sets.

Two formats are in use:

- WSJ0-2mix, and the LRS2-, LRS3- and VoxCeleb2-2Mix sets: `a.wav 1.2 b.wav -1.2`, names and
  levels in dB alternate;
- MuSE and others, for VoxCeleb2 and LRS: `test,test,id1,video/1,0,test,id2,video/7,-3.1,4.2`,
  the split, then part, person, clip and level in dB of each, then the length in seconds.

Lists name clips by flattened or foreign paths (`../raw/id1_video_00001.wav`). `Finder` looks them
up by the shortest end of the name that is unique.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path, PurePosixPath

from avse.errors import InputError, UsageError
from avse.mixtures.corpus import CorpusClip

_CELEBRITY = re.compile(r"id\d{5}")
_PARTS = 4  # of a path that are tried together


@dataclass(frozen=True)
class Entry:
    """A line of a list.

    Attributes:
        line: line number, from 1.
        split: the split in the list; None if the list has no splits.
        names: names of the clips, without suffixes.
        speakers: speaker of each clip; None if the list does not name them.
        levels_db: level of each clip, relative to the others.
        seconds: length of the mixture, or None.
    """

    line: int
    split: str | None
    names: tuple[str, ...]
    speakers: tuple[str | None, ...]
    levels_db: tuple[float, ...]
    seconds: float | None


def read_list(path: Path) -> list[Entry]:
    """Read a list of either format.

    Raises:
        UsageError: the list cannot be read, is empty, or has a line of another format.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"the list {path} cannot be read: {error.strerror}", "check --list") from (
            error
        )
    except UnicodeDecodeError as error:
        raise UsageError(f"the list {path} is not text", "check --list") from error
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        entry = _of_columns(line, number) if "," in line else _of_turns(line, number)
        if entry is None:
            raise UsageError(
                f"{path}, line {number} cannot be understood: {line[:60]!r}",
                "lines look like: a.wav 1.2 b.wav -1.2",
            )
        entries.append(entry)
    if not entries:
        raise UsageError(f"the list {path} is empty", "check --list")
    return entries


class Finder:
    """Finds clips by their names in lists.

    Args:
        paths: paths of the clips, relative to their folder.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._found: dict[str, list[str]] = {}
        for path in paths:
            for key in _keys(str(PurePosixPath(path).with_suffix(""))):
                self._found.setdefault(key, []).append(path)

    def find(self, name: str, speaker: str | None) -> CorpusClip:
        """Find the clip of a name.

        Args:
            name: name in the list, without its suffix.
            speaker: the speaker in the list, or None.

        Raises:
            InputError: no clip or several clips fit.
        """
        for key in reversed(_keys(name.replace("\\", "/"))):
            paths = self._found.get(key, [])
            if len(paths) > 1:
                raise InputError(
                    f"{name} in the list could be {paths[0]} or {paths[1]}",
                    "point to the folder that the list was made for",
                )
            if paths:
                return CorpusClip(paths[0], speaker or _speaker_of(paths[0]))
        raise InputError(f"no clip fits {name} in the list", "check the folder of clips")


def _of_turns(line: str, number: int) -> Entry | None:
    words = line.split()
    names, levels = words[::2], [_number(word) for word in words[1::2]]
    if len(words) < 4 or len(words) % 2 or None in levels:
        return None
    known = tuple(level for level in levels if level is not None)
    bare = tuple(_without_suffix(name) for name in names)
    return Entry(number, None, bare, (None,) * len(names), known, None)


def _of_columns(line: str, number: int) -> Entry | None:
    try:
        split, *cells = next(csv.reader([line]))
    except csv.Error:  # a field beyond what the library takes
        return None
    voices, odd = divmod(len(cells), 4)
    seconds = _number(cells[-1]) if odd else None
    if voices < 2 or odd > 1 or (odd and (seconds is None or seconds <= 0)):
        return None
    rows = [cells[4 * n : 4 * n + 4] for n in range(voices)]
    levels = [_number(row[3]) for row in rows]
    if None in levels or not all(all(row) for row in rows):
        return None
    known = tuple(level for level in levels if level is not None)
    names = tuple(_without_suffix("/".join(row[:3])) for row in rows)
    return Entry(number, split or None, names, tuple(row[1] for row in rows), known, seconds)


def _keys(name: str) -> list[str]:
    """The end of a path, flattened: c, b_c, a_b_c, …"""
    parts = [part for part in name.split("/") if part]
    return ["_".join(parts[-n:]) for n in range(1, min(len(parts), _PARTS) + 1)]


def _without_suffix(name: str) -> str:
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if re.fullmatch(r"\.[A-Za-z]\w{1,4}", path.suffix) else name


def _speaker_of(path: str) -> str:
    """Speaker of a clip by its path: VoxCeleb's number, or the folder."""
    *folders, name = path.split("/")
    celebrities = [part for part in folders if _CELEBRITY.fullmatch(part)]
    flat = _CELEBRITY.match(name)
    if celebrities or flat:
        return celebrities[0] if celebrities else str(flat and flat[0])
    return folders[-1] if folders else PurePosixPath(name).stem.rpartition("_")[0] or name


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and abs(value) < 1000 else None
