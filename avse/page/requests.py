"""What a client may send: numbers in addresses, bodies in JSON, recordings. Nothing is trusted."""

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

_LARGEST_BODY = 64 * 1024  # bytes, but for recordings
_WRITE_AT_ONCE = 1 << 20  # bytes of a recording
_SPARE = 200_000_000  # bytes that are left free on the disk
_LONGEST_S = 1e7  # that a recording may have: four months
STEM = re.compile(r"[1-9][0-9]{0,8}|offscreen|rest|original")
"""Names of stems."""

Body = TypeVar("Body")


@dataclass(frozen=True)
class Nothing:
    """A body without fields."""


@dataclass(frozen=True)
class Playhead:
    """Where the person listens, and whose voices are wanted."""

    time: float
    playing: bool = False
    wanted: tuple[int, ...] = ()


@dataclass(frozen=True)
class Rename:
    """A name for a person; None takes it away."""

    name: str | None


@dataclass(frozen=True)
class Merge:
    """People who are one."""

    ids: tuple[int, ...]


@dataclass(frozen=True)
class MissedFace:
    """A face that was not found: left, top, width, height as fractions of the picture."""

    time: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Offset:
    """By how much sound comes late; None for what was measured."""

    ms: float | None


@dataclass(frozen=True)
class Export:
    """What is to be saved."""

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
    """A number in the address.

    Raises:
        HTTPException: it is none, or too large for any use.
    """
    table = request.path_params if isinstance(request, Request) else request
    text = table.get(name)
    if text is None and default is not None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text or ""):
        raise HTTPException(404)
    return int(text or "")


def check_time(time_s: float) -> None:
    """Check a place in a recording.

    Raises:
        RecordError: no recording is so long.
    """
    if not 0 <= time_s <= _LONGEST_S:
        raise RecordError(f"a time of {time_s:g} s is out of range", "give seconds from 0 on")


class NotJsonError(RecordError):
    """The body is not JSON."""


async def read(request: Request, kind: type[Body]) -> Body:
    """The body of a request as a dataclass.

    Raises:
        HTTPException: it is too large.
        RecordError: it is something else.
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

    Raises:
        InputError: the name is none, or leads out of the folder.
        OutputError: the disk is full, or would be.
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
    """Check that the disk is not filled to the brim.

    Raises:
        OutputError: it would be.
    """
    with writing(folder):
        free = shutil.disk_usage(folder).free
    if needed + _SPARE > free:
        raise OutputError(
            f"{name} needs {size(needed)}, and the disk of {folder.parent} has {size(free)} left",
            "free some space, or start again with the path of the file: avse open FILE",
        )
