"""`avse open`, with a session that is made up."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from .conftest import Run

ROOT = Path(__file__).resolve().parents[2]
# A shell that starts tests in the background has them ignore Ctrl-C, nohup the end of the terminal,
# and children inherit that.
PROGRAM = """
import signal, sys, threading, webbrowser
sys.path.insert(0, sys.argv.pop(1))
from tests.page import fake_session
sys.modules["avse.page.session"] = fake_session
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
webbrowser.open = lambda address: print("browser", address, file=sys.stderr, flush=True) or True
if "--stuck" in sys.argv:
    sys.argv.remove("--stuck")
    fake_session.FakeSession.close = lambda self: threading.Event().wait()
from avse.cli import main
sys.exit(main(sys.argv[1:]))
"""


@contextmanager
def opened(*arguments: object, temporary: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(ROOT), "open", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def address_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline().rstrip("\n")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", line)
    return line


def ask(address: str, path: str, body: bytes | None = None) -> http.client.HTTPResponse:
    base, token = address.split("/?")
    mark = "&" if "?" in path else "?"
    answer = urlopen(f"{base}{path}{mark}{token}", body, timeout=10)
    assert isinstance(answer, http.client.HTTPResponse)
    return answer


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_in_order(short: Path, tmp_path: Path, number: signal.Signals) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with opened(short, "--no-browser", temporary=temporary) as process:
        address = address_of(process)
        assert process.stderr is not None
        assert process.stderr.readline() == "avse: Ctrl-C ends it\n"
        events = ask(address, "/api/events")
        assert events.readline() == b"retry: 1000\n"
        with ask(address, "/api/state") as answer:
            assert b'"name": "short.mp4"' in answer.read()
        with ask(address, "/api/open?name=a.mp4", short.read_bytes()) as answer:
            assert b'"name": "a.mp4"' in answer.read()
        assert list(temporary.iterdir())
        began = time.monotonic()
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
        assert time.monotonic() - began < 4  # 2 on a machine that is not busy
        events.close()
    assert (process.returncode, out, err) == (0, "", "")
    assert list(temporary.iterdir()) == []
    assert list(Path().iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_session_that_does_not_close_keeps_nobody(short: Path, tmp_path: Path) -> None:
    with opened(short, "--no-browser", "--stuck", temporary=tmp_path) as process:
        address_of(process)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_without_a_file_the_browser_asks_for_one(tmp_path: Path) -> None:
    with opened(temporary=tmp_path) as process:
        address = address_of(process)
        assert process.stderr is not None
        lines = {process.stderr.readline() for _ in range(2)}
        assert lines == {"avse: Ctrl-C ends it\n", f"browser {address}\n"}
        with ask(address, "/api/state") as answer:
            assert b'"file": null' in answer.read()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
    assert process.returncode == 0


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_requests_are_logged_to_stderr_for_those_who_ask(tmp_path: Path) -> None:
    with opened("--no-browser", "-v", temporary=tmp_path) as process:
        ask(address_of(process), "/api/state").close()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert out == ""
    assert "/api/state" in err


@pytest.mark.parametrize(
    ("what", "code", "says"),
    [
        ("missing", 1, "does not exist"),
        ("folder", 1, "is a folder"),
        ("text", 1, "is text"),
        ("truncated", 1, "cut short"),
        ("silent", 1, "no sound track"),
        ("pictureless", 1, "no moving picture"),
    ],
)
def test_a_recording_of_no_use_is_refused_before_anything_starts(
    run: Run, recordings: dict[str, Path], what: str, code: int, says: str
) -> None:
    ran = run("open", recordings[what], "--no-browser")
    assert (ran.code, ran.out) == (code, "")
    error, hint = ran.errors
    assert says in error
    assert hint.startswith("hint: ")


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--port", "70000"), 2, "--port"),
        (("--model", "none"), 3, "no model 'none'"),
        (("--device", "abacus"), 2, "abacus"),
        (("--people", "none.toml"), 1, "none.toml"),
        (("--transcribe", "no-such-program"), 3, "'no-such-program' is not installed"),
        (("--transcribe", "hear 'me"), 2, "--transcribe cannot be read"),
    ],
)
def test_choices_of_no_use_are_refused(
    run: Run, short: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    ran = run("open", short, "--no-browser", *arguments)
    assert ran.out == ""
    assert says in ran.errors[0]
    assert ran.code == code


def test_a_taken_port_is_said(short: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with opened(short, "--port", port, temporary=tmp_path) as process:
            out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (2, "")
    assert err.splitlines()[0] == f"avse: error: port {port} is taken"
    assert "--port" in err.splitlines()[1]
