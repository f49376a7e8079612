"""Processes that are watched one by one: each way to fail costs one task."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from avse.batch import memory
from avse.batch.process_pool import Limits, Report, WorkerPool

from .workers import make

PARENT = """
import sys, time
from pathlib import Path
from avse.batch import memory
from avse.batch.process_pool import Limits, WorkerPool
from tests.batch.workers import make

if __name__ == "__main__":
    crew = WorkerPool(make, Limits(jobs=2), Path(sys.argv[1]))
    for _ in range(2):
        crew.give(("pid",))
    found = 0
    while found < 2:
        for report in crew.wait(1):
            if not report.stage:
                found += 1
                print(report.result, flush=True)
    for _ in range(2):
        crew.give(("sleep", 600))
    print("busy", flush=True)
    time.sleep(600)
"""


@contextmanager
def crew(folder: Path, **limits: Any) -> Iterator[WorkerPool]:
    made = WorkerPool(make, Limits(**limits), folder)
    try:
        yield made
    finally:
        made.close()


def end_of(made: WorkerPool, *tasks: tuple[Any, ...]) -> list[Report]:
    """Do tasks; what each came to, in their order."""
    waiting, ended = list(tasks), []
    while waiting or made.busy():
        while waiting and made.idle():
            made.give(waiting.pop(0))
        ended += [report for report in made.wait(1) if not report.stage]
    return sorted(ended, key=lambda report: tasks.index(report.task))


def test_answers_and_errors_come_back_and_deaths_cost_one_task(tmp_path: Path) -> None:
    words = ["answer", "refuse", "break", "kill", "crash", "leave", "exhaust", "miss"]
    tasks: list[tuple[Any, ...]] = [(word, n) for n, word in enumerate(words)]
    tasks += [("answer", n) for n in range(10, 20)]
    with crew(tmp_path, jobs=2) as made:
        ended = end_of(made, *tasks)
    good = [report.result for report in ended if report.trouble is None]
    assert good == [0, *range(10, 20)]
    said = {report.task[0]: report.trouble for report in ended if report.trouble is not None}
    assert (said["refuse"].kind, said["refuse"].message) == ("InputError", "no good")
    assert said["refuse"].hint == "try another"
    assert "ZeroDivisionError" in said["break"].message
    assert "killed from outside" in said["kill"].message
    assert "SIGSEGV" in said["crash"].message
    assert "codec: bad thing happened" in said["crash"].message
    assert "code 3" in said["leave"].message
    assert said["exhaust"].kind == "memory"
    assert [r.task[0] for r in ended if r.short_of_memory] == ["exhaust"]
    assert [r.task[0] for r in ended if r.fatal is not None] == ["miss"]


def test_a_process_is_kept_for_the_next_task(tmp_path: Path) -> None:
    with crew(tmp_path, jobs=1) as made:
        first, second, _, other = end_of(made, ("pid", 1), ("pid", 2), ("kill", 3), ("pid", 4))
    assert first.result == second.result != other.result
    assert first.result != os.getpid()


def test_a_task_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with crew(tmp_path, jobs=2, timeout_s=3) as made:
        slow, quick = end_of(made, ("sleep", 60), ("answer", 1))
    assert slow.trouble is not None
    assert slow.trouble.kind == "timeout"
    assert "longer than 3 s" in slow.trouble.message
    assert quick.result == 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is told by Linux only")
def test_the_largest_is_stopped_when_memory_runs_short(tmp_path: Path) -> None:
    with crew(tmp_path, jobs=2, memory_bytes=300_000_000) as made:
        large, small = end_of(made, ("hoard", 400_000_000), ("sleep", 2))
    assert large.short_of_memory
    assert large.trouble is not None
    assert large.trouble.kind == "memory"
    assert small.result == "slept"


def test_where_nobody_tells_of_memory_nobody_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    monkeypatch.setattr(memory, "_PROC", tmp_path)
    assert memory.available() is None
    assert memory.held(os.getpid()) is None
    with crew(tmp_path, jobs=1, memory_bytes=1) as made:
        (report,) = end_of(made, ("sleep", 1.5))
    assert report.result == "slept"


def test_a_killed_idle_process_is_replaced(tmp_path: Path) -> None:
    with crew(tmp_path, jobs=1) as made:
        (first,) = end_of(made, ("pid",))
        os.kill(first.result, signal.SIGKILL)
        time.sleep(0.2)
        (second,) = end_of(made, ("pid",))
    assert second.trouble is None
    assert second.result != first.result


def test_what_workers_print_goes_nowhere_near_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with crew(tmp_path, jobs=1) as made:
        (report,) = end_of(made, ("chatter",))
    assert report.trouble is None
    assert capfd.readouterr() == ("", "")
    log = (tmp_path / "worker-1.log").read_text()
    for part in ("to stdout", "to descriptor 1", "to descriptor 2", "from a child"):
        assert part in log


def test_nobody_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        assert parent.stdout.readline() == "busy\n"
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    until = time.monotonic() + 20
    while time.monotonic() < until and any(_alive(worker) for worker in workers):
        time.sleep(0.05)
    assert not any(_alive(worker) for worker in workers)


def _alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # its new parent may not have buried it yet
