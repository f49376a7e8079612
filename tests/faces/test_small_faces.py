"""Small faces in large pictures."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avse.faces.detect import Box, Detection
from avse.faces.small_faces import SmallFaceDetector
from avse.faces.track import find_people
from avse.media.pictures import Picture

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
    small_faces, picture = SmallFaceDetector(backend), Picture(image)
    (found,) = small_faces.look_around(picture, Fraction(0), [])
    assert found.box == backend.box
    looks = backend.looks
    assert small_faces.look_around(picture, Fraction(1), []) == []  # too soon
    assert backend.looks == looks
    assert small_faces.look_around(picture, Fraction(2), [backend.box]) == []  # known already
    small_faces.shot()
    assert len(small_faces.look_around(picture, Fraction(21, 10), [])) == 1
    again = small_faces.look_at(picture, Box(x + 4, y - 3, 36, 36))
    assert again is not None
    assert again.box == backend.box
    assert small_faces.look_at(picture, Box(x, y, 110, 110)) is None  # not small


def test_a_small_face_in_a_corner_of_a_large_picture(backend, hopper):
    small = scaled(hopper, 115)  # the face is 46 pixels wide

    def frames():
        for k in range(30):
            image = pasted([(small, 1800, 930)], (1080, 1920))
            yield Still(Fraction(k, 10), image)

    (person,) = find_people(frames(), backend)
    assert person.seconds_on_screen == pytest.approx(3, abs=0.1)
    assert 38 < person.box[2] < 52
    assert person.box[0] > 1800
    assert person.box[1] > 930
    assert person.lips.seen.all()


class SharpEyes:
    """Sees one small face, but only when it looks closely, and counts how often it does."""

    every = 15

    def __init__(self, box: Box) -> None:
        self.box, self.looks, self.rests = box, [], 0

    def detect(self, picture):
        return []

    def detect_closely(self, picture, near=None):
        self.looks.append(near)
        return [Detection(self.box, 0.9)] if near is None or self.box.centred_in(near) else []

    def rest(self):
        self.rests += 1


class WithSharpEyes:
    name, close_px = "sharp", None

    def __init__(self, box: Box) -> None:
        self.close_detector = SharpEyes(box)

    def detect(self, images):
        return [[] for _ in images]


def test_a_detector_that_sees_small_faces_is_asked_without_squares_and_seldom_if_in_vain():
    backend = WithSharpEyes(Box(30, 40, 24, 30))
    looks = backend.close_detector.looks
    small_faces = SmallFaceDetector(backend)
    picture = Picture(np.zeros((720, 1280, 3), np.uint8))
    (found,) = small_faces.look_around(picture, Fraction(0), [])
    assert found.box == backend.close_detector.box
    times = [Fraction(k, 2) for k in range(1, 61)]
    assert not any(small_faces.look_around(picture, time, [found.box]) for time in times)
    assert len(looks) == 1 + 1 + 1 + 4  # at 0, 1.5 and 4.5 s, then every 6 s
    small_faces.shot()
    assert small_faces.look_around(picture, Fraction(61, 2), [])
    near = Box(32, 41, 24, 30)
    assert small_faces.look_at(picture, near) == found
    assert looks[-1] == near
    assert small_faces.look_at(picture, Box(600, 300, 24, 30)) is None


def test_a_detector_that_sees_small_faces_returns_its_memory_at_the_end():
    backend = WithSharpEyes(Box(30, 40, 24, 30))
    backend.landmarks = lambda image, boxes: [None for _ in boxes]
    black = np.zeros((72, 128, 3), np.uint8)
    frames = [Still(Fraction(k, 25), black) for k in range(250)]
    assert len(find_people(frames, backend)) == 0
    assert len(backend.close_detector.looks) > 1
    assert backend.close_detector.rests == 1
