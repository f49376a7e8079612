"""Measure face recognition across files, and false names for strangers.

    python benchmarks/faces_known.py PEOPLE [--clips 4] [--known 10] [--trials 400]

PEOPLE is as in faces_rejoin.py. In each trial, a few people are stored with one clip each, and have
to be recognised in another of their clips; then as many strangers are shown. Needs avse[identity].
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avse.faces.detect import open_backend
from avse.faces.identity import SAME_FACE
from avse.faces.known import distance
from avse.faces.recognition import DlibRecogniser
from avse.faces.track import find_people
from avse.media.frames import read_frames


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("people", type=Path)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--known", type=int, default=10)
    parser.add_argument("--trials", type=int, default=400)
    chosen = parser.parse_args()
    backend, recogniser = open_backend(), DlibRecogniser()
    dice = np.random.default_rng(0)
    described: dict[str, list[npt.NDArray[np.float32]]] = {}
    for folder in sorted(path for path in chosen.people.iterdir() if path.is_dir()):
        clips = sorted(folder.iterdir())
        for clip in dice.permutation(len(clips))[: chosen.clips]:
            people = find_people(read_frames(clips[clip]), backend, recogniser=recogniser)
            faces = [person.face for person in people if person.face is not None]
            described.setdefault(folder.name, []).extend(faces[:1])
    names = [name for name, faces in described.items() if len(faces) > 1]
    right = others = none = strangers = named = 0
    for _ in range(chosen.trials):
        order = list(dice.permutation(names))
        known = order[: chosen.known]
        shown = {name: dice.permutation(len(described[name]))[:2] for name in order}
        memory = [[described[name][shown[name][0]]] for name in known]
        for name in order[: 2 * chosen.known]:
            apart = [distance(described[name][shown[name][1]], faces) for faces in memory]
            nearest = int(np.argmin(apart))
            found = apart[nearest] < SAME_FACE
            if name in known:
                right += found and known[nearest] == name
                others += found and known[nearest] != name
                none += not found
            else:
                strangers += 1
                named += found
    print(f"{sum(map(len, described.values()))} clips of {len(described)} people")
    print(
        f"known, {right + others + none}: {right} named, {others} given another's name, {none} not"
    )
    print(f"strangers, {strangers}: {named} named")


if __name__ == "__main__":
    main()
