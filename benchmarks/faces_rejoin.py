"""Measure face recognition after cuts, and confusions between people.

    python benchmarks/faces_rejoin.py PEOPLE [--sequences 20] [--limits 0.45] [--seed 5]

PEOPLE is a folder with a folder for each person, whose clips show nobody else: PEOPLE/anna/1.mp4,
PEOPLE/anna/2.mp4, PEOPLE/ben/1.mp4. From them, sequences with hard cuts are made. Each has three to
six people, each in three shots, from different clips if there are enough. Shots show one person, or
two side by side, at random sizes and places; some show nobody.

Prints, for the plain description of faces, and with avse[identity] for the network at each limit:
purity: share of the detections that are of the main person of their track;
coverage: share of the detections of a person that are in the track with most of them;
merged: tracks with two people; split: tracks too many; missed: people without a track.
"""

from __future__ import annotations

import argparse
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avse.faces import identity
from avse.faces.detect import FaceBackend, open_backend
from avse.faces.people import People
from avse.faces.recognition import open_recogniser
from avse.faces.scaling import resize
from avse.faces.track import find_people
from avse.media.frames import read_frames

RATE_HZ, FRAMES = 25, 20
WIDTH, HEIGHT = 640, 360
FEW = 5
"""A track with more detections of a second person than this counts as merged."""

Seats = dict[float, str]
"""Horizontal place in the picture, 0..1 -> name of the person there."""


@dataclass(frozen=True)
class Still:
    time: Fraction
    image: npt.NDArray[np.uint8]


class Tape:
    """Records the results of a slow object's methods in order, and replays them after `rewind`."""

    name = "tape"

    def __init__(self, wrapped: Any) -> None:
        self._wrapped, self._at = wrapped, 0
        self._answers: list[Any] = []

    @property
    def close_px(self) -> int | None:
        """The `close_px` of the detector."""
        close: int | None = self._wrapped.close_px
        return close

    def rewind(self) -> Tape:
        self._at = 0
        return self

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def answer(*given: Any) -> Any:
            if self._at == len(self._answers):
                self._answers.append(getattr(self._wrapped, method)(*given))
            self._at += 1
            return self._answers[self._at - 1]

        return answer


@dataclass
class Tally:
    sightings: int = 0
    pure: int = 0
    covered: int = 0
    people: int = 0
    found: int = 0
    merged: int = 0
    split: int = 0
    missed: int = 0

    def add(self, people: People, shown: list[Seats]) -> None:
        names = sorted({name for seats in shown for name in seats.values()})
        counts = np.array([_counts(person, shown, names) for person in people])
        counts = counts.reshape(-1, len(names))
        self.sightings += int(counts.sum())
        self.pure += int(counts.max(axis=1).sum())
        self.covered += int(counts.max(axis=0).sum()) if len(counts) else 0
        self.people += len(names)
        self.found += len(counts)
        self.merged += int(((counts > FEW).sum(axis=1) > 1).sum())
        owners = np.bincount(counts.argmax(axis=1), minlength=len(names))
        self.split += int(np.maximum(owners - 1, 0).sum())
        self.missed += int((counts.sum(axis=0) == 0).sum())

    def __str__(self) -> str:
        purity, coverage = self.pure / self.sightings, self.covered / self.sightings
        return (
            f"purity {purity:.3f}, coverage {coverage:.3f}; {self.people} people, {self.found} "
            f"found: {self.merged} merged, {self.split} split, {self.missed} missed"
        )


def _counts(person: Any, shown: list[Seats], names: list[str]) -> list[int]:
    middles = person.boxes[:, 0] + person.boxes[:, 2] / 2
    row = [0] * len(names)
    for time, x in zip(person.times, middles, strict=True):
        seats = shown[round(float(time) * RATE_HZ)]
        if seats:
            row[names.index(seats[min(seats, key=lambda seat: abs(seat - float(x)))])] += 1
    return row


