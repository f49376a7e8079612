"""What a run tells while it goes on, and how it is asked to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from avse.batch.manifest import Failure, Record


@dataclass(frozen=True)
class Estimate:
    """How long the work will take.

    Attributes:
        seconds: probably.
        low_s, high_s: between what, if nothing much changes on the machine.
        basis: "records": by what earlier recordings took; "trial": by the beginnings of some;
            "rule": by rule of thumb.
    """

    seconds: float
    low_s: float
    high_s: float
    basis: str


@dataclass(frozen=True)
class Outlook:
    """What a run is about to do.

    Attributes:
        total: recordings found.
        todo: recordings to work on.
        done_before: recordings that are provably done.
        jobs: processes, or tasks at once on a cluster.
        media_s: length of what is to be worked on, seconds.
        estimate: how long it will take.
        bytes_needed: of disk, roughly; bytes_free: that there are.
    """

    total: int
    todo: int
    done_before: int
    jobs: int
    media_s: float
    estimate: Estimate
    bytes_needed: int
    bytes_free: int


class Watcher:
    """Base class for listeners to batch events; every method does nothing."""

    def say(self, text: str) -> None:
        """Something that is good to know."""

    def warn(self, text: str) -> None:
        """Something that the user must know."""

    def probing(self, done: int, total: int) -> None:
        """How many files have been looked into."""

    def planned(self, outlook: Outlook) -> None:
        """The work begins."""

    def began(self, worker: int, source: Path) -> None:
        """A worker, 0 and up, has taken a recording."""

    def stage(
        self, worker: int, source: Path, stage: str, done_s: float, total_s: float | None
    ) -> None:
        """How far a worker is with it."""

    def ended(self, worker: int | None, record: Record, work_s: float) -> None:
        """A recording is done or has failed; `work_s` of the estimate are thereby over."""


@dataclass
class Summary:
    """What came of a run.

    Attributes:
        total: recordings found.
        done_before: of these, done already.
        done: records of those done now, how many.
        failed: (path, why) of those that failed.
        not_begun: how many were left, because the run was stopped.
        left_alone: how many --retry-failed left alone.
        interrupted: whether the user stopped it.
        halted: why it was stopped otherwise, in words.
        outputs: how many files were written.
        media_s: length of what was done, seconds.
        seconds: the run took.
        warnings: how many were given on recordings done.
    """

    total: int = 0
    done_before: int = 0
    done: int = 0
    failed: list[tuple[Path, Failure]] = field(default_factory=list)
    not_begun: int = 0
    left_alone: int = 0
    interrupted: bool = False
    halted: str = ""
    outputs: int = 0
    media_s: float = 0.0
    seconds: float = 0.0
    warnings: int = 0


@dataclass
class Interrupts:
    """How often the user has pressed Ctrl-C."""

    count: int = 0


@contextmanager
def counted_interrupts(watcher: Watcher) -> Iterator[Interrupts]:
    """Let the first Ctrl-C be noticed only; the second raises KeyboardInterrupt."""
    seen = Interrupts()
    if threading.current_thread() is not threading.main_thread():  # may not set handlers
        yield seen
        return

    def note(number: int, frame: FrameType | None) -> None:
        seen.count += 1
        if seen.count > 1:
            raise KeyboardInterrupt
        watcher.warn("finishing the running recordings; press Ctrl-C again to abort them")

    before = signal.signal(signal.SIGINT, note)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)
