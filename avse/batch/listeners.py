"""Events of a run, and its interruption by the user."""

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
        seconds: expected duration.
        low_s, high_s: bounds of the duration, if the load of the machine stays similar.
        basis: source of the estimate: "records", earlier recordings; "trial", the first seconds of
            some recordings; "rule", a rule of thumb.
    """

    seconds: float
    low_s: float
    high_s: float
    basis: str


@dataclass(frozen=True)
class Outlook:
    """Overview of a run before it starts.

    Attributes:
        total: recordings found.
        todo: recordings to work on.
        done_before: recordings that are provably done.
        jobs: processes, or tasks at once on a cluster.
        media_s: length of the recordings to work on, in seconds.
        estimate: how long the work will take.
        bytes_needed: disk space needed, roughly; bytes_free: free disk space.
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
        """A note for the user."""

    def warn(self, text: str) -> None:
        """A warning for the user."""

    def probing(self, done: int, total: int) -> None:
        """Number of files checked so far."""

    def planned(self, outlook: Outlook) -> None:
        """The work begins."""

    def began(self, worker: int, source: Path) -> None:
        """A worker, numbered from 0, has started a recording."""

    def stage(
        self, worker: int, source: Path, stage: str, done_s: float, total_s: float | None
    ) -> None:
        """Progress of a worker on its recording."""

    def ended(self, worker: int | None, record: Record, work_s: float) -> None:
        """A recording is done or has failed; `work_s` is its share of the estimate."""


@dataclass
class Summary:
    """Result of a run.

    Attributes:
        total: recordings found.
        done_before: number of recordings that were done before.
        done: number of recordings done in this run.
        failed: (path, reason) of the recordings that failed.
        not_begun: number of recordings left because the run was stopped.
        left_alone: number of recordings that --retry-failed skipped.
        interrupted: whether the user stopped the run.
        halted: any other reason for stopping, as text.
        outputs: number of files written.
        media_s: length of the recordings done, in seconds.
        seconds: duration of the run.
        warnings: number of warnings on recordings done.
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
    """Counts how often the user has pressed Ctrl-C."""

    count: int = 0


@contextmanager
def counted_interrupts(watcher: Watcher) -> Iterator[Interrupts]:
    """Only count the first Ctrl-C; the second raises KeyboardInterrupt."""
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
