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
        """Maximal number of running tasks."""
        ...

    def idle(self) -> bool:
        """Whether a task can be given."""
        ...

    def busy(self) -> bool:
        """Whether any task is running."""
        ...

    def give(self, task: Any) -> int:
        """Start a task, and return the number of its worker."""
        ...

    def wait(self, timeout_s: float) -> list[Report]:
        """Wait for the next reports, at most `timeout_s` seconds, and return them."""
        ...

    def close(self) -> None:
        """Stop everything at once; running tasks are dropped."""
        ...


@dataclass
class _Worker:
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
        self._workers: list[_Worker | None] = [None] * limits.jobs
        self._looked = 0.0

    @property
    def size(self) -> int:
        """Maximal number of running tasks."""
        return self.limits.jobs

    def idle(self) -> bool:
        """Whether a task can be given."""
        return any(worker is None or worker.task is None for worker in self._workers)

    def busy(self) -> bool:
        """Whether any task is running."""
        return any(worker is not None and worker.task is not None for worker in self._workers)

    def give(self, task: Any) -> int:
        """Give a task to a free process and return its number."""
        free = [
            n for n, worker in enumerate(self._workers) if worker is None or worker.task is None
        ]
        for number in free:
            worker = self._workers[number] or self._start(number)
            worker.task, worker.began, worker.stopped = task, time.monotonic(), None
            try:
                worker.pipe.send(task)
            except OSError:  # it died while idle
                self._end(number)
                worker = self._start(number)
                worker.task, worker.began = task, time.monotonic()
                worker.pipe.send(task)
            return number
        raise RuntimeError("no worker is free")

    def wait(self, timeout_s: float) -> list[Report]:
        """Wait for the next reports, at most `timeout_s` seconds, and return them."""
        self._enforce_limits()
        waited: dict[object, int] = {}
        for number, worker in enumerate(self._workers):
            if worker is not None:
                waited[worker.pipe] = waited[worker.process.sentinel] = number
        ready = connection.wait(list(waited), timeout_s)  # type: ignore[arg-type]
        reports: list[Report] = []
        for number in sorted({waited[thing] for thing in ready}):
            reports += self._receive(number)
        return reports

    def close(self) -> None:
        """Kill every process; running tasks are dropped."""
        for number in range(len(self._workers)):
            self._end(number)

    def _start(self, number: int) -> _Worker:
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
        worker = _Worker(process, ours, log)
        self._workers[number] = worker
        return worker

    def _end(self, number: int) -> None:
        worker = self._workers[number]
        if worker is None:
            return
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()
        worker.process.close()
        self._workers[number] = None

    def _receive(self, number: int) -> list[Report]:
        worker = self._workers[number]
        assert worker is not None
        reports: list[Report] = []
        try:
            while worker.pipe.poll():
                reports += self._reports_of(number, worker, worker.pipe.recv())
        except (EOFError, OSError, pickle.UnpicklingError):
            worker.process.join(5)  # killed while sending, or dead but not yet detected
            worker.process.kill()
            worker.process.join()
        if not worker.process.is_alive():
            if worker.task is not None:
                trouble = worker.stopped or diagnose_exit(worker.process.exitcode or 0, worker.log)
                reports.append(
                    Report(
                        number,
                        worker.task,
                        trouble=trouble,
                        short_of_memory=trouble.kind == "memory",
                        seconds=time.monotonic() - worker.began,
                    )
                )
            self._end(number)
        return reports

    def _reports_of(self, number: int, worker: _Worker, message: tuple[Any, ...]) -> list[Report]:
        kind, *rest = message
        if kind == "stage":
            return [Report(number, worker.task, *rest)]
        result, trouble, fatal, short = rest
        report = Report(
            number,
            worker.task,
            result=result,
            trouble=trouble,
            fatal=fatal,
            short_of_memory=short,
            seconds=time.monotonic() - worker.began,
        )
        worker.task = None
        return [report]

    def _enforce_limits(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        busy = [
            worker for worker in self._workers if worker is not None and worker.task is not None
        ]
        for worker in busy:
            limit = self.limits.timeout_s
            if limit is not None and now - worker.began > limit and worker.stopped is None:
                worker.stopped = Failure(
                    "timeout", f"it took longer than {limit:g} s", "allow more with --timeout"
                )
                worker.process.kill()
        if self.limits.memory_bytes is None:
            return
        holds = {id(worker): memory.held(worker.process.pid or 0) or 0 for worker in busy}
        if busy and sum(holds.values()) > self.limits.memory_bytes:
            largest = max(busy, key=lambda worker: holds[id(worker)])
            if largest.stopped is None:
                largest.stopped = Failure(
                    "memory",
                    f"it took {holds[id(largest)] / 1e9:.1f} GB of memory, more than the limit",
                    "allow more with --memory, or work on fewer at once with --jobs",
                )
                largest.process.kill()
