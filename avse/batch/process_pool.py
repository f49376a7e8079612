"""Process pool that monitors each process and survives crashes.

`concurrent.futures` and loky abort every running task when one process dies; here only the task of
that process fails, and the pool replaces the process. Processes are spawned, ignore Ctrl-C, end
with the parent, and never write to its terminal: stdout and stderr of each go to a file, whose
last line may explain a crash.
"""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass, field
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from avse.batch import memory
from avse.batch.manifest import Failure
from avse.batch.worker_process import Setup, diagnose_exit, worker_main
from avse.errors import AvseError

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_LOOK_S = 0.5


@dataclass(frozen=True)
class Limits:
    """Limits of the processes.

    Attributes:
        jobs: number of processes.
        threads: number of compute threads of each.
        timeout_s: time limit of a task; None for no limit.
        memory_bytes: total memory; beyond it, the largest process is stopped. None for no limit.
    """

    jobs: int = 1
    threads: int = 1
    timeout_s: float | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True)
class Report:
    """Message of a process.

    Attributes:
        worker: number of the process.
        task: its current task.
        stage, done_s, total_s: progress; an empty stage is the end of the task.
        result: result of the task.
        trouble: error of the task, if it failed.
        fatal: an error that every other task would have too.
        short_of_memory: whether the task might succeed with a smaller window.
        seconds: duration of the task.
    """

    worker: int
    task: Any
    stage: str = ""
    done_s: float = 0.0
    total_s: float | None = None
    result: Any = None
    trouble: Failure | None = None
    fatal: AvseError | None = None
    short_of_memory: bool = False
    seconds: float = 0.0


class Executor(Protocol):
    """Interface of executors: processes of this machine, or a cluster."""

    @property
    def size(self) -> int:
        """How many tasks can be in hand."""
        ...

    def idle(self) -> bool:
        """Whether a task can be given."""
        ...

    def busy(self) -> bool:
        """Whether any task is in hand."""
        ...

    def give(self, task: Any) -> int:
        """Hand out a task, and tell to which worker."""
        ...

    def wait(self, timeout_s: float) -> list[Report]:
        """What has happened, as soon as anything has."""
        ...

    def close(self) -> None:
        """Stop everything at once; tasks in hand are dropped."""
        ...


@dataclass
class _Hand:
    process: BaseProcess
    pipe: Connection
    log: Path
    task: Any = None
    began: float = 0.0
    stopped: Failure | None = None
    unread: list[Any] = field(default_factory=list)


class WorkerPool:
    """Executor with processes of this machine.

    Args:
        setup: makes the work function; called once in each process.
        limits: see `Limits`.
        folder: folder for the files with stdout and stderr.
    """

    def __init__(self, setup: Setup, limits: Limits, folder: Path) -> None:
        self._setup, self.limits, self._folder = setup, limits, folder
        self._hands: list[_Hand | None] = [None] * limits.jobs
        self._looked = 0.0

    @property
    def size(self) -> int:
        """How many tasks can be in hand."""
        return self.limits.jobs

    def idle(self) -> bool:
        """Whether a task can be given."""
        return any(hand is None or hand.task is None for hand in self._hands)

    def busy(self) -> bool:
        """Whether any task is in hand."""
        return any(hand is not None and hand.task is not None for hand in self._hands)

    def give(self, task: Any) -> int:
        """Give a task to a free process and return its number."""
        free = [n for n, hand in enumerate(self._hands) if hand is None or hand.task is None]
        for number in free:
            hand = self._hands[number] or self._start(number)
            hand.task, hand.began, hand.stopped = task, time.monotonic(), None
            try:
                hand.pipe.send(task)
            except OSError:  # it died while idle
                self._end(number)
                hand = self._start(number)
                hand.task, hand.began = task, time.monotonic()
                hand.pipe.send(task)
            return number
        raise RuntimeError("nobody is free")

    def wait(self, timeout_s: float) -> list[Report]:
        """What has happened, as soon as anything has."""
        self._stop_who_goes_too_far()
        waited: dict[object, int] = {}
        for number, hand in enumerate(self._hands):
            if hand is not None:
                waited[hand.pipe] = waited[hand.process.sentinel] = number
        ready = connection.wait(list(waited), timeout_s)  # type: ignore[arg-type]
        reports: list[Report] = []
        for number in sorted({waited[thing] for thing in ready}):
            reports += self._hear(number)
        return reports

    def close(self) -> None:
        """Kill every process; tasks in hand are dropped."""
        for number in range(len(self._hands)):
            self._end(number)

    def _start(self, number: int) -> _Hand:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        log = self._folder / f"worker-{number + 1}.log"
        process = context.Process(
            target=worker_main,
            args=(theirs, self._setup, number, self.limits.threads, log),
            name=f"avse-worker-{number + 1}",
            daemon=True,
        )
        process.start()
        theirs.close()
        hand = _Hand(process, ours, log)
        self._hands[number] = hand
        return hand

    def _end(self, number: int) -> None:
        hand = self._hands[number]
        if hand is None:
            return
        hand.process.kill()
        hand.process.join()
        hand.pipe.close()
        hand.process.close()
        self._hands[number] = None

    def _hear(self, number: int) -> list[Report]:
        hand = self._hands[number]
        assert hand is not None
        reports: list[Report] = []
        try:
            while hand.pipe.poll():
                reports += self._understood(number, hand, hand.pipe.recv())
        except (EOFError, OSError, pickle.UnpicklingError):
            hand.process.join(5)  # killed while sending, or dead but not yet detected
            hand.process.kill()
            hand.process.join()
        if not hand.process.is_alive():
            if hand.task is not None:
                trouble = hand.stopped or diagnose_exit(hand.process.exitcode or 0, hand.log)
                reports.append(
                    Report(
                        number,
                        hand.task,
                        trouble=trouble,
                        short_of_memory=trouble.kind == "memory",
                        seconds=time.monotonic() - hand.began,
                    )
                )
            self._end(number)
        return reports

    def _understood(self, number: int, hand: _Hand, message: tuple[Any, ...]) -> list[Report]:
        kind, *rest = message
        if kind == "stage":
            return [Report(number, hand.task, *rest)]
        result, trouble, fatal, short = rest
        report = Report(
            number,
            hand.task,
            result=result,
            trouble=trouble,
            fatal=fatal,
            short_of_memory=short,
            seconds=time.monotonic() - hand.began,
        )
        hand.task = None
        return [report]

    def _stop_who_goes_too_far(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        busy = [hand for hand in self._hands if hand is not None and hand.task is not None]
        for hand in busy:
            limit = self.limits.timeout_s
            if limit is not None and now - hand.began > limit and hand.stopped is None:
                hand.stopped = Failure(
                    "timeout", f"it took longer than {limit:g} s", "allow more with --timeout"
                )
                hand.process.kill()
        if self.limits.memory_bytes is None:
            return
        holds = {id(hand): memory.held(hand.process.pid or 0) or 0 for hand in busy}
        if busy and sum(holds.values()) > self.limits.memory_bytes:
            largest = max(busy, key=lambda hand: holds[id(hand)])
            if largest.stopped is None:
                largest.stopped = Failure(
                    "memory",
                    f"it took {holds[id(largest)] / 1e9:.1f} GB of memory, more than the limit",
                    "allow more with --memory, or work on fewer at once with --jobs",
                )
                largest.process.kill()
