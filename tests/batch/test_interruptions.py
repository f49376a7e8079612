"""A batch cut off by a kill, by Ctrl-C or by its disk, and the run that goes on with it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from avse.batch.staging import WORK, Staging
from avse.errors import OutputError

from .fake import Told, clean, records, results, write_tree
from .mounting import mount, mounted, remount, unmount

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_small_tmpfs_that_runs_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mounted(tmp_path / "out", "size=300k"):
        words = {f"n{n:02}": "voices 2 " + "x " * n for n in range(40)}
        source = write_tree(tmp_path / "in", **words)
        monkeypatch.setattr("avse.batch.estimates.bytes_needed", lambda *_: 0)
        # Unless it is the manifest itself that does not fit any more.
        with contextlib.suppress(OutputError):
            assert clean(source, tmp_path / "out", report=False).summary.halted
        left = results(tmp_path / "out")
        assert 0 < len(left) < 80
        assert all(text.count(b"\n") == 50 for text in left.values())
        remount(tmp_path / "out", "size=9m")
        assert not clean(source, tmp_path / "out").summary.failed
        assert len(results(tmp_path / "out")) == 80


def test_a_read_only_folder_is_refused(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "in", x="voices 1")
    if mount(tmp_path / "out", "ro"):
        try:
            with pytest.raises(OutputError, match="no permission"):
                clean(source, tmp_path / "out")
        finally:
            unmount(tmp_path / "out")
    elif os.geteuid() != 0:
        (tmp_path / "out").chmod(0o500)
        with pytest.raises(OutputError, match="no permission"):
            clean(source, tmp_path / "out")
    else:
        pytest.skip("root may write anywhere")


def _start(source: Path, output: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.batch.fake", str(source), str(output)]
    return subprocess.Popen(command, cwd=REPOSITORY, start_new_session=True)


def _wait_for(what: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while not what() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)


def test_kill_9_of_the_parent_costs_nothing_but_time(tmp_path: Path) -> None:
    words = {f"f{n}__x": f"voices {1 + n % 3}" for n in range(40)}
    source = write_tree(tmp_path / "in", **words)
    clean(source, tmp_path / "calm")
    output = tmp_path / "out"
    manifest = output / "avse-batch.jsonl"
    chance = random.Random(0)
    for _ in range(4):
        process = _start(source, output)
        seen = manifest.stat().st_size if manifest.exists() else 0
        _wait_for(lambda n=seen: manifest.exists() and manifest.stat().st_size > n, process)
        time.sleep(chance.uniform(0, 0.08))
        process.kill()
        process.wait()
        for text in results(output).values():
            assert text.count(b"\n") == 50
    assert not clean(source, output).summary.failed
    assert results(output) == results(tmp_path / "calm")
    assert len({r.input for r in records(output) if r.status == "done"}) == 40
    assert sorted(p.name for p in (output / WORK).iterdir()) == ["cards"]


def test_a_commit_cut_off_anywhere_is_finished_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_tree(tmp_path / "in", x="voices 3")
    calm = clean(source, tmp_path / "calm")
    assert calm.summary.done == 1
    rename = Path.replace
    for survived in range(6):
        output = tmp_path / f"out{survived}"
        left = survived

        def cut_off(path: Path, target: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
            return rename(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", cut_off)
            with pytest.raises(KeyboardInterrupt):
                clean(source, output, jobs=1)
        told = Told()
        clean(source, output, watcher=told)
        assert results(output) == results(tmp_path / "calm")
        assert told.done == (["x"] if survived == 0 else [])  # before the note, or after it


def test_leftovers_of_a_dead_run_are_swept(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    staging = Staging(output, output / "avse-batch.jsonl")
    torn = staging.folder("x")
    torn.mkdir()
    (torn / "x.1.wav").write_text("half")
    (torn / "commit.json").write_text('{"record": {"status": "do')
    clean(source, output)
    assert sorted(p.name for p in (output / WORK).iterdir()) == ["cards"]
    assert b"half" not in b"".join(results(output).values())


@pytest.mark.parametrize("times", [1, 2])
def test_interrupted(tmp_path: Path, times: int) -> None:
    words = {f"n{n}": "slow 3" for n in range(6)}
    source, output = write_tree(tmp_path / "in", **words), tmp_path / "out"
    process = _start(source, output)
    work = output / WORK
    _wait_for((work / "cards").exists, process)
    time.sleep(1.5)
    began = time.monotonic()
    for _ in range(times):
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)
    code = process.wait(30)
    if times == 1:
        assert code == 130
        assert 0 <= len(results(output)) <= 2
    else:
        assert code != 0
        assert time.monotonic() - began < 3
        assert results(output) == {}
    assert sorted(p.name for p in work.iterdir()) == ["cards"]
    if (output / "avse-batch.jsonl").exists():
        for line in (output / "avse-batch.jsonl").read_text().splitlines():
            assert json.loads(line)["status"] == "done"
