"""Find the recordings: files, folders, patterns and lists of them."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from avse.errors import InputError, UsageError
from avse.media.opening import refuse_url
from avse.utils.paths import is_there, user_path
from avse.utils.suffixes import VIDEO_FILES


@dataclass(frozen=True)
class Found:
    """A recording.

    Attributes:
        path: absolute, links not followed.
        below: folder of its outputs, relative to the output folder of the batch.
    """

    path: Path
    below: Path


def discover(
    inputs: Sequence[str],
    lists: Sequence[str] = (),
    *,
    output: Path,
    base: Path | None = None,
) -> list[Found]:
    """Find every recording once, in an order that depends on names alone.

    Args:
        inputs: files, folders (searched for videos, except hidden ones), and patterns.
        lists: files with one such name in each line; "-" is stdin.
        output: folder of the batch; files in it are not inputs.
        base: outputs keep the sub-folders below this; without it, those below a folder or a pattern
            that was given, and none for a file that was given.

    Raises:
        InputError: an input does not exist, or no recording was found.
        UsageError: a file is not below `base`.
    """
    unique: dict[Path, Found] = {}
    for name in [*inputs, *(line for path in lists for line in _lines(path))]:
        for found in _expand(name, output):
            if base is not None:
                found = Found(found.path, _below(found.path, base))
            unique.setdefault(found.path, found)
    if not unique:
        raise InputError(
            "there are no videos to work on",
            f"give files, or folders with files that end in {' '.join(sorted(VIDEO_FILES))}",
        )
    return sorted(unique.values(), key=lambda found: os.fsencode(found.path))


def absolute(path: Path) -> Path:
    """The absolute path, `..` resolved by name, links kept."""
    return Path(os.path.abspath(path))  # noqa: PTH100  Path.resolve would follow links


def _expand(name: str, output: Path) -> Iterator[Found]:
    path = user_path(name)
    if is_there(path) or not glob.has_magic(name):
        yield from _one(path, output, Path())
        return
    refuse_url(name)
    root = Path(*_before_magic(path.parts))
    matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  keeps `**` and `..` apart
    if not matches:
        raise InputError(f"no file matches {name}", "check the pattern and the folder")
    for match in map(Path, matches):
        if match.is_dir():
            continue
        if match.suffix.lower() in VIDEO_FILES or not path.name.startswith("*"):
            yield Found(absolute(match), Path(os.path.relpath(match.parent, root)))


def _one(path: Path, output: Path, below: Path) -> Iterator[Found]:
    if not is_there(path) or not path.is_dir():
        yield Found(absolute(path), below)
        return
    own = os.path.realpath(output)
    for folder, names, files in os.walk(path):
        # Changed in place, so that os.walk skips the removed folders.
        names[:] = sorted(
            n
            for n in names
            if not n.startswith(".") and os.path.realpath(os.path.join(folder, n)) != own  # noqa: PTH118
        )
        for file in sorted(files):
            if not file.startswith(".") and Path(file).suffix.lower() in VIDEO_FILES:
                here = Path(folder)
                yield Found(absolute(here / file), here.relative_to(path))


def _before_magic(parts: Iterable[str]) -> Iterator[str]:
    for part in parts:
        if glob.has_magic(part):
            return
        yield part


def _below(path: Path, base: Path) -> Path:
    try:
        return path.parent.relative_to(absolute(base))
    except ValueError as error:
        raise UsageError(
            f"{path} is not below --base {base}", "give a folder that holds every input"
        ) from error


def _lines(path: str) -> Iterator[str]:
    """The names in a list, one a line, or each ended by NUL as `find -print0` writes."""
    try:
        data = sys.stdin.buffer.read() if path == "-" else user_path(path).read_bytes()
    except OSError as error:
        raise InputError(
            f"the list {path} cannot be read: {error.strerror}", "check --input-list"
        ) from error
    ends = b"\0" if b"\0" in data else b"\n"
    for line in data.split(ends):
        line = line if ends == b"\0" else line.rstrip(b"\r")
        if line.strip():
            yield os.fsdecode(line)