def sequence(people: dict[str, list[Path]], dice: random.Random) -> Iterator[tuple[Any, Seats]]:
    """Yield the frames of a sequence of shots, and the people and their places in each."""
    cast = dice.sample(sorted(people), dice.randint(3, 6))
    turns = [
        (name, clip)
        for name in cast
        for clip in dice.sample(people[name], min(3, len(people[name])))
    ]
    dice.shuffle(turns)
    while turns:
        shot = [turns.pop()]
        partner = next((turn for turn in turns if turn[0] != shot[0][0]), None)
        if partner is not None and dice.random() < 0.5:
            turns.remove(partner)
            shot.append(partner)
        yield from _shot(shot, dice)
        if dice.random() < 0.2:
            nobody = np.full((HEIGHT, WIDTH, 3), dice.randint(0, 255), np.uint8)
            yield from [(nobody, {})] * FRAMES


def _shot(shot: list[tuple[str, Path]], dice: random.Random) -> Iterator[tuple[Any, Seats]]:
    places = [0.5] if len(shot) == 1 else [0.27, 0.73]
    places = [x + dice.uniform(-0.08, 0.08) for x in places]
    side = round(dice.uniform(0.45, 0.95) * (HEIGHT if len(shot) == 1 else WIDTH / 2 - 60))
    clips = [_frames(clip, dice.random()) for _, clip in shot]
    backdrop = resize(resize(clips[0][0], WIDTH // 60, HEIGHT // 60), WIDTH, HEIGHT) // 2
    for images in zip(*clips, strict=True):
        canvas = backdrop.copy()
        for image, x in zip(images, places, strict=True):
            small = resize(image, side, side)
            left, top = round(x * WIDTH - side / 2), (HEIGHT - side) // 2
            canvas[top : top + side, left : left + side] = small
        yield canvas, {x: name for x, (name, _) in zip(places, shot, strict=True)}


def _frames(path: Path, start: float) -> list[Any]:
    """Read `FRAMES` pictures of a clip from a share of it on, cropped to their central square."""
    images = [frame.image for frame in itertools.islice(read_frames(path), 75)]
    first = int(start * max(0, len(images) - FRAMES))
    images = images[first : first + FRAMES]
    images += [images[-1]] * (FRAMES - len(images))
    height, width = images[0].shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return [image[top : top + side, left : left + side] for image in images]


def look(frames: list[Any], backend: FaceBackend, recogniser: Any) -> People:
    stills = (Still(Fraction(k, RATE_HZ), image) for k, image in enumerate(frames))
    return find_people(stills, backend, recogniser=recogniser)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("people", type=Path)
    parser.add_argument("--sequences", type=int, default=20)
    parser.add_argument("--limits", type=float, nargs="+", default=[identity.SAME_FACE])
    parser.add_argument("--backend", default="native")
    parser.add_argument("--seed", type=int, default=5)
    chosen = parser.parse_args()
    people = {
        folder.name: sorted(folder.iterdir()) for folder in chosen.people.iterdir()
        if folder.is_dir()
    }  # fmt: skip
    backend, recogniser = open_backend(chosen.backend), open_recogniser()
    dice = random.Random(chosen.seed)
    tallies = {"plain": Tally()}
    if recogniser is not None:
        tallies |= {f"network, {limit:.2f}": Tally() for limit in chosen.limits}
    for number in range(chosen.sequences):
        frames, shown = map(list, zip(*sequence(people, dice), strict=True))
        faces, descriptions = Tape(backend), Tape(recogniser)
        tallies["plain"].add(look(frames, faces, None), shown)
        if recogniser is not None:
            for limit in chosen.limits:
                identity.SAME_FACE = limit
                found = look(frames, faces.rewind(), descriptions.rewind())
                tallies[f"network, {limit:.2f}"].add(found, shown)
        for name, tally in tallies.items():
            print(f"{number + 1} sequences, {name}: {tally}", flush=True)


if __name__ == "__main__":
    main()
