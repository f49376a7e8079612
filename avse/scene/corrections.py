"""The user's corrections of a recording: names, people, faces, the A/V offset.

Corrections are stored beside the cache, in a JSON file for each recording, which is identified by
its content and may be moved and renamed. They refer to people by a time and a place in the picture,
so they stay valid when the numbers of people change.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Callable, Iterable
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avse.errors import InputError, OutputError, UsageError
from avse.faces.people_file import check_name
from avse.scene.cache import cache_folder, know_content, open_cache
from avse.utils.clock import clock
from avse.utils.schema import RecordError, build, load_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from avse.faces.people import People, Person

MOST, LONGEST_NAME = 1000, 100
"""Maximal number of corrections of one kind, and of characters of a name."""

FARTHEST_MS = 10_000.0
"""Largest A/V offset that can be set, in ms."""

_FORMAT = 1
_LONGEST_S = 1e7
_LARGEST_FILE = 2_000_000
_WAIT_S = 10
_FILE = re.compile(r"[0-9a-f]{64}\.json", re.ASCII)


@dataclass(frozen=True)
class Anchor:
    """A point in time and picture at which a person is visible.

    Attributes:
        time: playing time in seconds.
        x, y: position, 0..1 from the left and from the top.
    """

    time: float
    x: float
    y: float

    def __post_init__(self) -> None:
        if not (0 <= self.time <= _LONGEST_S and 0 <= self.x <= 1 and 0 <= self.y <= 1):
            raise UsageError(
                f"{self} is not a point of a recording",
                "give seconds from the beginning, and 0 to 1 from the left and from the top",
            )

    def __str__(self) -> str:
        return f"@{self.time:g}s:{self.x:.2f},{self.y:.2f}"


@dataclass(frozen=True)
class Named:
    """The name of a person."""

    at: Anchor
    name: str


@dataclass(frozen=True)
class AddedFace:
    """A face that the detector missed.

    Attributes:
        time: playing time in seconds.
        box: x, y, width, height as fractions of the picture.
    """

    time: float
    box: tuple[float, float, float, float]

    def __post_init__(self) -> None:
        x, y, w, h = self.box
        inside = min(x, y) >= 0 and min(w, h) > 0 and max(x + w, y + h) <= 1.001
        inside = inside and all(map(math.isfinite, self.box))
        if not (0 <= self.time <= _LONGEST_S and inside):
            raise UsageError(
                f"{self.box} at {self.time:g} s is not a box in the picture",
                "give x, y, width and height as fractions of the picture",
            )


@dataclass(frozen=True)
class Corrections:
    """The corrections of a recording.

    Attributes:
        names: names of people.
        same: groups of points that show one person each.
        removed: points at false detections.
        added: faces that the detector missed.
        offset_ms: the A/V offset (positive: the sound is late), in place of the measured one; None
            for the measured one.
        changed: ISO date and time of the last change; "" if there was none.
    """

    names: tuple[Named, ...] = ()
    same: tuple[tuple[Anchor, ...], ...] = ()
    removed: tuple[Anchor, ...] = ()
    added: tuple[AddedFace, ...] = ()
    offset_ms: float | None = None
    changed: str = ""

    def __post_init__(self) -> None:
        several = (self.names, self.same, self.removed, self.added, *self.same)
        if any(len(one) > MOST for one in several):
            raise UsageError(f"there are more than {MOST} corrections of a kind", "remove some")
        for one in self.names:
            if len(check_name(one.name)) > LONGEST_NAME:
                raise UsageError(
                    f"a name has {len(one.name)} characters",
                    f"choose one of {LONGEST_NAME} at most",
                )
        if self.offset_ms is not None and not abs(self.offset_ms) <= FARTHEST_MS:
            raise UsageError(
                f"an offset of {self.offset_ms:g} ms is out of range",
                f"choose {-FARTHEST_MS:g} to {FARTHEST_MS:g} ms",
            )
        try:
            self.changed and datetime.fromisoformat(self.changed)
        except ValueError:
            raise UsageError(
                f"{self.changed!r} is not a date", "such as 2025-01-31T12:00:00+00:00"
            ) from None

    @property
    def empty(self) -> bool:
        """Whether there are no corrections."""
        return replace(self, changed="") == Corrections()

    def digest(self) -> str | None:
        """A digest of the corrections that affect results; None if there are none."""
        if self.empty:
            return None
        text = json.dumps(asdict(replace(self, changed="")), sort_keys=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()


NOTHING = Corrections()


def corrections_folder() -> Path | None:
    """The folder of corrections; None if the user has no home folder."""
    folder = cache_folder()
    return None if folder is None else folder / "corrections"


def any_corrections() -> bool:
    """Whether corrections of any recording exist."""
    return next(_files(), None) is not None


def clear_corrections() -> int:
    """Remove the corrections of every recording; returns the number of recordings."""
    files = list(_files())
    for path in files:
        path.unlink(missing_ok=True)
    return len(files)


def read_corrections(sha256: str) -> Corrections:
    """Read the corrections of a recording; `NOTHING` if there are none.

    Args:
        sha256: SHA-256 of the content of the recording.

    Raises:
        InputError: the file cannot be read, or is damaged.
    """
    path = _path(sha256)
    if path is None:
        return NOTHING
    try:
        state = path.stat()
        if not path.is_file() or state.st_size > _LARGEST_FILE:
            raise RecordError("it is not a file of corrections")
        table = load_json(path.read_bytes())
        if not isinstance(table, dict) or table.pop("format", None) != _FORMAT:
            raise RecordError("it is of another version of avse")
        table.pop("recording", None)
        return build(Corrections, table, "the file")
    except (FileNotFoundError, NotADirectoryError):
        return NOTHING
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except (RecordError, UsageError) as error:
        raise _unreadable(path, error.message) from error


def corrections_of(path: Path) -> Corrections:
    """The corrections of a recording; see `read_corrections`.

    Raises:
        OSError: the recording cannot be read.
    """
    if not any_corrections():  # which spares the hash of the file
        return NOTHING
    mark = know_content(path, open_cache())
    return NOTHING if mark is None else read_corrections(mark.sha256)


def change_corrections(
    sha256: str, change: Callable[[Corrections], Corrections], *, recording: str
) -> Corrections:
    """Change the corrections of a recording, under a lock.

    Args:
        sha256: SHA-256 of the content of the recording.
        change: maps the present corrections to the new ones.
        recording: file name, for people who read the file of corrections.

    Returns:
        The new corrections.

    Raises:
        InputError: the present file cannot be read; it is left unchanged.
        OutputError: the file cannot be written.
        UsageError: raised by `change`.
    """
    path = _path(sha256)
    if path is None:
        raise OutputError("there is no home folder for corrections", "set AVSE_CACHE to a folder")
    with _locked(path.parent):
        now = datetime.now(UTC).isoformat(timespec="seconds")
        changed = replace(change(read_corrections(sha256)), changed=now)
        if changed.empty:
            path.unlink(missing_ok=True)
            return NOTHING
        told = recording.encode("utf-8", "backslashreplace").decode("utf-8")  # bytes of old names
        _write(path, {"format": _FORMAT, "recording": told, **asdict(changed)})
    return changed


def apply_corrections(
    people: People, corrections: Corrections, begin_s: float, holds: Callable[[float], bool]
) -> tuple[People, tuple[str, ...]]:
    """Apply corrections to people; numbers change only for people who are joined.

    Args:
        people: the detected people.
        corrections: the corrections of the recording.
        begin_s: time, on the clock of `people`, at which the playing time is 0.
        holds: whether a playing time lies in the processed part; other corrections are ignored.

    Returns:
        The people, and messages to the user.
    """
    from avse.faces.people import joined

    notes: list[str] = []

    def find(anchors: Iterable[Anchor], what: str) -> list[int]:
        found = []
        for anchor in anchors:
            if not holds(anchor.time):
                continue
            person = people.at(anchor.time + begin_s, anchor.x, anchor.y)
            if person is None:
                place = f"{clock(anchor.time)} at {anchor.x:.2f},{anchor.y:.2f}"
                notes.append(f"{what} is not used: nobody is there at {place}")
            else:
                found.append(person.number)
        return found

    gone = set(find(corrections.removed, "the correction that somebody is not a person"))
    groups = [
        set(find(anchors, "the correction that two are one person")) - gone
        for anchors in corrections.same
    ]
    groups = [group for group in groups if len(group) > 1]
    names: dict[int, str] = {}
    for one in corrections.names:
        for number in set(find([one.at], f"the name {one.name!r}")) - gone:
            names[number] = one.name  # the last one counts
    persons = tuple(
        replace(person, name=names.get(person.number, person.name))
        for person in people
        if person.number not in gone
    )
    corrected = joined(replace(people, persons=persons), [sorted(group) for group in groups])
    used = [
        _count(len(names), "name"),
        _count(len(set().union(*groups)), "people", "people") + " joined",
        _count(len(gone), "face") + " removed",
        _count(sum(holds(face.time) for face in corrections.added), "face") + " added",
        "" if corrections.offset_ms is None else f"an A/V offset of {corrections.offset_ms:g} ms",
    ]
    told = ", ".join(text for text in used if text and not text.startswith("0"))
    if told:
        notes.insert(
            0,
            f"corrections of {corrections.changed[:10]} are used: {told}; --no-corrections ignores "
            "them",
        )
    return _one_name_each(corrected, notes), tuple(notes)


def keep_names(named: People, before: People) -> People:
    """People with their new names; people without a new name keep their old one."""
    taken = {person.name for person in named}
    old = {person.number: person.name for person in before if person.name not in taken}
    persons = (replace(p, name=p.name or old.get(p.number)) for p in named)
    return replace(named, persons=tuple(persons))


def anchor_of(people: People, person: Person, begin_s: float) -> Anchor | None:
    """A point at which only this person is found; None if there is no such point.

    Args:
        people: the detected people, before any correction.
        person: one of the people.
        begin_s: see `apply_corrections`.
    """
    sizes = person.boxes[:, 2] * person.boxes[:, 3]
    for row in sizes.argsort()[::-1]:
        x, y, w, h = (float(value) for value in person.boxes[row])
        x, y = (min(1.0, max(0.0, round(v, 4))) for v in (x + w / 2, y + h / 2))
        time = max(0.0, round(float(person.times[row]) - begin_s, 3))
        found = people.at(time + begin_s, x, y)
        if found is not None and found.number == person.number:
            return Anchor(time, x, y)
    return None


def _one_name_each(people: People, notes: list[str]) -> People:
    taken: set[str] = set()
    persons = []
    for person in people:
        if person.name in taken:
            notes.append(f"the name {person.name!r} is another's: person {person.number} has none")
            person = replace(person, name=None)
        elif person.name is not None:
            taken.add(person.name)
        persons.append(person)
    return replace(people, persons=tuple(persons))


def _count(number: int, one: str, several: str | None = None) -> str:
    return f"{number} {one if number == 1 else several or one + 's'}"


def _path(sha256: str) -> Path | None:
    folder = corrections_folder()
    name = f"{sha256}.json"
    if not _FILE.fullmatch(name):  # it may come from anywhere, and names a file
        raise UsageError(f"{sha256[:80]!r} is not a SHA-256", "give 64 hexadecimal digits")
    return None if folder is None else folder / name


def _files() -> Iterator[Path]:
    folder = corrections_folder()
    try:
        paths = [] if folder is None else list(folder.iterdir())
    except OSError:
        return
    yield from (path for path in paths if _FILE.fullmatch(path.name))


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    from avse.media.atomic_files import writing

    lock = folder / ".lock"
    with writing(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if lock.is_symlink():  # opening it would empty what it points to
            raise OutputError(f"{lock} is a link", "remove it, unless you know where it comes from")
        held = FileLock(lock, timeout=_WAIT_S)
        try:
            held.acquire()
        except Timeout as error:
            raise OutputError(
                f"{folder}: another program is changing corrections", "try again"
            ) from error
        try:
            yield
        finally:
            held.release()


def _write(path: Path, table: dict[str, Any]) -> None:
    from avse.media.atomic_files import appearing

    text = json.dumps(table, indent=1, ensure_ascii=False) + "\n"
    if len(text) > _LARGEST_FILE:
        raise UsageError("there are too many corrections", "remove some")
    with appearing(path) as temporary:
        opened = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())  # it is the user's work


def _unreadable(path: Path, why: str) -> InputError:
    return InputError(
        f"the corrections {path} cannot be read: {why}",
        "mend or remove the file; --no-corrections works without it",
    )
