"""Pictures that lie on their side or stand on their head, without a note in the file that says so.

Detectors find upright faces. Where there are none, a few frames are tried the other ways up; then
the whole recording is gone through turned, and what was found is turned back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from avse.faces.detect import FaceBackend, Image
from avse.faces.detections import Frame
from avse.faces.people import People, Person
from avse.faces.scaling import fit_inside
from avse.types import FloatArray

_KEPT, _KEPT_PX = 16, 720
"""Frames that are kept to be tried, and their longer side in pixels."""

_LEAST = 2
"""Frames with a face from which a way up is believed."""


@dataclass(frozen=True)
class Turned:
    """A frame that was turned."""

    time: Fraction
    image: Image = field(repr=False)


class Samples:
    """Keeps up to 16 frames of those that pass, evenly spread, however many they are; small."""

    def __init__(self) -> None:
        self.images: list[Image] = []
        self._stride, self._count = 1, 0

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames."""
        for frame in frames:
            if self._count % self._stride == 0:
                self.images.append(fit_inside(frame.image, _KEPT_PX))
                if len(self.images) > _KEPT:
                    self.images, self._stride = self.images[::2], 2 * self._stride
            self._count += 1
            yield frame


def find_turn(images: Sequence[Image], backend: FaceBackend) -> int:
    """By how many quarters, counter-clockwise, pictures have to be turned to show faces upright.

    Args:
        images: some of a recording.
        backend: finds faces.

    Returns:
        1, 2 or 3; 0 if no way up shows a face in more than one of them.
    """
    counts = {}
    for quarters in (1, 3, 2):
        turned = [np.ascontiguousarray(np.rot90(image, quarters)) for image in images]
        counts[quarters] = sum(_shows_face(image, backend) for image in turned)
    best = max(counts, key=lambda quarters: counts[quarters])
    return best if counts[best] >= _LEAST else 0


def _shows_face(image: Image, backend: FaceBackend) -> bool:
    found = backend.detect([image])[0]
    return any(face is not None for face in backend.landmarks(image, [item.box for item in found]))


def turn_frames(frames: Iterable[Frame], quarters: int) -> Iterator[Turned]:
    """Turn every picture counter-clockwise by so many quarters."""
    for frame in frames:
        yield Turned(frame.time, np.ascontiguousarray(np.rot90(frame.image, quarters)))


def turn_back(people: People, quarters: int) -> People:
    """People found in pictures that were turned, at their places in the pictures as they are."""
    width, height = people.width, people.height
    if quarters % 2:
        width, height = height, width
    size = np.array([width, height, width, height])

    def back(person: Person) -> Person:
        boxes = turn_boxes(person.boxes, -quarters)
        x, y, w, h = (float(side) for side in np.median(boxes, axis=0) * size)
        return replace(person, boxes=boxes, box=(x, y, w, h))

    return replace(people, persons=tuple(map(back, people)), width=width, height=height)


def turn_boxes(boxes: FloatArray, quarters: int) -> FloatArray:
    """Boxes (n, 4) as fractions of a picture that is turned counter-clockwise by so many quarters.

    Returns:
        (n, 4) x, y, width, height as fractions of the turned picture.
    """
    for _ in range(quarters % 4):
        x, y, w, h = boxes.T
        boxes = np.stack([y, 1 - x - w, h, w], axis=1)
    return boxes
