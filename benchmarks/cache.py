"""Measure the time that the cache saves when the same or another verb processes a recording again.

Loops a clip, and runs `avse separate -s 1` without a cache. Then runs `avse inspect`, `separate`,
`separate` again, and `who`, each in its own process, with a cache that is empty at the beginning.
Compares the outputs byte by byte. On a busy machine, processor time is more reliable than wall
clock.

    python benchmarks/cache.py some-720p-clip.mp4 --minutes 1
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from long_recording import looped


def run(arguments: list[str]) -> tuple[float, float]:
    """Run avse; returns the seconds of wall clock and of processor time."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "avse", *arguments, "-q"]
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    busy = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, busy


def main() -> None:
    """Make the recording, run the verbs, and print their times."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["AVSE_CACHE"] = str(folder / "cache")
        path = folder / "looped.mkv"
        looped(options.clip, path, 60 * options.minutes)
        separate = ["separate", str(path), "-s", "1", "-f", "-o"]
        first = 0.0
        runs = {
            "separate --no-cache": [*separate, str(folder / "1.wav"), "--no-cache"],
            "inspect, with an empty cache": ["inspect", str(path)],
            "separate": [*separate, str(folder / "2.wav")],
            "the same again": [*separate, str(folder / "3.wav")],
            "who": ["who", str(path)],
        }
        for what, arguments in runs.items():
            took, busy = run(arguments)
            first = first or busy
            print(
                f"{took:6.1f} s, processor {busy:6.1f} s ({busy / first:4.0%})  {what}", flush=True
            )
        sounds = {(folder / f"{n}.wav").read_bytes() for n in (1, 2, 3)}
        print("the voices are the same, byte by byte" if len(sounds) == 1 else "VOICES DIFFER")


if __name__ == "__main__":
    main()
