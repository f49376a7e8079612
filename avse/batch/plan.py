"""Plan the work before it starts: names, clashes, finished recordings, order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from avse.batch.discover import Found
from avse.batch.manifest import Failure, Record
from avse.batch.request import Request
from avse.batch.staging import key_of
from avse.batch.worker import Probed
from avse.errors import AvseError, InputError, OutputError, OutputExistsError
from avse.media.atomic_files import writing
from avse.scene.naming import Stem
from avse.utils.file_state import Mark
from avse.utils.paths import inside

_SHOWN = 3
_READERS = 8

REAL_TIME_FACTOR = 0.6
"""Seconds of work for a second of 720p, 25 pictures a second, on one core: docs/scale.md."""

_PIXELS_A_SECOND = 1280 * 720 * 25
_SMALLEST_SHARE = 0.3
"""Share of that for a tiny picture: faces and the network cost the same at any size."""

_USUAL_PEOPLE = 2
"""Number of voices expected of a recording that was not analysed yet."""


@dataclass
class Item:
    """A recording to work on.

    Attributes:
        key: short name.
        source: absolute path.
        below: folder of its outputs, relative to the output folder of the batch.
        probed: description of the file, once probed.
        trouble: error, if it cannot be processed.
        window_s: window of the network in seconds; reduced if memory is short.
    """

    key: str
    source: Path
    below: Path
    window_s: float
    probed: Probed | None = None
    trouble: Failure | None = None

    @property
    def work_s(self) -> float:
        """Expected seconds of work on one core, by rule of thumb."""
        if self.probed is None:
            return 0.0
        about = self.probed
        # For a file without a duration, assume about 4 Mbit/s.
        length = about.bytes / 5e5 if about.media_s is None else about.media_s
        return self.rule_of_thumb_s * length

    @property
    def rule_of_thumb_s(self) -> float:
        """Expected seconds of work per second of the recording, on one core."""
        if self.probed is None:
            return 0.0
        about = self.probed
        share = about.width * about.height * about.frame_rate / _PIXELS_A_SECOND
        return REAL_TIME_FACTOR * (_SMALLEST_SHARE + (1 - _SMALLEST_SHARE) * share)


@dataclass
class BatchPlan:
    """The planned work.

    Attributes:
        todo: recordings to work on, the largest first once they are probed.
        done: records of recordings that are provably done.
        left_alone: recordings that --retry-failed skips.
    """

    todo: list[Item] = field(default_factory=list)
    done: list[Record] = field(default_factory=list)
    left_alone: int = 0

    def sort(self) -> None:
        """Sort the largest recordings first, so that a small one ends last."""
        self.todo.sort(key=lambda item: (-item.work_s, os.fsencode(item.source)))


def make_items(found: Iterable[Found], request: Request, output: Path) -> list[Item]:
    """Name the outputs of every recording, and refuse clashes.

    Args:
        found: the recordings.
        request: the request of the batch.
        output: folder of the batch.

    Raises:
        OutputExistsError: two outputs, or an output and an input, have the same path.
    """
    items = [Item(key_of(str(f.path)), f.path, f.below, request.settings.window_s) for f in found]
    sources = {os.path.realpath(item.source) for item in items}
    taken: dict[str, Path] = {}
    for item in items:
        paths = expected_outputs(item, request, output)
        inside: set[str] = set()
        for path in paths:
            place = os.path.normcase(os.path.abspath(path))  # noqa: PTH100
            if place in inside:
                raise OutputExistsError(
                    f"two outputs of {item.source} would be written to {path}",
                    "add {speaker} to --name",
                )
            inside.add(place)
            if place in taken:
                raise OutputExistsError(
                    f"{taken[place]} and {item.source} would both be written to {path}",
                    "use --base FOLDER to keep sub-folders, or put the ending into the names: "
                    '--name "{name}.{speaker}{ext}"',
                )
            if os.path.realpath(path) in sources:
                raise OutputExistsError(
                    f"{path} is an input, which is never overwritten", "choose another --output"
                )
        taken.update(dict.fromkeys(inside, item.source))
    return items


def expected_outputs(item: Item, request: Request, output: Path) -> list[Path]:
    """Outputs that can be named before analysis; with "all", person 1 represents all people."""
    naming = request.naming(item.source, output / item.below)
    if request.verb == "enhance":
        paths = [naming.path(Stem.TOGETHER)]
    else:
        paths = [naming.path(number) for number in request.speakers.numbers or (1,)]
    return [*paths, naming.beside(Stem.RESIDUAL)] if request.residual else paths


def in_shard(item: Item, number: int, count: int) -> bool:
    """Whether an item belongs to the part of one of several machines, 1 to `count`.

    The hash of the path decides, so that machines need no communication.
    """
    return int(hashlib.sha256(item.key.encode()).hexdigest(), 16) % count == number - 1


def make_plan(
    items: Sequence[Item],
    request: Request,
    model_sha256: str,
    latest: Mapping[str, Record],
    output: Path,
    *,
    force: bool = False,
    retry_failed: bool = False,
    verify: bool = False,
) -> BatchPlan:
    """Find the recordings that are already done.

    Args:
        items: every recording.
        request: the request of the batch.
        model_sha256: of the weights.
        latest: input -> last record.
        output: folder of the batch.
        force: process everything again.
        retry_failed: process only recordings that failed before.
        verify: hash every file, even if size and times are unchanged.

    Raises:
        OutputExistsError: outputs exist that are not in the manifest, and not `force`.
    """

    def is_done(item: Item) -> bool:
        record = latest.get(str(item.source))
        return (
            not force
            and record is not None
            and record.status == "done"
            and record.model_sha256 == model_sha256
            and record.input_mark is not None
            and record.input_mark.holds(item.source, verify=verify)
            and record.settings_sha256 == _digest(request, record.input_mark)
            and all(o.mark.holds(output / o.path, verify=verify) for o in record.outputs)
        )

    with ThreadPoolExecutor(_READERS) as readers:  # hashing lets other threads run
        states = list(readers.map(is_done, items))
    plan = BatchPlan()
    for item, done in zip(items, states, strict=True):
        record = latest.get(str(item.source))
        if done and record is not None:
            plan.done.append(record)
        elif retry_failed and (record is None or record.status != "failed"):
            plan.left_alone += 1
        else:
            plan.todo.append(item)
    if not force:
        _refuse_strangers(plan.todo, request, latest, output)
    for item in plan.todo:
        item.trouble = _unwritable(item, request, output)
    return plan


def _digest(request: Request, mark: Mark) -> str | None:
    try:
        return request.digest(request.corrected(mark.sha256))
    except InputError:  # reported when the recording is processed
        return None


def _refuse_strangers(
    items: Iterable[Item], request: Request, latest: Mapping[str, Record], output: Path
) -> None:
    strangers = []
    for item in items:
        record = latest.get(str(item.source))
        ours = {output / o.path for o in record.outputs} if record is not None else set()
        for path in expected_outputs(item, request, output):
            if path not in ours and _exists(path):
                strangers.append(path)
    if strangers:
        shown = ", ".join(map(str, strangers[:_SHOWN])) + (", …" if len(strangers) > _SHOWN else "")
        raise OutputExistsError(
            f"{len(strangers)} outputs exist already and are not in the manifest: {shown}",
            "add --force to replace them, or choose another --output",
        )


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the name is too long; `_unwritable` reports it
        return False


def _unwritable(item: Item, request: Request, output: Path) -> Failure | None:
    """A name that the file system refuses, or a link, fails its own recording only."""
    for path in expected_outputs(item, request, output):
        try:
            inside(output, path.relative_to(output).as_posix())
            with writing(path):
                path.is_symlink()
                os.lstat(path)
        except OutputError as error:
            if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                continue
            return Failure(type(error).__name__, error.message, error.hint)
        except AvseError as error:
            return Failure(type(error).__name__, error.message, error.hint)
    return None


def bytes_needed(items: Iterable[Item], request: Request, people: Mapping[str, int]) -> int:
    """Approximate size of the outputs in bytes.

    Args:
        items: probed recordings.
        request: the request of the batch.
        people: number of people found earlier in a recording, by path.
    """
    total = 0
    for item in items:
        if item.probed is None:
            continue
        voices = 1 if request.verb == "enhance" else request.speakers.count
        if voices is None:
            voices = people.get(str(item.source), _USUAL_PEOPLE)
        voices += request.residual
        if request.naming(item.source, Path()).is_video:
            total += voices * item.probed.bytes
        else:
            length = item.probed.media_s or 0.0
            packed = 0.6 if request.suffix.lower() == ".flac" else 1.0
            total += round(voices * item.probed.sample_bytes * length * packed)
    return total
