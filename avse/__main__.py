"""`python -m avse`, and the console script `avse`."""

from __future__ import annotations

import atexit
import os
import sys

from avse.cli import main


def run() -> int:
    """Run the program, and return its exit code.

    The CUDA build of PyTorch takes half a second and 130 MB to unload at the end of a process, even
    without a GPU. `_leave` ends the process without unloading it.
    """
    status: list[int] = []
    atexit.register(_leave, status)  # handlers run in reverse order: this one is the last
    status.append(main())
    return status[0]


def _leave(status: list[int]) -> None:
    """End the process without unloading PyTorch, if the program has ended normally."""
    if not status or "torch" not in sys.modules:
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return  # the interpreter reports it
    os._exit(status[0])


if __name__ == "__main__":
    sys.exit(run())
