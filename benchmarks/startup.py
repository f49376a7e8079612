"""Measure the time of `avse --help` and of the help of every verb.

    python benchmarks/startup.py

Each is started several times, and the shortest wall-clock time is printed. It should be less than
half a second. (A test checks that nothing heavy is imported.)
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

TIMES = 5
VERBS = (
    *("separate", "enhance", "inspect", "who", "sync", "batch", "mix", "evaluate", "prepare"),
    *("train", "models", "doctor"),
)


def seconds(*arguments: str) -> float:
    """Measure the shortest time of several starts."""
    took = []
    for _ in range(TIMES):
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "avse", *arguments], check=True, stdout=subprocess.DEVNULL
        )
        took.append(time.perf_counter() - began)
    return min(took)


def main() -> None:
    """Print a line for each verb."""
    argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0]).parse_args()
    print(f"{seconds('--help'):.2f} s  avse --help")
    for verb in VERBS:
        print(f"{seconds(verb, '--help'):.2f} s  avse {verb} --help")


if __name__ == "__main__":
    main()
