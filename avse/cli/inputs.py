"""What the user pointed at: files, patterns, people."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from avse.errors import InputError, UsageError
from avse.job import Chosen
from avse.paths import is_there, user_path

_NUMBERS = re.compile(r"\d{1,9}(\s*,\s*\d{1,9})*")


def one_input(patterns: Sequence[str]) -> Path:
    """The one file that is meant.

    Raises:
        InputError: a URL, or a pattern that matches nothing.
        UsageError: several files.
    """
    found = several_inputs(patterns)
    if len(found) > 1:
        shown = ", ".join(str(path) for path in found[:3]) + (", …" if len(found) > 3 else "")
        raise UsageError(
            f"one input at a time, not {len(found)} ({shown})",
            'use a loop: for file in *.mp4; do avse separate "$file"; done',
        )
    return found[0]


def several_inputs(patterns: Sequence[str]) -> list[Path]:
    """The files that are meant, each once.

    A name of an existing file is that file, whatever characters it holds; else `*`, `?`, `[…]` and
    `**` match as in a shell, which not every shell does for us.

    Raises:
        InputError: a URL, or a pattern that matches nothing.
    """
    return list(dict.fromkeys(path for pattern in patterns for path in _expand(pattern)))


def read_speaker(text: str, people: str | None = None, corrected: Path | None = None) -> Chosen:
    """Read --speaker: "2", "1,3", "all", "@12.5s:0.31,0.40", or names such as "anna,ben".

    Args:
        text: as given.
        people: as given with --people.
        corrected: a recording whose corrections hold names too; without both there are none.

    Raises:
        UsageError: it is none of these.
    """
    from avse.scene import read_point

    text = text.strip()
    if text == "all":
        return text
    if _NUMBERS.fullmatch(text):
        numbers = sorted({int(part) for part in text.split(",")})
        return numbers[0] if len(numbers) == 1 else numbers
    names: set[str] = set() if text.startswith("@") else _names(people, corrected)
    if text.startswith("@") or (people is None and not names):
        read_point(text)
        return text
    for part in (part.strip() for part in text.split(",")):
        if part not in names and not part.isdecimal():
            raise UsageError(
                f"--speaker {part!r} names nobody",
                f"{f'{people} knows' if people else 'there are'}: {', '.join(sorted(names))}",
            )
    return text


def _names(people: str | None, corrected: Path | None) -> set[str]:
    from avse.corrections import corrections_of
    from avse.people_file import read_people

    names = set() if people is None else {one.name for one in read_people(user_path(people))}
    if corrected is not None:
        with suppress(OSError):  # which is told when the recording is opened
            names |= {one.name for one in corrections_of(corrected).names}
    return names


def _expand(pattern: str) -> list[Path]:
    path = user_path(pattern)
    if not glob.has_magic(pattern) or is_there(path):
        return [path]
    from avse.media.opening import refuse_url

    refuse_url(pattern)
    # Path.glob would need the pattern split into a folder and the rest.
    names = glob.glob(str(path), recursive=True)  # noqa: PTH207
    found = sorted(Path(name) for name in names)
    if not found:
        raise InputError(f"no file matches {pattern}", "check the pattern and the folder")
    return found
