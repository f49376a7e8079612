"""avse train as a user meets it: files, messages, exit codes, Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.training.conftest import recipe as recipe  # a fixture

from .conftest import Run


def test_a_recipe_becomes_weights_that_separate(run: Run, recipe: Path, duet: Path) -> None:
    ran = run("train", recipe, "-o", "out", "-d", "cpu")
    assert ran.code == 0
    assert ran.out.split() == ["out/lips", "out/joint"]
    assert "joint 4/4" in ran.err
    assert "held out: gain_clips" in ran.err
    assert {path.name for path in Path("out/joint").iterdir()} >= {
        "last.pt", "log.jsonl", "curves.png", "recipe.json",
    }  # fmt: skip
    again = run("train", recipe, "-o", "out", "--json", "--stage", "joint", "-q")
    (stage,) = json.loads(again.out)["stages"]
    assert (stage["name"], stage["skipped"], stage["steps"]) == ("joint", True, 4)
    assert "gain_clips" in stage["held_out"]
    ran = run("models", "export", "out", "w.safetensors")
    assert (ran.code, ran.out) == (0, "w.safetensors\n")
    assert "stage joint" in ran.err
    assert run("models", "export", "out", "w.safetensors").code == 2
    assert run("models", "export", "out", "w.safetensors", "--force").code == 0
    assert run("models", "verify", "w.safetensors").code == 0
    assert run("separate", duet, "-m", "w.safetensors", "-o", "v.wav", "--speaker", 1).code == 0


def test_a_try_takes_fewer_steps_and_is_not_taken_for_the_whole(run: Run, recipe: Path) -> None:
    assert run("train", recipe, "-o", "out", "--steps", 1, "-q").code == 0
    ran = run("train", recipe, "-o", "out", "-d", "cpu")
    assert ran.code == 2
    assert "stage.steps was 1 and is 3" in ran.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("none.toml", "-o", "out"), "none.toml cannot be read"),
        (("bad.toml", "-o", "out"), "did you mean 'steps'?"),
        (("RECIPE", "-o", "out", "--stage", "sleep"), "no stage 'sleep'"),
        (("RECIPE", "-o", "out", "-d", "tpu"), "'tpu'"),
        (("RECIPE", "-o", ""), "--output"),
    ],
)
def test_what_cannot_be_run_is_a_usage_error(
    run: Run, recipe: Path, arguments: tuple[str, ...], says: str
) -> None:
    Path("bad.toml").write_text('[[stage]]\nkind = "lips"\nstep = 3\n')
    ran = run("train", *[recipe if a == "RECIPE" else a for a in arguments])
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.err
    assert len(ran.errors) == 2


def test_a_missing_pack_is_an_input_error(run: Run, recipe: Path) -> None:
    (recipe.parent / "noise/clips.jsonl").unlink()
    ran = run("train", recipe, "-o", "out")
    assert ran.code == 1
    assert "avse prepare" in ran.err


def test_tensorboard_that_is_not_there_is_told_at_once(
    run: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    ran = run("train", recipe, "-o", "out", "--tensorboard")
    assert ran.code == 3
    assert 'pip install "avse[train]"' in ran.err
    assert not Path("out").exists()


def test_tensorboard_is_written_for(run: Run, recipe: Path) -> None:
    pytest.importorskip("tensorboard")
    assert run("train", recipe, "-o", "out", "--tensorboard", "--stage", "lips").code == 0
    assert list(Path("out/tensorboard/lips").glob("events*"))


def test_without_matplotlib_there_are_no_curves_and_one_note(
    run: Run, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    ran = run("train", recipe, "-o", "out")
    assert ran.code == 0
    assert ran.err.count("no curves are drawn") == 1
    assert "no curves are drawn" in ran.errors[0]  # before the work
    assert not Path("out/lips/curves.png").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_saves_and_the_same_command_goes_on(
    recipe: Path, number: int, code: int
) -> None:
    text = recipe.read_text().replace("steps = 3\n", "steps = 100000\nlog_every = 1\n")
    recipe.write_text(text.replace("workers = 0", "workers = 1"))
    command = [sys.executable, "-m", "avse", "train", str(recipe), "-o", "out", "-d", "cpu"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    log = Path("out/lips/log.jsonl")
    until = time.monotonic() + 100
    while not (log.exists() and log.read_text().count("\n") >= 2) and time.monotonic() < until:
        time.sleep(0.1)
    # As a terminal does it: every process of the group is told, those that draw mixtures too.
    os.killpg(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert out.split() == ["out/lips"]
    assert "stopped and saved" in err
    assert "Traceback" not in err
    done = len([line for line in log.read_text().splitlines() if "loss" in line])
    assert done >= 2
    again = subprocess.run([*command, "--steps", "3"], capture_output=True, text=True, check=False)
    assert "stage.steps was 100000 and is 3" in again.stderr
