"""Map work over processes, so that a crash of one does not end the others.

Processes are spawned, not forked, because a fork of a parent with threads may deadlock. They leave
Ctrl-C to the parent, end when it ends, and compute with one thread each.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from typing import TypeVar

from avse.utils.processors import THREADS

Task = TypeVar("Task")
Result = TypeVar("Result")


def map_unordered(
    work: Callable[[Task], Result],
    tasks: Iterable[Task],
    *,
    jobs: int,
    died: Callable[[Task], Result],
) -> Generator[Result, None, None]:
    """Call `work` on each task, and yield the results in the order in which they are done.

    When a process dies, the tasks that were running are tried again one by one.

    Args:
        work: a function of a module, or a `functools.partial` of one. An exception that it raises
            is raised here, and no further tasks are done.
        tasks: an iterable, which may be a generator: it is read only as fast as tasks are done.
        jobs: number of processes; with 1 the work is done in the calling process.
        died: returns the result of a task whose process dies twice.

    Yields:
        One result for each task.
    """
    if jobs <= 1:
        yield from map(work, tasks)
        return
    lost: list[Task] = []
    with _single_threaded():
        pool = _pool(jobs)
        try:
            waiting: dict[Future[Result], Task] = {}
            for task in tasks:
                try:
                    waiting[pool.submit(work, task)] = task
                except BrokenProcessPool:
                    lost.append(task)
                    pool.shutdown(wait=False, cancel_futures=True)
                    pool = _pool(jobs)
                if len(waiting) >= 2 * jobs:
                    yield from _collect(waiting, lost)
            while waiting:
                yield from _collect(waiting, lost)
        finally:
            pool.shutdown(cancel_futures=True)
        for task in lost:
            with _pool(1) as alone:
                try:
                    result = alone.submit(work, task).result()
                except BrokenProcessPool:
                    result = died(task)
            yield result


def _collect(waiting: dict[Future[Result], Task], lost: list[Task]) -> Iterator[Result]:
    done, _ = wait(waiting, return_when=FIRST_COMPLETED)
    for future in done:
        task = waiting.pop(future)
        try:
            yield future.result()
        except BrokenProcessPool:
            lost.append(task)


def _pool(jobs: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_prepare)


def _prepare() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()


def end_with_parent() -> None:
    """From now on, end this process when its parent ends.

    A parent that is killed cannot notify its workers, which would go on or wait for ever.
    """
    parent = parent_process()
    if parent is not None:
        threading.Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Set the environment variables that make spawned processes compute with one thread."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
