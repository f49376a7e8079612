"""Read and validate requests of clients: numbers in URLs, JSON bodies, and uploaded recordings."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, TypeVar

from anyio.to_thread import run_sync
from starlette.exceptions import HTTPException
from starlette.requests import Request

from avse.errors import InputError, OutputError
from avse.media.atomic_files import size, writing
from avse.utils.paths import inside
from avse.utils.schema import RecordError, build, load_json

_LARGEST_BODY = 64 * 1024  # bytes, except for recordings
_WRITE_AT_ONCE = 1 << 20  # bytes of an upload that are gathered before they are written
_SPARE = 200_000_000  # bytes that are left free on the disk
_LONGEST_S = 1e7  # largest time in a recording: four months
STEM = re.compile(r"[1-9][0-9]{0,8}|offscreen|rest|original")
"""Names of stems."""

Body = TypeVar("Body")


@dataclass(frozen=True)
class Nothing:
    """A body without fields."""


@dataclass(frozen=True)
class Playhead:
    """The playhead in seconds, whether it is playing, and the people whose voices are played."""

    time: float
    playing: bool = False
    wanted: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rename:
    """A name for a person; None removes the name."""

    name: str | None


@dataclass(frozen=True)
class Merge:
    """The numbers of people who are the same person."""

    ids: tuple[int, ...]


@dataclass(frozen=True)
class MissedFace:
    """A missed face: the playing time, and left, top, width, height as fractions of the picture."""

    time: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Offset:
    """The A/V offset in milliseconds, positive if the sound is late; None for the measured one."""

    ms: float | None


@dataclass(frozen=True)
class Export:
    """An export; see the contract in `docs/page.md`."""

    what: Literal["voice", "each", "mix", "video", "tracks", "subtitles", "timeline"]
    format: Literal[
        "wav",
        "flac",
        "mp3",
        "m4a",
        "opus",
        "mp4",
        "mkv",
        "mov",
        "srt",
        "vtt",
        "rttm",
        "otio",
        "edl",
    ]
    people: tuple[int, ...] = ()
    gains: dict[str, float] = field(default_factory=dict)
    bits: Literal[16, 24, 32] = 16
    report: bool = False


def number(request: Request | Mapping[str, str], name: str, default: int | None = None) -> int:
    """Read a number from the path or the query of a URL.

    Args:
        request: the request, for a number in its path; else the parameters of its query.
        name: of the parameter.
        default: the result if there is no such parameter.

    Raises:
        HTTPException: it is not a number of at most nine digits.
    """
    table = request.path_params if isinstance(request, Request) else request
    text = table.get(name)
    if text is None and default is not None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text or ""):
        raise HTTPException(404)
    return int(text or "")


def check_time(time_s: float) -> None:
    """Check a playing time in seconds.

    Raises:
        RecordError: it is negative, or longer than any recording.
    """
    if not 0 <= time_s <= _LONGEST_S:
        raise RecordError(f"a time of {time_s:g} s is out of range", "give seconds from 0 on")


class NotJsonError(RecordError):
    """The body is not JSON."""


async def read(request: Request, kind: type[Body]) -> Body:
    """Read the JSON body of a request to a dataclass.

    Raises:
        HTTPException: the body is too large.
        NotJsonError: it is not JSON.
        RecordError: it does not fit the dataclass.
    """
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > _LARGEST_BODY:
            raise HTTPException(413, "the body is too large")
    try:
        table = load_json(bytes(data) or b"{}")
    except RecordError as error:
        raise NotJsonError(f"the body is not JSON: {error.message}", "send JSON") from error
    return build(kind, table, "the body")


async def receive(request: Request, folder: Path, name: str) -> Path:
    """Write the body of a request to a file.

    Args:
        request: an upload.
        folder: the folder of the file.
        name: the name of the file, from the client.

    Returns:
        Path of the file.

    Raises:
        InputError: the name is not a file name, or leads out of the folder.
        OutputError: the disk does not have enough space.
    """
    if {"/", "\\"} & set(name):
        raise InputError(f"{name!r} is not the name of a file", "give a name without folders")
    path = inside(folder, name)
    with contextlib.suppress(ValueError):
        _check_disk(folder, name, int(request.headers.get("content-length", "")))
    with writing(path):
        file = await run_sync(path.open, "xb")
    try:
        waiting = bytearray()
        async for part in request.stream():
            waiting += part
            if len(waiting) >= _WRITE_AT_ONCE:
                await run_sync(_write, file, bytes(waiting), folder, name)
                waiting.clear()
        await run_sync(_write, file, bytes(waiting), folder, name)
    finally:
        with contextlib.suppress(OSError):
            file.close()
    return path


def _write(file: IO[bytes], data: bytes, folder: Path, name: str) -> None:
    _check_disk(folder, name, len(data))
    with writing(folder / name):
        file.write(data)


def _check_disk(folder: Path, name: str, needed: int) -> None:
    """Check that `_SPARE` bytes of the disk stay free after a file of `needed` bytes.

    Raises:
        OutputError: they would not.
    """
    with writing(folder):
        free = shutil.disk_usage(folder).free
    if needed + _SPARE > free:
        raise OutputError(
            f"{name} needs {size(needed)}, and the disk of {folder.parent} has {size(free)} left",
            "free some space, or start again with the path of the file: avse open FILE",
        )
