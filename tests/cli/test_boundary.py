"""Interruptions, defects and broken pipes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import avse.separation.separator
from avse.cli.error_handling import guarded
from avse.cli.terminal import Terminal

from .conftest import Run

SLOW = """
import signal, sys, time
import avse.separation.separator
# A shell that starts tests in the background has them ignore Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
blocks = avse.separation.separator.Separation.blocks
def slow(self):
    for block in blocks(self):
        yield block
        print("writing", flush=True)
        for _ in range(600):  # a signal that comes just before a sleep does not end it
            time.sleep(0.1)
avse.separation.separator.Separation.blocks = slow
from avse.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_leaves_nothing(short: Path, model: Path) -> None:
    arguments = ["separate", short, "-m", model, "-o", "voices/all/", "--residual"]
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert list(Path("voices/all").iterdir())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert (out, err) == ("", "avse: interrupted\n")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("output", "trouble"),
    [
        ("one.flac", KeyboardInterrupt),
        ("one.mp4", RuntimeError),
        ("new/", SystemExit),
        ("new/", KeyboardInterrupt),
    ],
)
def test_nothing_half_written_is_left(
    run: Run,
    duet: Path,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
    trouble: type[BaseException],
) -> None:
    blocks = avse.separation.separator.Separation.blocks

    def break_off(self: Any) -> Iterator[Any]:
        yield next(blocks(self))
        raise trouble

    monkeypatch.setattr(avse.separation.separator.Separation, "blocks", break_off)
    arguments = ("separate", duet, "-m", model, "-s", "1", "-o", output, "--residual")
    if trouble is SystemExit:
        with pytest.raises(SystemExit):
            run(*arguments)
    else:
        assert run(*arguments).code == (130 if trouble is KeyboardInterrupt else 1)
    assert list(Path().iterdir()) == []


def test_a_request_to_terminate_unwinds(capsys: pytest.CaptureFixture[str]) -> None:
    cleaned = []

    def work() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            cleaned.append(True)

    with pytest.raises(SystemExit) as stopped:
        guarded(work, Terminal())
    assert stopped.value.code == 128 + signal.SIGTERM
    assert cleaned


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (ZeroDivisionError("a\nb"), 1, "avse: internal error: ZeroDivisionError: a b; please"),
        (MemoryError(), 1, "avse: error: out of memory"),
        (ModuleNotFoundError("no", name="torch.nn"), 3, "avse: error: the package 'torch', which"),
        (ModuleNotFoundError("no", name="avse.nothing"), 1, "avse: internal error: "),
        (KeyboardInterrupt(), 130, "avse: interrupted"),
        (BrokenPipeError(), 1, ""),
    ],
)
def test_every_exception_has_a_code(
    capfd: pytest.CaptureFixture[str], error: BaseException, code: int, says: str
) -> None:
    def work() -> None:
        raise error

    with capfd.disabled():
        keep = os.dup(1)
    try:
        assert guarded(work, Terminal()) == code
    finally:
        os.dup2(keep, 1)
        os.close(keep)
    _, err = capfd.readouterr()
    assert err.startswith(says)
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2


def test_what_the_system_refuses_is_no_defect(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for path, says in ((Path("x" * 400), "file name too long"), (tmp_path, "is a directory")):
        assert guarded(lambda path=path: path.read_bytes(), Terminal()) == 1  # type: ignore[misc]
        err = capsys.readouterr().err.splitlines()
        assert err[0].startswith("avse: error: ")
        assert err[0].endswith(says)
        assert len(err) == 2
        assert len(err[0]) < 200


@pytest.mark.parametrize("verb", ["separate", "who", "batch", "train", "mix", "evaluate"])
def test_a_home_of_nobody_is_a_usage_error(run: Run, verb: str) -> None:
    more = {"batch": ["-o", "o"], "train": ["-o", "o"], "mix": ["-o", "o"]}.get(verb, [])
    more = ["--manifest", "~no-such-user/x", "-o", "o"] if verb == "evaluate" else more
    ran = run(verb, *more, *([] if verb == "evaluate" else ["~no-such-user/x"]))
    assert (ran.code, ran.out) == (2, "")
    assert "there is no user 'no-such-user'" in ran.errors[0]
    assert list(Path().iterdir()) == []


def test_a_defect_shows_its_trace_to_those_who_debug(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> None:
        raise ZeroDivisionError("oh")

    assert guarded(work, Terminal(verbosity=2)) == 1
    err = capsys.readouterr().err
    assert "avse doctor" in err
    assert err.rstrip().endswith("ZeroDivisionError: oh")


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX")
def test_a_reader_who_has_enough_is_no_error() -> None:
    done = subprocess.run(
        f"{sys.executable} -m avse models list --json | true; echo ${{PIPESTATUS[0]}} >&2",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="names that are not valid text")
def test_names_that_are_no_text_come_out_as_they_are(short: Path) -> None:
    name = os.fsencode(short.parent) + b"/caf\xe9.mp4"
    os.link(short, name)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "avse", b"separate", name, b"-m", b"none"],
            capture_output=True,
            check=False,
        )
    finally:
        Path(os.fsdecode(name)).unlink()
    assert done.returncode == 3
    assert b"Traceback" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is of Linux")
def test_a_full_disk_behind_stdout_is_no_defect() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "avse", "models", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("avse: error: cannot write: no space left")
    assert "Exception ignored" not in done.stderr


_PROGRAM = """
import atexit, sys, types
import avse.__main__

def main():
    sys.modules["torch"] = types.ModuleType("torch")
    atexit.register(print, "tidied")
    print("done", end=" ")
    if "raise" in sys.argv:
        raise SystemExit(5)
    return 3

atexit.register(print, "unloaded")
avse.__main__.main = main
sys.exit(avse.__main__.run())
"""


@pytest.mark.parametrize(
    ("arguments", "code", "printed"),
    [([], 3, "done tidied\n"), (["raise"], 5, "done tidied\nunloaded\n")],
)
def test_pytorch_is_not_unloaded_at_the_end(arguments: list[str], code: int, printed: str) -> None:
    """Handlers of the program's own run, output is written, the exit code stays."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, printed, "")
