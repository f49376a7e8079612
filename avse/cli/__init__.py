"""The command line: one file for each verb, over the same library that Python users call.

Only this folder prints and chooses exit codes. It may import anything of `avse`, but nothing heavy
at the top of a module: `avse --help` must answer at once, so PyTorch, NumPy and PyAV are imported
by the verbs when they run.
"""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and give its exit code.

    Args:
        arguments: without the name of the program; None for those of this process.
    """
    try:
        from avse.cli.program import run

        return run(arguments)
    except KeyboardInterrupt:  # before, or after, the error boundary was there to say so
        return 130
