"""Paths that somebody gave: a user's own, and names in files, which stay inside their folder."""

from __future__ import annotations

import os
from pathlib import Path

from avse.errors import InputError, UsageError


def user_path(text: str | os.PathLike[str]) -> Path:
    """A path as a user gives it, `~` and `~anna` put in.

    Raises:
        UsageError: there is no such user, or the text can be no path.
    """
    path = Path(text)
    if "\0" in str(path):
        raise UsageError("a path holds the character NUL", "which no file's name can hold")
    try:
        return path.expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"{path}: there is no user {path.parts[0][1:]!r}",
            f"write ./{path} if a folder is called so",
        ) from error


def is_below(path: str) -> bool:
    """Whether a path is relative, tidy, and leads nowhere but below its folder."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:  # halves of characters, which no name of a file holds
        return False
    return bool(path) and not {"", ".", ".."} & set(path.split("/")) and "\0" not in path


def inside(folder: Path, name: str) -> Path:
    """The path of a name that was read from a file of a folder: below the folder, links resolved.

    A file that is itself a link may be replaced, which leaves what it points to alone; folders on
    the way to it may not lead away.

    Raises:
        InputError: it is not below the folder.
    """
    path = folder / name
    home = Path(os.path.realpath(folder))
    if not is_below(name) or not Path(os.path.realpath(path.parent)).is_relative_to(home):
        raise InputError(
            f"{name!r} leads out of the folder {folder}",
            "remove the link, or the file that names it, unless you know where it comes from",
        )
    return path


def is_there(path: Path) -> bool:
    """Whether there is something at a path; not if no file could be called so."""
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long, or no name at all
        return False
