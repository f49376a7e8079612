"""Atomic file writing: files are written under a temporary name and renamed when complete."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from avse.errors import OutputError, OutputExistsError

if TYPE_CHECKING:
    from av.error import FFmpegError


def check_destination(path: Path, *, overwrite: bool) -> None:
    """Check that a file may be written at a path.

    Raises:
        OutputExistsError: the file exists and `overwrite` is false.
        OutputError: the folder is missing or read-only, or the path is a folder.
    """
    with writing(path):  # a name that is too long, say
        folder = path.parent
        if path.is_dir():
            raise OutputError(f"{path} is a folder", "name a file in it")
        if not folder.is_dir():
            raise OutputError(f"the folder {folder} does not exist", "create it first")
        if not os.access(folder, os.W_OK):
            raise OutputError(
                f"{folder} cannot be written to: no permission", "choose another folder"
            )
        if path.exists() and not overwrite:
            raise OutputExistsError(
                f"{path} exists already",
                "choose another name, or overwrite it with --force (Python: overwrite=True)",
            )


def size(count: float) -> str:
    """Format a number of bytes: 1.5 GB, 12.3 MB, 0.4 kB."""
    unit, name = next(((u, n) for u, n in ((1e9, "GB"), (1e6, "MB")) if count >= u), (1e3, "kB"))
    return f"{count / unit:.1f} {name}"


def check_space(folder: Path, needed: float) -> None:
    """Check before any work that a disk has enough space.

    Args:
        folder: output folder.
        needed: estimated bytes.

    Raises:
        OutputError: the disk has less space.
    """
    with writing(folder):
        free = shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{folder}: about {size(needed)} will be written, and the disk has {size(free)} left",
            "free some space, ask for fewer voices, or choose another folder",
        ) from OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def temporary_name(path: Path) -> Path:
    """An unused hidden name beside `path`, with the same suffix, which determines the format."""
    stem = path.stem[:40]  # at four bytes a letter still under the usual limit of 255
    return path.with_name(f".{stem}.{secrets.token_hex(4)}.part{path.suffix}")


def place(temporary: Path, path: Path, *, overwrite: bool) -> None:
    """Rename a complete file to its final name.

    Raises:
        OutputExistsError: the file exists by now and `overwrite` is false.
        OutputError: the file cannot be renamed.
    """
    if path.exists() and not overwrite:
        raise OutputExistsError(
            f"{path} exists already",
            "choose another name, or overwrite it with --force (Python: overwrite=True)",
        )
    with writing(path):
        temporary.replace(path)


def place_text(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a text in UTF-8, atomically.

    File names in it that are not valid text are written in the encoding of the system.

    Raises:
        OutputExistsError, OutputError: see `check_destination`.
    """
    check_destination(path, overwrite=overwrite)
    temporary = temporary_name(path)
    try:
        with writing(path):
            temporary.write_bytes(text.encode("utf-8", "surrogateescape"))
        place(temporary, path, overwrite=overwrite)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def appearing(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Write a file atomically.

    Yields:
        The temporary path, which is renamed at the end, or removed after an error.

    Raises:
        OutputExistsError: the file exists at the end and `overwrite` is false.
        OutputError: the operating system refuses to write.
    """
    temporary = temporary_name(path)
    try:
        with writing(path):
            yield temporary
        place(temporary, path, overwrite=overwrite)
    finally:
        with suppress(OSError):  # the folder is gone, say, which has been told
            temporary.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn write errors of the operating system into `OutputError`."""
    try:
        yield
    except OSError as error:
        raise explain(path, error) from error


def explain(path: Path, error: OSError | FFmpegError) -> OutputError:
    """The reason why a file could not be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError(
            f"{path} could not be written: the disk is full",
            "free some space or choose another folder",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OutputError(f"{path} could not be written: no permission", "choose another folder")
    if error.errno == errno.ENAMETOOLONG:
        return OutputError(f"{path.name}: the name is too long", "choose a shorter one")
    reason = error.strerror or str(error)
    return OutputError(f"{path} could not be written: {reason}", "check the disk and the folder")
