"""The main loop of a worker process, and the diagnosis of crashes."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from avse.batch.manifest import Failure
from avse.errors import AvseError, MissingError
from avse.utils.pool import end_with_parent
from avse.utils.processors import THREADS

Hook = Callable[[str, float, "float | None"], None]
Work = Callable[[Any, Hook], Any]
"""Does a task, with a progress callback as in `avse.scene.scene.Progress`."""

Setup = Callable[[int], Work]
"""Makes the work function of a process from its number, from 0; must be picklable."""

_REPORT_S = 0.2
_LAST_WORDS = 600


def worker_main(pipe: Connection, setup: Setup, number: int, threads: int, log: Path) -> None:
    """The main loop of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
    # Set before the work imports the libraries that read these variables.
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    work: Work | None = None
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            return
        os.ftruncate(output, 0)
        try:
            if work is None:
                work = setup(number)
            answer: tuple[object, ...] = ("end", work(task, _hook(pipe)), None, None, False)
        except BaseException as error:
            answer = ("end", None, trouble_of(error), _fatal(error), is_short_of_memory(error))
        try:
            pipe.send(answer)
        except OSError:
            return


def _hook(pipe: Connection) -> Hook:
    last: list[Any] = ["", 0.0]

    def report(stage: str, done_s: float, total_s: float | None) -> None:
        now = time.monotonic()
        if stage != last[0] or now - last[1] > _REPORT_S:
            last[:] = [stage, now]
            pipe.send(("stage", stage, done_s, total_s))

    return report


def trouble_of(error: BaseException) -> Failure:
    """An exception in the form that the manifest stores."""
    if is_short_of_memory(error):
        return Failure("memory", "out of memory", "try fewer --jobs or a smaller --window")
    if isinstance(error, AvseError):
        cause = getattr(error.__cause__, "errno", None)
        if cause in (errno.ENOSPC, errno.EDQUOT):
            return Failure("disk-full", _one_line(error.message), _one_line(error.hint))
        return Failure(type(error).__name__, _one_line(error.message), _one_line(error.hint))
    what = _one_line(f"{type(error).__name__}: {error}")
    return Failure(
        type(error).__name__, f"internal error: {what}", "please report it with `avse doctor`"
    )


def is_short_of_memory(error: BaseException) -> bool:
    """Whether a smaller window or fewer processes might help."""
    words: Sequence[str] = ("can't allocate memory", "out of memory", "Cannot allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | OSError) and any(word in str(error) for word in words)
    )


def _fatal(error: BaseException) -> AvseError | None:
    return error if isinstance(error, MissingError) else None


def _one_line(text: str) -> str:
    return " ".join(text.split())


def diagnose_exit(code: int, log: Path) -> Failure:
    """Diagnose why a process has ended, from its exit code and its last line of output."""
    last = ""
    with suppress(OSError):
        lines = log.read_bytes()[-_LAST_WORDS:].decode("utf-8", "replace").split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    said = f" (last output: {last})" if last else ""
    if code == -signal.SIGKILL:
        return Failure(
            "died",
            "its process was killed from outside" + said,
            "it may have run out of memory: try fewer --jobs or a smaller --window",
        )
    if code < 0:
        try:
            what = f"crashed ({signal.Signals(-code).name})"
        except ValueError:
            what = f"ended by signal {-code}"
    else:
        what = f"ended by itself with code {code}"
    return Failure(
        "died", f"its process {what}{said}", "the file may be damaged: check that it plays"
    )
