"""The error boundary: every exception becomes an exit code and, at most, two lines on stderr.

0 done · 1 some input failed · 2 usage · 3 something needed is missing · 130 interrupted.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from types import FrameType

import typer

from avse.cli.terminal import Terminal
from avse.errors import AvseError

FAILED, USAGE, MISSING, INTERRUPTED = 1, 2, 3, 130

_LOG = logging.getLogger("avse")


_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def guarded(work: Callable[[], object], terminal: Terminal) -> int:
    """Do the work, report its error if there is one, and return the exit code.

    Args:
        work: may return an exit code.
        terminal: writes to the user.
    """
    with _stopped_by_terminate(), _hushed():
        try:
            code = work()
        except AvseError as error:
            terminal.error(error.message, error.hint)
            terminal.trace(error)
            return error.exit_code
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except typer.Exit as asked:
            code = asked.exit_code
        except BrokenPipeError:
            # The reader of stdout closed the pipe: `avse models list | head -1`.
            _forget_stdout()
            return FAILED
        except ImportError as error:
            return _not_installed(error, terminal)
        except MemoryError as error:
            terminal.error("out of memory", "close other programs")
            terminal.trace(error)
            return FAILED
        except OSError as error:
            return _refused(error, terminal)
        except Exception as error:
            return _other(error, terminal)
        if code == INTERRUPTED:
            terminal.interrupted()
        return code if isinstance(code, int) else 0


def quieten_libraries(terminal: Terminal) -> None:
    """Keep the warnings and logs of libraries from the user, except when debugging."""
    if terminal.debugging:
        warnings.simplefilter("default")
        return
    warnings.simplefilter("ignore")
    # Read by MediaPipe, TensorFlow Lite and Abseil when they are loaded.
    os.environ.setdefault("GLOG_minloglevel", "3")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("ABSL_MIN_LOG_LEVEL", "3")


class _Telling(logging.Handler):
    """Shows log messages of the library with -v."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.INFO)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        self._terminal.detail(record.getMessage())


def listen_to_library(terminal: Terminal) -> None:
    """Show the log messages of avse with -v."""
    if terminal.verbosity >= 1 and not any(isinstance(h, _Telling) for h in _LOG.handlers):
        _LOG.setLevel(logging.INFO)
        _LOG.addHandler(_Telling(terminal))


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Undo on the way out what `quieten_libraries` and `listen_to_library` do."""
    with warnings.catch_warnings():
        try:
            yield
        finally:
            for handler in list(_LOG.handlers):
                if isinstance(handler, _Telling):
                    _LOG.removeHandler(handler)


@contextlib.contextmanager
def _stopped_by_terminate() -> Iterator[None]:
    """Make SIGTERM unwind the stack, so that temporary files are removed."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not in the main thread, which alone may set handlers
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _not_installed(error: ImportError, terminal: Terminal) -> int:
    package = (error.name or "").partition(".")[0]
    if not package or package == "avse":
        return _other(error, terminal)
    reason = "is not installed" if isinstance(error, ModuleNotFoundError) else "cannot be loaded"
    terminal.error(
        f"the package {package!r}, which avse needs, {reason}",
        "reinstall avse with its dependencies; `avse doctor` shows what is missing",
    )
    terminal.trace(error)
    return MISSING


def _refused(error: OSError, terminal: Terminal) -> int:
    """Treat an error that names a file, or that concerns the disk, as no defect of avse."""
    if error.errno in _DISK_ERRORS and error.filename is None:
        terminal.error(f"cannot write: {_lower(str(error.strerror))}", "free some space")
        terminal.trace(error)
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            _forget_stdout()
        return FAILED
    if error.filename is None or error.strerror is None:
        return _other(error, terminal)
    name = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else "a file"
    shown = name if len(name) <= 120 else f"{name[:60]}...{name[-50:]}"
    terminal.error(f"{shown}: {_lower(error.strerror)}", "check the path")
    terminal.trace(error)
    return FAILED


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _other(error: Exception, terminal: Terminal) -> int:
    usage = getattr(error, "format_message", None)
    if callable(usage):  # typer's own errors, whose base class its versions name differently
        terminal.error(str(usage()), _where_to_look(error))
        terminal.trace(error)
        return int(getattr(error, "exit_code", USAGE))
    terminal.internal_error(error)
    terminal.trace(error)
    return FAILED


def _where_to_look(error: Exception) -> str:
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context is not None else "see `avse --help`"


def _forget_stdout() -> None:
    """Prevent a second broken-pipe error when the interpreter flushes stdout at exit."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
