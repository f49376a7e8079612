"""`avse prepare` from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avse.cli import main
from tests.mixtures.made_clips import write_wav

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str]) -> Run:
    def go(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(argument) for argument in ("prepare", *arguments)])
        out, err = capfd.readouterr()
        return code, out, err

    return go


def test_the_path_of_the_list_is_the_result(run: Run, voices: Path, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    code, out, err = run(voices, "-o", pack, "--sound-only", "-j", 1)
    assert (code, out) == (0, f"{pack / 'clips.jsonl'}\n")
    assert "layout folders: 16 clips of 8 people" in err
    code, out, err = run(voices, "-o", pack, "--sound-only", "-j", 1, "--json")
    assert code == 0
    assert "16 clips were read in an earlier run" in err
    made = json.loads(out)
    assert made["report"]["people"] == 8
    assert made["failed"] == []


def test_what_cannot_be_read_is_a_failure(run: Run, voices: Path, tmp_path: Path) -> None:
    root = tmp_path / "clips"
    write_wav(root / "a" / "good.wav", np.full(20_000, 0.1, np.float32))
    write_wav(root / "a" / "short.wav", np.full(2_000, 0.1, np.float32))
    (root / "a" / "bad.wav").write_text("no sound", encoding="utf-8")
    code, out, err = run(root, "-o", tmp_path / "pack", "--sound-only", "-j", 1)
    assert code == 1
    assert out == f"{tmp_path / 'pack' / 'clips.jsonl'}\n"
    assert "hint: a/bad.wav was left out" in err
    (root / "a" / "bad.wav").unlink()  # what is dropped for quality is not a failure
    assert run(root, "-o", tmp_path / "pack", "--sound-only", "-j", 1)[0] == 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--layout", "tree"], "no layout 'tree'"),
        (["--test-share", "2"], "test share of 2"),
        (["--test-share", "0.6", "--valid-share", "0.6"], "more than all"),
        (["--corpus", "a/b"], "cannot name a corpus"),
        (["--hold-out", "zoe"], "nobody of that name"),
        (["--labels", "gone.tsv"], "gone.tsv cannot be read"),
    ],
)
def test_usage_errors(run: Run, voices: Path, tmp_path: Path, more: list[str], says: str) -> None:
    code, out, err = run(voices, "-o", tmp_path / "pack", "--sound-only", "-j", 1, *more)
    assert (code, out) == (2, "")
    assert says in err
    assert "hint: " in err


def test_missing_weights_are_code_3(run: Run, people: Path, tmp_path: Path) -> None:
    code, _, err = run(people, "-o", tmp_path / "pack", "--model", "nobody-has-this")
    assert code == 3
    assert "nobody-has-this" in err


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_ends_with_130_and_the_run_is_taken_up(run: Run, tmp_path: Path, jobs: int) -> None:
    root, pack = tmp_path / "voices", tmp_path / "pack"
    sound = (0.1 * np.random.default_rng(0).standard_normal(100_000)).astype(np.float32)
    for n in range(40):
        write_wav(root / f"p{n % 9}" / f"{n}.wav", sound[: 20_000 + 7 * n])
    command = [sys.executable, "-m", "avse", "prepare", str(root), "-o", str(pack)]
    started = subprocess.Popen(
        [*command, "--sound-only", "-j", str(jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    until = time.monotonic() + 60
    while len(list(pack.glob(".work/*/[!.]*.safetensors"))) < 3 and time.monotonic() < until:
        time.sleep(0.005)
    os.killpg(started.pid, signal.SIGINT)
    out, err = started.communicate(timeout=60)
    assert (started.returncode, out) == (130, "")
    assert "interrupted" in err
    assert "Traceback" not in err
    assert not (pack / "clips.jsonl").exists()
    code, _, err = run(root, "-o", pack, "--sound-only", "-j", 1)
    assert code == 0
    assert "clips were read in an earlier run" in err
