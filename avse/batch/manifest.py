"""The manifest: a line of JSON for every recording finished or failed, safe against power cuts.

A line is written whole and forced to the disk before the run goes on. What a crash can leave is a
torn last line; it is taken away when the manifest is opened next. Of several lines on one input
the last one counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Literal

from avse.errors import OutputError, UsageError
from avse.media.atomic_files import writing
from avse.utils.file_state import Mark
from avse.utils.paths import is_below
from avse.utils.schema import RecordError, build, load_json

if TYPE_CHECKING:
    from typing import Self

    from filelock import BaseFileLock

VERSION = 1


@dataclass(frozen=True)
class Failure:
    """Why there is nothing.

    Attributes:
        kind: name of the error, such as "NoFaceError", or "died", "timeout", "memory".
        message: what went wrong, in one line.
        hint: what to do next, in one line.
    """

    kind: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Output:
    """A file that was written.

    Attributes:
        path: below the folder of the batch, with forward slashes.
        mark: what it was when it was complete.
    """

    path: str
    mark: Mark


@dataclass(frozen=True)
class Record:
    """What came of one recording: a line of the manifest.

    Attributes:
        status: "done" or "failed".
        input: absolute path.
        input_mark: what was read; None if it could not be.
        settings_sha256: `Request.digest`, with the corrections of the recording.
        model_sha256: of the weights.
        outputs: every file written; of a recording that failed, what an earlier run has left.
        seconds: how long the work took.
        media_s: how long the recording is.
        people: how many were seen; None if nobody has looked.
        window_s: the window used; smaller than asked for where memory was short.
        warnings: what the user should know.
        error: why it failed.
        finished: when, UTC, ISO 8601.
        avse: version of the program.
    """

    status: Literal["done", "failed"]
    input: str
    input_mark: Mark | None
    settings_sha256: str
    model_sha256: str
    outputs: tuple[Output, ...] = ()
    seconds: float = 0.0
    media_s: float | None = None
    people: int | None = None
    window_s: float | None = None
    warnings: tuple[str, ...] = ()
    error: Failure | None = None
    finished: str = ""
    avse: str = ""
    version: int = field(default=VERSION)

    def line(self) -> bytes:
        """One line, ASCII: names that are not valid text survive as escapes."""
        return json.dumps(asdict(self)).encode("ascii") + b"\n"

    @staticmethod
    def read(text: bytes | str) -> Record:
        """Read a line.

        Raises:
            ValueError: it is not a record of this version.
        """
        return Record.of(load_json(text))

    @staticmethod
    def of(value: object) -> Record:
        """The record that a JSON value stands for.

        Raises:
            ValueError: it is not a record of this version, or names outputs that are not below
                the folder of a batch.
        """
        if not isinstance(value, Mapping) or value.get("version") != VERSION:
            raise RecordError("it is not a record of this version")
        record = build(Record, value, "the record")
        try:
            os.fsencode(record.input)
        except UnicodeEncodeError as error:
            raise RecordError("the input cannot be the name of a file") from error
        for output in record.outputs:
            if not is_below(output.path):
                raise RecordError(f"{output.path!r} is not below the folder of the batch")
        return record


class Manifest:
    """A manifest held open by one run; a context manager.

    Args:
        path: of the file; made if missing.
        beside: manifests of others on the same folder, which are read and left alone.

    Attributes:
        latest: input -> the last record on it.
        repaired: bytes of a torn last line that were taken away.
        unread: lines that are no records and were left alone.

    Raises:
        UsageError: another run holds it.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, *, beside: Sequence[Path] = ()) -> None:
        self.path, self.beside = path, beside
        self.latest: dict[str, Record] = {}
        self.repaired = 0
        self.unread = 0
        self._file: BinaryIO | None = None
        self._lock: BaseFileLock | None = None

    def __enter__(self) -> Self:
        from filelock import FileLock, Timeout

        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = self.path.with_name(f".{self.path.name}.lock")
            for path in (self.path, lock):
                refuse_link(path)
            self._lock = FileLock(lock)
            try:
                self._lock.acquire(timeout=0)
            except Timeout as error:
                raise UsageError(
                    f"another run is at work on {self.path}",
                    "wait for it, or give this one another --manifest and --output",
                ) from error
            try:
                self.repaired = repair(self.path)
                self.load()
                self._file = self.path.open("ab", buffering=0)
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
        if self._lock is not None:
            self._lock.release()

    def load(self) -> None:
        """Read what is there; done by opening it.

        Raises:
            OutputError: it cannot be read.
        """
        for path in (*self.beside, self.path):
            with writing(path):
                for record in read_records(path):
                    if record is None:
                        self.unread += path == self.path
                        continue
                    known = self.latest.get(record.input)
                    if known is None or record.finished >= known.finished:
                        self.latest[record.input] = record

    def append(self, record: Record) -> None:
        """Add a record, on the disk when this returns.

        Raises:
            OutputError: it cannot be written; no part of it is left.
        """
        assert self._file is not None
        line = record.line()
        with writing(self.path):
            end = os.fstat(self._file.fileno()).st_size
            try:
                if self._file.write(line) != len(line):
                    raise OutputError(
                        f"{self.path} could not be written: the disk is full", "free some space"
                    )
                os.fsync(self._file.fileno())
            except BaseException:
                with suppress(OSError):
                    os.ftruncate(self._file.fileno(), end)
                raise
        self.latest[record.input] = record


def refuse_link(path: Path) -> None:
    """Refuse to write through a link that somebody may have left in the folder.

    Raises:
        OutputError: it is one.
    """
    if path.is_symlink():
        raise OutputError(
            f"{path} is a link, which a batch does not write through",
            "remove it, or name what it points to",
        )


def read_records(path: Path) -> Iterator[Record | None]:
    """Every record of a manifest, in order, None for a line that is none.

    Raises:
        OSError: it cannot be read.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                yield Record.read(line)
            except ValueError:
                yield None


def repair(path: Path) -> int:
    """Take a torn last line away, or complete one that lacks its end only.

    Returns:
        How many bytes were taken away.

    Raises:
        OSError: it cannot be read or written.
    """
    if not path.exists():
        return 0
    with path.open("r+b") as file:
        last = b""
        begin = 0
        for line in file:
            begin, last = begin + len(last), line
        if not last or last.endswith(b"\n"):
            return 0
        try:
            Record.read(last)
        except ValueError:
            file.truncate(begin)
            lost = len(last)
        else:
            file.write(b"\n")
            lost = 0
        file.flush()
        os.fsync(file.fileno())
    return lost
