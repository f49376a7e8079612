"""Cache of results about recordings (faces, A/V offset), in the user's cache folder.

An entry is a file `KIND-KEY.avse` in the folder `found`: a header line of JSON, and the payload.
The key is a digest of everything that the payload depends on: the content of the recording,
settings, versions. A damaged entry counts as missing. Files are written by rename, so programs can
share the folder and can be killed. When the cache is full, the least recently used entries are
removed.

If the cache cannot be used, the reason is logged (`avse -v` shows it); it is not an error.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import os
import re
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from avse import __version__
from avse.errors import AvseError, UsageError
from avse.media.atomic_files import temporary_name
from avse.utils.file_state import Mark, mark
from avse.utils.paths import user_path
from avse.utils.schema import build, load_json

FACES, SYNC, CONTENT = "faces", "sync", "content"

DEFAULT_BYTES = 2_000_000_000

_NAME = re.compile(rf"({FACES}|{SYNC}|{CONTENT})-([0-9a-f]{{64}})\.avse", re.ASCII)
_LONGEST_LINE = 4096
_LONGEST_NAME = 255
_BLOCK = 4096
"""Disk space of the smallest file, in bytes."""

_ABANDONED_S = 3600
"""Age in seconds from which a temporary file belongs to a killed program."""

_SETTLED_NS = 2_000_000_000
"""A file that changed this recently could change again without a change of its time stamps."""

_log = logging.getLogger("avse.scene.cache")


@dataclass(frozen=True)
class Entry:
    """An entry of the cache.

    Attributes:
        kind: "faces", "sync", or "content" (the SHA-256 of a file).
        recording: file name of the recording, without its folder.
        bytes: size in bytes.
        used: time of the last read or write, in seconds since 1970.
    """

    kind: str
    recording: str
    bytes: int
    used: float


@dataclass(frozen=True)
class _Head:
    """The header of an entry: kind, key, recording, and the fingerprint of the payload."""

    kind: str
    key: str
    recording: str
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Cache:
    """A cache folder.

    Attributes:
        folder: the folder; the entries are in its subfolder `found`.
        limit_bytes: maximal size of all entries together.
    """

    folder: Path
    limit_bytes: int

    @property
    def _found(self) -> Path:
        return self.folder / "found"

    def _path(self, kind: str, key: str) -> Path:
        return self._found / f"{kind}-{key}.avse"

    def get(self, kind: str, key: str) -> bytearray | None:
        """The payload of a key; None if it is missing or damaged."""
        path = self._path(kind, key)
        try:
            state = path.lstat()
            if not stat.S_ISREG(state.st_mode) or state.st_size > self.limit_bytes:
                return None
            with path.open("rb") as file:
                head = _read_head(file.readline(_LONGEST_LINE))
                if (head.kind, head.key) != (kind, key):
                    raise ValueError("it is another entry")
                payload = bytearray(file.read())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            _log.info("%s is not used: %s", path.name, error)
            return None
        if len(payload) != head.bytes or hashlib.sha256(payload).hexdigest() != head.sha256:
            _log.info("%s is damaged, and not used", path.name)
            return None
        with suppress(OSError):  # a folder of somebody else's
            os.utime(path)
        return payload

    def put(self, kind: str, key: str, payload: bytes, recording: str) -> None:
        """Store a payload if possible, and remove old entries to make room.

        Args:
            kind: "faces", "sync" or "content".
            key: see `key_of`.
            payload: the payload.
            recording: file name of the recording.
        """
        digest = hashlib.sha256(payload).hexdigest()
        head = _Head(kind, key, recording[:_LONGEST_NAME], digest, len(payload))
        line = json.dumps(asdict(head)).encode("ascii") + b"\n"
        if len(line) > _LONGEST_LINE or len(line) + len(payload) > self.limit_bytes:
            return
        path = self._path(kind, key)
        temporary = temporary_name(path)
        try:
            # Faces, and who was in which recording, are nobody else's business.
            self._found.mkdir(mode=0o700, parents=True, exist_ok=True)
            opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
            with os.fdopen(opened, "wb") as file:
                file.write(line)
                file.write(payload)
            temporary.replace(path)
            self._make_room()
        except (OSError, AvseError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            _note_once(f"the cache in {self.folder} cannot be written: {reason}")
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """All entries that are not damaged, most recently used first."""
        found = []
        for path, state in self._files():
            with suppress(OSError, ValueError), path.open("rb") as file:
                head = _read_head(file.readline(_LONGEST_LINE))
                found.append(Entry(head.kind, head.recording, state.st_size, state.st_mtime))
        return sorted(found, key=lambda entry: -entry.used)

    def bytes(self) -> int:
        """Size of all entries in bytes."""
        return sum(state.st_size for _, state in self._files())

    def clear(self) -> int:
        """Remove every entry, and nothing else; returns their size in bytes.

        Raises:
            OSError: an entry cannot be removed.
        """
        gone = 0
        for path, state in self._files(abandoned=True):
            path.unlink(missing_ok=True)
            gone += state.st_size
        return gone

    def _files(self, *, abandoned: bool = False) -> Iterator[tuple[Path, os.stat_result]]:
        """Existing files of entries, and temporary files."""
        try:
            listed = list(os.scandir(self._found))
        except OSError:
            return
        for item in listed:
            part = item.name.startswith(".") and item.name.endswith(".part.avse")
            with suppress(OSError):
                if (_NAME.fullmatch(item.name) or (abandoned and part)) and item.is_file(
                    follow_symlinks=False
                ):
                    yield Path(item.path), item.stat(follow_symlinks=False)

    def _make_room(self) -> None:
        files = sorted(self._files(abandoned=True), key=lambda pair: pair[1].st_mtime)
        total = sum(max(state.st_size, _BLOCK) for _, state in files)
        now = time.time()
        for path, state in files:
            unfinished = path.name.startswith(".")
            if now - state.st_mtime < _ABANDONED_S if unfinished else total <= self.limit_bytes:
                continue
            with suppress(OSError):  # in use (Windows), or gone by now
                path.unlink(missing_ok=True)
                total -= max(state.st_size, _BLOCK)


_BINARY = getattr(os, "O_BINARY", 0)


def open_cache() -> Cache | None:
    """Open the user's cache, which need not exist yet.

    `$AVSE_CACHE` is its folder, `$AVSE_CACHE_GB` its maximal size.

    Returns:
        None if the maximal size is 0, or the user has no home folder.

    Raises:
        UsageError: the size is not a number.
    """
    folder, limit = cache_folder(), cache_limit()
    return Cache(folder, limit) if limit and folder is not None else None


def cache_limit() -> int:
    """Maximal size of the cache in bytes.

    Raises:
        UsageError: `$AVSE_CACHE_GB` is not a number.
    """
    text = os.environ.get("AVSE_CACHE_GB", "").strip()
    try:
        limit = int(1e9 * float(text)) if text else DEFAULT_BYTES
        if limit < 0:
            raise ValueError
    except (ValueError, OverflowError):
        raise UsageError(
            f"AVSE_CACHE_GB={text} is not a size", "give a number of gigabytes, 0 for no cache"
        ) from None
    return limit


def cache_folder() -> Path | None:
    """The folder of the cache and of corrections; None if the user has no home folder.

    Raises:
        UsageError: `$AVSE_CACHE` cannot be a path.
    """
    named = os.environ.get("AVSE_CACHE", "").strip()
    if named:
        return Path(os.path.abspath(user_path(named)))  # noqa: PTH100  # no link is followed
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "avse"
    variable, usual = ("XDG_CACHE_HOME", home / ".cache")
    if os.name == "nt":
        variable, usual = ("LOCALAPPDATA", home / "AppData" / "Local")
    base = Path(os.environ.get(variable, ""))
    return (base if base.is_absolute() else usual) / "avse"


def key_of(kind: str, **facts: object) -> str:
    """The key of a payload that depends on these facts, and on this version of avse.

    Args:
        kind: kind of the entry.
        facts: plain values.
    """
    told = {"avse": __version__, "kind": kind, **facts}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode("ascii")).hexdigest()


@functools.cache
def code_digest(*parts: str) -> str:
    """A digest of the code in folders and modules of avse, so that changed code invalidates
    entries.

    Args:
        parts: folders and modules, such as "faces" or "scene/face_analysis.py".
    """
    package, digest = Path(__file__).parent.parent, hashlib.sha256()
    for part in parts:
        path = package / part
        for module in sorted(path.glob("*.py")) if path.is_dir() else [path]:
            with suppress(OSError):  # no file: part of a frozen program
                digest.update(module.name.encode() + module.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class FileCache:
    """The cache of one recording.

    Attributes:
        path: path of the recording.
        mark: fingerprint of its content when it was opened.
        cache: the cache.
    """

    path: Path
    mark: Mark
    cache: Cache

    def get(self, kind: str, **facts: object) -> bytearray | None:
        """The payload for this content and these facts; see `key_of`."""
        return self.cache.get(kind, key_of(kind, content=self.mark.sha256, **facts))

    def put(self, kind: str, payload: bytes, **facts: object) -> None:
        """Store a payload, unless the file has changed since it was opened."""
        with suppress(OSError):
            if self.mark.still(self.path.stat()):
                key = key_of(kind, content=self.mark.sha256, **facts)
                self.cache.put(kind, key, payload, self.path.name)


def open_file_cache(path: Path) -> FileCache | None:
    """Open the cache of a recording; None if there is no cache.

    Raises:
        UsageError: see `open_cache`.
        OSError: the recording cannot be read.
    """
    cache = open_cache()
    known = None if cache is None else know_content(path, cache)
    return None if cache is None or known is None else FileCache(path, known, cache)


def know_content(path: Path, cache: Cache | None) -> Mark | None:
    """The fingerprint of a recording; its content is hashed once, until the file changes.

    Args:
        path: path of the recording.
        cache: the cache of hashes; None to hash the content now.

    Returns:
        None if it is not a regular file.

    Raises:
        OSError: the file cannot be read.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        return None
    key = hashlib.sha256(os.fsencode(os.path.realpath(path))).hexdigest()
    kept = None if cache is None else cache.get(CONTENT, key)
    if kept is not None:
        with suppress(ValueError):
            known = build(Mark, load_json(bytes(kept)), "the mark")
            if re.fullmatch("[0-9a-f]{64}", known.sha256) and known.still(state):
                return known
    found = mark(path)
    settled = time.time_ns() - max(state.st_mtime_ns, state.st_ctime_ns) > _SETTLED_NS
    if cache is not None and settled and found.still(path.stat()):
        cache.put(CONTENT, key, json.dumps(asdict(found)).encode("ascii"), path.name)
    return found


def _read_head(line: bytes) -> _Head:
    if not line.endswith(b"\n"):
        raise ValueError("it has no first line")
    return build(_Head, load_json(line), "the entry")


@functools.cache
def _note_once(text: str) -> None:
    _log.info("%s", text)
