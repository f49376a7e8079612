"""The manifest: a line of JSON for each recording that is done or has failed, safe in power cuts.

Each line is flushed to the disk before the run continues. A crash can only leave an incomplete last
line, which is removed when the manifest is opened next. Of several lines for one input, the last
one counts.
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
    """The reason why a recording has failed.

    Attributes:
        kind: name of the error, such as "NoFaceError", or "died", "timeout", "memory".
        message: the message of the error, in one line.
        hint: the user's next step, in one line.
    """

    kind: str
    message: str
    hint: str = ""


@dataclass(frozen=True)
class Output:
    """A file that was written.

    Attributes:
        path: relative to the folder of the batch, with forward slashes.
        mark: its state when it was complete.
    """

    path: str
    mark: Mark


@dataclass(frozen=True)
class Record:
    """The result of a recording: a line of the manifest.

    Attributes:
        status: "done" or "failed".
        input: absolute path of the recording.
        input_mark: state of the recording when it was read; None if it could not be read.
        settings_sha256: `Request.digest`, with the corrections of the recording.
        model_sha256: hash of the weights.
        outputs: all files written; of a recording that failed, those of an earlier run.
        seconds: duration of the work.
        media_s: length of the recording in seconds.
        people: number of people; None if faces were not detected.
        window_s: window of the network in seconds; smaller than requested if memory was short.
        warnings: warnings for the user.
        error: the reason of a failure.
        finished: time of the end, UTC, ISO 8601.
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
        """Format the record as a line of ASCII; names that are not valid text are escaped."""
        return json.dumps(asdict(self)).encode("ascii") + b"\n"

    @staticmethod
    def read(text: bytes | str) -> Record:
        """Read a record from a line.

        Raises:
            ValueError: the line is not a record of this version.
        """
        return Record.of(load_json(text))

    @staticmethod
    def of(value: object) -> Record:
        """Build a record from a JSON value.

        Raises:
            ValueError: the value is not a record of this version, or an output is not below the
                folder of the batch.
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
    """A manifest that is locked by this run; a context manager.

    Args:
        path: of the file; made if missing.
        beside: other manifests of the same folder, which are only read.

    Attributes:
        latest: input -> its last record.
        repaired: number of bytes of an incomplete last line that were removed.
        unread: number of lines that are not records, and are kept.

    Raises:
        UsageError: another run has locked the manifest.
        OutputError: the manifest cannot be written.
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
        """Read the records; opening the manifest calls this.

        Raises:
            OutputError: a manifest cannot be read.
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
        """Add a record, and flush it to the disk.

        Raises:
            OutputError: the record cannot be written; no part of it is left in the file.
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
    """Refuse to write through a symbolic link.

    Raises:
        OutputError: the path is a link.
    """
    if path.is_symlink():
        raise OutputError(
            f"{path} is a link, which a batch does not write through",
            "remove it, or name what it points to",
        )


def read_records(path: Path) -> Iterator[Record | None]:
    """Read the records of a manifest, in order; None for a line that is not a record.

    Raises:
        OSError: the manifest cannot be read.
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
    """Remove an incomplete last line, or add a missing line end.

    Returns:
        Number of bytes that were removed.

    Raises:
        OSError: the manifest cannot be read or written.
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
