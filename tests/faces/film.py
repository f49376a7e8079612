"""Made-up films, and a backend that sees what they show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from PIL import Image as Pillow

from avse.faces import lips
from avse.faces.detect import Box, Detection, Face, FaceLandmarks, Image, Mouth


@dataclass(frozen=True)
class Still:
    time: Fraction
    image: Image


def head_at(box: Box) -> lips.Head:
    x, y = box.centre
    return lips.Head(np.eye(3, dtype=np.float32), box.w / 2, np.array([x, y, 0], np.float32))


@dataclass
class Actor:
    """Somebody in a made-up film.

    `place` gives the box at an instant, or None when away; `readable` whether the lips show.
    """

    colour: tuple[int, int, int]
    place: Callable[[Fraction], Box | None]
    score: float = 0.9
    readable: Callable[[Fraction], bool] = lambda time: True


@dataclass
class Film:
    """Coloured rectangles with eyes, and a backend that knows them by their colours."""

    actors: list[Actor]
    size: tuple[int, int] = (180, 320)
    backdrop: Callable[[Fraction], int] = lambda time: 40

    def frames(self, times: Sequence[Fraction]) -> Iterator[Still]:
        for time in times:
            image = np.full((*self.size, 3), self.backdrop(time), np.uint8)
            for actor in self.actors:
                box = actor.place(time)
                if box is not None:
                    paint(image, box, actor.colour)
            yield Still(time, image)


def paint(image: Image, box: Box, colour: tuple[int, int, int]) -> None:
    x, y, w, h = (round(v) for v in (box.x, box.y, box.w, box.h))
    rng = np.random.default_rng(colour)
    skin = rng.integers(0, 160, (5, 5, 3)).astype(np.uint8)
    texture = np.asarray(Pillow.fromarray(skin).resize((w, h), Pillow.Resampling.NEAREST))
    texture = np.clip(texture.astype(int) // 2 + np.array(colour) // 2, 0, 255).astype(np.uint8)
    top, left = max(0, y), max(0, x)
    bottom, right = min(image.shape[0], y + h), min(image.shape[1], x + w)
    if bottom > top and right > left:
        image[top:bottom, left:right] = texture[top - y : bottom - y, left - x : right - x]


class Timed(np.ndarray):
    """A picture that carries its instant, for a backend that may be shown it by any thread."""

    time: Fraction


def timed(image: Image, time: Fraction) -> Timed:
    picture = image.view(Timed)
    picture.time = time
    return picture


@dataclass
class FakeBackend:
    """Sees what a `Film` shows in pictures that `watch` gave."""

    film: Film
    name: str = "fake"
    close_px: int | None = None
    detected: int = 0
    ghosts: list[tuple[Fraction, Fraction, Box, float]] = field(default_factory=list)

    def _present(self, now: Fraction) -> list[tuple[Actor, Box]]:
        places = [(actor, actor.place(now)) for actor in self.film.actors]
        return [(actor, box) for actor, box in places if box is not None]

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        (image,) = images
        now = image.time
        self.detected += 1
        found = [Detection(box, actor.score) for actor, box in self._present(now)]
        found += [Detection(b, s) for a, z, b, s in self.ghosts if a <= now <= z]
        return [sorted(found, key=lambda item: -item.score)]

    def landmarks(self, image: Image, boxes: Sequence[Box]) -> list[FaceLandmarks | None]:
        return [self._landmarks(image.time, box) for box in boxes]

    def _landmarks(self, now: Fraction, box: Box) -> FaceLandmarks | None:
        for actor, place in self._present(now):
            if place.overlap(box) > 0.2 and actor.readable(now):
                return face(place, actor.colour, now)
        for a, z, place, _ in self.ghosts:
            if a <= now <= z and place.overlap(box) > 0.2:
                return face(place, (1, 2, 3), now)
        return None


@dataclass
class LateBackend(FakeBackend):
    """Reads the lips of many faces at a time, later; `batches` are their numbers.

    `searched` is the number of pictures in which it searched for faces.
    """

    batches: list[int] = field(default_factory=list)
    searched: int = 0

    @property
    def lip_reader(self) -> LateBackend:
        return self

    def faces(self, image: Image, boxes: Sequence[Box]) -> list[Face | None]:
        self.searched += 1
        found = self.landmarks(image, boxes)
        return [one and Face(head=one.head, shape=one.shape, box=one.box) for one in found]

    def mouth(self, image: Image, face: Face) -> Mouth:
        (there,) = self.landmarks(image, [face.box])
        assert there is not None
        return Mouth(there.head.fix(there.lips), 0.0, face.head, image.shape[:2], face.presence)

    def lips(self, mouths: Sequence[Mouth]) -> tuple[np.ndarray, np.ndarray]:
        self.batches.append(len(mouths))
        confidence = np.ones((len(mouths), lips.POINTS), np.float32)
        return np.stack([mouth.crop for mouth in mouths]), confidence


def face(box: Box, colour: tuple[int, int, int], time: Fraction) -> FaceLandmarks:
    """A face whose lips spell its colour and the time, so that tests can tell whose they are."""
    head = head_at(box)
    fixed = np.zeros((lips.POINTS, 3), np.float32)
    fixed[:, 0] = colour[0] / 255
    fixed[:, 1] = float(time) / 100
    points = fixed * head.scale + head.origin
    skull = np.random.default_rng(colour).normal(0, 0.2, (lips.RIGID, 3)).astype(np.float32)
    return FaceLandmarks(
        lips=points,
        confidence=np.ones(lips.POINTS, np.float32),
        head=head,
        shape=skull * head.scale + head.origin,
        box=box,
    )


def watch(backend: FakeBackend, times: Sequence[Fraction]) -> Iterator[Still]:
    """The film's frames, for the backend to see."""
    for still in backend.film.frames(times):
        yield Still(still.time, timed(still.image, still.time))
