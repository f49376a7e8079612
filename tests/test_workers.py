"""Work that is shared out to processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from avse.errors import InputError
from avse.utils.pool import map_unordered
from avse.utils.processors import network_threads, usable_processors

# Says the process id of its worker, which then sleeps for longer than anybody would wait.
PARENT = """
from tests.test_workers import report_and_sleep
from avse.utils.pool import map_unordered

if __name__ == "__main__":
    list(map_unordered(report_and_sleep, range(2), jobs=2, died=print))
"""


def halve(number: int) -> int:
    if number % 2:
        raise InputError(f"{number} is odd", "add one")
    return number // 2


def halve_or_die(number: int, folder: Path) -> int:
    (folder / f"{number}.{time.monotonic_ns()}").touch()
    if number == 4:
        os._exit(1)
    return halve(number)


def report_and_sleep(number: int) -> None:
    # In one piece: unbuffered, print would write the end of the line after that of another worker.
    os.write(1, f"{os.getpid()}\n".encode())
    time.sleep(600)


def none(number: int) -> int:
    return -1


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_is_done_once(jobs: int) -> None:
    before = dict(os.environ)
    found = list(map_unordered(halve, range(0, 20, 2), jobs=jobs, died=none))
    assert sorted(found) == list(range(10))
    assert dict(os.environ) == before
    assert list(map_unordered(halve, [], jobs=jobs, died=none)) == []


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_keep_their_hints(jobs: int) -> None:
    with pytest.raises(InputError, match="3 is odd") as caught:
        list(map_unordered(halve, [2, 3, 4], jobs=jobs, died=none))
    assert caught.value.hint == "add one"


def test_a_process_that_dies_costs_one_task(tmp_path: Path) -> None:
    work = partial(halve_or_die, folder=tmp_path)
    found = list(map_unordered(work, range(0, 12, 2), jobs=2, died=none))
    assert sorted(found) == [-1, 0, 1, 3, 4, 5]
    assert len(list(tmp_path.glob("4.*"))) == 2


def test_nobody_is_left_when_the_parent_is_killed() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    workers = [int(parent.stdout.readline()) for _ in range(2)]
    assert os.getpid() not in workers
    parent.send_signal(signal.SIGKILL)
    rest, _ = parent.communicate(timeout=60)  # ends when no process holds the other end any more
    assert rest == ""


def test_processors() -> None:
    assert 1 <= usable_processors() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("asked", ["", "0", "-1", "many", "1e3", "100000", "9" * 5000])
def test_threads_of_networks_are_no_more_than_processors(
    asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert network_threads() == usable_processors()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert network_threads() == 1
