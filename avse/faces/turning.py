"""Recordings whose picture is rotated, without a rotation in the file.

Detectors find upright faces only. If there are none, a few frames are tried with the other three
rotations; then the whole recording is processed with the best one, and the results are rotated
back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from avse.faces.detect import FaceBackend, Image
from avse.faces.detections import Frame, picture_of
from avse.faces.people import People, Person
from avse.faces.scaling import fit_inside
from avse.types import FloatArray

_KEPT, _KEPT_PX = 16, 720
"""Maximum number of frames to try, and their longer side in pixels."""

_LEAST = 2
"""Smallest number of frames with a face for a rotation to be accepted."""


@dataclass(frozen=True)
class Turned:
    """A rotated frame."""

    time: Fraction
    image: Image = field(repr=False)


class Samples:
    """Stores up to 16 frames of a recording of unknown length, evenly spaced and scaled down.

    Attributes:
        images: the frames.
    """

    def __init__(self) -> None:
        self.images: list[Image] = []
        self._stride, self._count = 1, 0

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Pass frames on, and store some of them."""
        for frame in frames:
            if self._count % self._stride == 0:
                self.images.append(fit_inside(picture_of(frame), _KEPT_PX))
                if len(self.images) > _KEPT:
                    self.images, self._stride = self.images[::2], 2 * self._stride
            self._count += 1
            yield frame


def find_turn(images: Sequence[Image], backend: FaceBackend) -> int:
    """Find the rotation with which pictures show upright faces.

    Args:
        images: some pictures of a recording.
        backend: the face backend.

    Returns:
        Quarter turns counter-clockwise, 1 to 3; 0 if no rotation shows faces in two pictures.
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
    """Rotate every picture counter-clockwise by a number of quarter turns."""
    for frame in frames:
        yield Turned(frame.time, np.ascontiguousarray(np.rot90(frame.image, quarters)))


def turn_back(people: People, quarters: int) -> People:
    """Convert the boxes of people in rotated pictures to those in the original pictures.

    Args:
        people: the people in the rotated pictures.
        quarters: the quarter turns of `turn_frames`.
    """
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
    """Rotate boxes with their picture.

    Args:
        boxes: (n, 4) x, y, width, height as fractions of the picture.
        quarters: quarter turns counter-clockwise; negative for clockwise.

    Returns:
        (n, 4) as fractions of the rotated picture.
    """
    for _ in range(quarters % 4):
        x, y, w, h = boxes.T
        boxes = np.stack([y, 1 - x - w, h, w], axis=1)
    return boxes
