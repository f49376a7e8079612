"""Resolve the inputs on the command line, files and patterns, to paths."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from avse.errors import InputError, UsageError
from avse.utils.paths import is_there, user_path


def one_input(patterns: Sequence[str], verb: str) -> Path:
    """Resolve an input to exactly one file.

    Args:
        patterns: files, or patterns such as `*.mp4`.
        verb: the verb, for the message.

    Raises:
        InputError: a URL, or a pattern that matches nothing.
        UsageError: several files.
    """
    found = several_inputs(patterns)
    if len(found) > 1:
        shown = ", ".join(str(path) for path in found[:3]) + (", …" if len(found) > 3 else "")
        raise UsageError(
            f"one input at a time, not {len(found)} ({shown})",
            f'use a loop: for file in *.mp4; do avse {verb} "$file"; done',
        )
    return found[0]


def several_inputs(patterns: Sequence[str]) -> list[Path]:
    """Resolve inputs to files, each listed once.

    A name of an existing file is that file, whatever characters it holds; else `*`, `?`, `[…]` and
    `**` match as in a shell, because not every shell expands them.

    Raises:
        InputError: a URL, or a pattern that matches nothing.
    """
    return list(dict.fromkeys(path for pattern in patterns for path in _expand(pattern)))


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
