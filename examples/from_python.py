"""Separate the people of a recording from Python, block by block, and print their levels.

python examples/from_python.py examples/duet.mp4
"""

from __future__ import annotations

import sys

import numpy as np

import avse


def main(path: str) -> None:
    """Print the level of each voice and of the residual for every second."""
    result = avse.separate(path)
    people = [person.number for person in result.people]
    print(
        "   time " + "".join(f"  person {n}" for n in people) + "  the rest   (dB below full scale)"
    )
    waiting = np.zeros((len(people) + 1, 0), np.float32)
    second = 0
    for block in result.blocks():
        parts = np.concatenate([block.stems, block.residual[None]]).mean(axis=1)
        waiting = np.concatenate([waiting, parts], axis=-1)
        while waiting.shape[-1] >= result.sample_rate:
            here, waiting = np.split(waiting, [result.sample_rate], axis=-1)
            level_db = 10 * np.log10(np.square(here).mean(axis=-1) + 1e-12)
            print(f"{second:4d} s  " + "".join(f"{level:10.1f}" for level in level_db))
            second += 1


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["examples/duet.mp4"]))
