"""Are people known again after a cut, and is nobody taken for another?

    python benchmarks/faces_rejoin.py clips/*.mp4 [--people 5] [--rounds 12]

Each clip shows one person. A film is cut together from the first halves of a few clips, then from
their second halves. Printed for each: people in it, people found, found people that mix two.
"""

from __future__ import annotations

import argparse
import itertools
import random
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from avse.faces.detect import open_backend
from avse.faces.track import find_people
from avse.media.frames import read_frames


@dataclass(frozen=True)
class Still:
    time: Fraction
    image: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--people", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--backend", default="mediapipe")
    chosen = parser.parse_args()
    backend = open_backend(chosen.backend)
    random.seed(5)
    total = np.zeros(3, int)
    for _ in range(chosen.rounds):
        clips = []
        for path in random.sample(chosen.clips, chosen.people):
            clips.append([frame.image for frame in itertools.islice(read_frames(path), 100)])
        halves = [(i, c[: len(c) // 2]) for i, c in enumerate(clips)]
        halves += [(i, c[len(c) // 2 :]) for i, c in enumerate(clips)]
        shown = [(i, image) for i, half in halves for image in half]
        people = find_people(
            (Still(Fraction(k, 25), image) for k, (_, image) in enumerate(shown)), backend
        )
        mixed = sum(
            len({shown[k][0] for k in np.round(person.times * 25).astype(int)}) > 1
            for person in people
        )
        row = (chosen.people, len(people), mixed)
        total += row
        print(f"{row[0]} people, {row[1]} found, {row[2]} mixed")
    print(f"in all: {total[0]} people, {total[1]} found, {total[2]} mixed")


if __name__ == "__main__":
    main()
