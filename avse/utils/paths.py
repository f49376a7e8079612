"""Check paths from users, and names that were read from files, which must stay in their folder."""

from __future__ import annotations

import os
from pathlib import Path

from avse.errors import InputError, UsageError


def user_path(text: str | os.PathLike[str]) -> Path:
    """Convert a user's text to a path; `~` and `~anna` are expanded.

    Raises:
        UsageError: there is no such user, or the text cannot be a path.
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
    """Whether a path is relative and normalised, so that it stays below its folder."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:  # a lone surrogate, which no file name can hold
        return False
    return bool(path) and not {"", ".", ".."} & set(path.split("/")) and "\0" not in path


def inside(folder: Path, name: str) -> Path:
    """Convert a name that was read from a file to a path, which must lie below a folder.

    Symbolic links are resolved in the folders of the path, but not in its last part: replacing a
    link does not touch the file that it points to.

    Raises:
        InputError: the path is not below the folder.
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
    """Whether a path exists; False for names that no file can have."""
    try:
        return path.exists()
    except (OSError, ValueError):  # the name is too long, or not a valid name
        return False
