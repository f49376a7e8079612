"""Small faces in large pictures."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avse.faces.closer import Closer
from avse.faces.detect import Box, Detection
from avse.faces.track import find_people

from .film import Still
from .test_real_faces import pasted, scaled


class Speck:
    """Sees one face of a set size, in pictures that are no wider than a square of 200 pixels."""

    name, close_px = "speck", 200

    def __init__(self, box: Box) -> None:
        self.box = box
        self.looks = 0

    def detect(self, images):
        self.looks += len(images)
        return [self._detect(image) for image in images]

    def _detect(self, image):
        rows, columns = np.nonzero(image[:, :, 0] == 255)
        if max(image.shape) > 200 or len(rows) < self.box.w * self.box.h:
            return []  # it does not see a part of a face
        x, y = columns.min(), rows.min()
        return [Detection(Box(float(x), float(y), self.box.w, self.box.h), 0.9)]


@pytest.mark.parametrize(("x", "y"), [(0, 0), (260, 140), (564, 324), (160, 320)])
def test_every_place_is_looked_at_and_no_face_is_given_twice(x, y):
    backend = Speck(Box(x, y, 36, 36))
    image = np.zeros((360, 600, 3), np.uint8)
    image[y : y + 36, x : x + 36] = 255
    closer = Closer(backend)
    (found,) = closer.look_around(image, Fraction(0), [])
    assert found.box == backend.box
    looks = backend.looks
    assert closer.look_around(image, Fraction(1), []) == []  # too soon
    assert backend.looks == looks
    assert closer.look_around(image, Fraction(2), [backend.box]) == []  # known already
    closer.shot()
    assert len(closer.look_around(image, Fraction(21, 10), [])) == 1
    again = closer.look_at(image, Box(x + 4, y - 3, 36, 36))
    assert again is not None
    assert again.box == backend.box
    assert closer.look_at(image, Box(x, y, 110, 110)) is None  # not small


def test_a_small_face_in_a_corner_of_a_large_picture(backend, hopper):
    small = scaled(hopper, 115)  # the face is 46 pixels wide

    def frames():
        for k in range(30):
            image = pasted([(small, 1800, 930)], (1080, 1920))
            yield Still(Fraction(k, 10), image)

    (person,) = find_people(frames(), backend)
    assert person.seconds_on_screen == pytest.approx(3, abs=0.1)
    assert 40 < person.box[2] < 52
    assert person.box[0] > 1800
    assert person.box[1] > 930
    assert person.lips.seen.all()
