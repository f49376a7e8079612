"""Command line: one file for each verb, on top of the library that Python users call.

Only this folder prints and chooses exit codes. It may import anything of `avse`, but no heavy
package at the top of a module: `avse --help` must answer at once, so the verbs import PyTorch,
NumPy and PyAV when they run.
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
    except KeyboardInterrupt:  # outside the error boundary, which otherwise reports it
        return 130
