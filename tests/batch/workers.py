"""Work for crews under test: quick, and able to fail in every way that files can."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from avse.batch.worker_process import Hook, Work
from avse.errors import InputError, MissingExtraError


def make(number: int) -> Work:
    return act


def act(task: Any, hook: Hook) -> Any:
    """A task is a word and an argument."""
    word, *rest = task
    hook("acting", 0.0, 1.0)
    if word == "answer":
        return rest[0]
    if word == "pid":
        return os.getpid()
    if word == "environment":
        return os.environ.get(rest[0])
    if word == "refuse":
        raise InputError("no good", "try another")
    if word == "miss":
        raise MissingExtraError("not here", "install it")
    if word == "break":
        raise ZeroDivisionError("a defect")
    if word == "exhaust":
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 PB")
    if word == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "crash":
        os.write(2, b"codec: bad thing happened\n")
        os.kill(os.getpid(), signal.SIGSEGV)
    if word == "leave":
        os._exit(3)
    if word == "chatter":
        print("to stdout", flush=True)
        os.write(1, b"to descriptor 1\n")
        os.write(2, b"to descriptor 2\n")
        os.system("echo from a child")
        return None
    if word == "sleep":
        time.sleep(rest[0])
        return "slept"
    if word == "hoard":
        hoard = bytearray(rest[0])
        hoard[::4096] = b"x" * len(hoard[::4096])
        time.sleep(30)
        return len(hoard)
    raise AssertionError(word)
