from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw

from avse.errors import MissingExtraError
from avse.faces import recognition
from avse.faces.detect import Box
from avse.faces.face_settings import FaceSettings
from avse.faces.identity import SAME_FACE
from avse.faces.lips import Head
from avse.faces.scaling import resize
from avse.faces.track import find_people
from avse.media import read_frames

from .film import Actor, FakeBackend, Film, head_at, watch

RED, GREEN = (220, 40, 40), (40, 200, 60)

with_extra = pytest.mark.skipif(
    not recognition.available(), reason='needs pip install "avse[identity]"'
)


def turned(head: Head, roll: float) -> Head:
    c, s = np.cos(roll), np.sin(roll)
    return Head(np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]], np.float32), head.scale, head.origin)


@pytest.mark.parametrize("roll", [0.0, 0.4, -1.2])
@pytest.mark.parametrize("side", [30, 240])
def test_eyes_and_nose_lie_where_the_network_expects_them(roll: float, side: float) -> None:
    head = turned(head_at(Box(300, 200, side, side)), roll)
    image = Pillow.new("RGB", (800, 600))
    for x, y in head.anchors():
        place, radius = (round(float(x)), round(float(y))), max(2, round(side / 40))
        ImageDraw.Draw(image).circle(place, radius, (255,) * 3)
    square = recognition.square_up(np.asarray(image), head)
    assert square.shape == (150, 150, 3)
    # Of dlib's get_face_chip: left eye corner, right eye corner, base of the nose.
    for x, y in ((37, 46), (111, 46), (74, 88)):
        around = square[y - 6 : y + 7, x - 6 : x + 7]
        assert around.max() > 100
    assert square[120:, :].max() < 50


class ByColour:
    """Describes a face by the colours at its middle: the hue of an actor, whatever the light."""

    name = "colour"

    def __init__(self) -> None:
        self.asked = 0

    def describe(self, image, face):
        self.asked += 1
        x, y = face.box.centre
        patch = image[round(y) - 8 : round(y) + 8, round(x) - 8 : round(x) + 8]
        hue = patch.reshape(-1, 3).mean(axis=0)
        vector = np.zeros(recognition.SIZE, np.float32)
        vector[int(hue.argmax())] = 1
        return vector


def people_of(film: Film, seconds: float, recogniser):
    backend = FakeBackend(film)
    times = [Fraction(k, 25) for k in range(round(seconds * 25))]
    return find_people(
        watch(backend, times), backend, FaceSettings(detect_every=1), recogniser=recogniser
    )


def far_apart() -> Film:
    """One person in two shots: small on the left, then large on the right, in other light."""

    def place(time):
        return Box(30, 60, 36, 36) if time < 2 else Box(180, 20, 120, 120)

    return Film([Actor(RED, place)], backdrop=lambda t: 20 if t < 2 else 200)


def test_the_person_after_the_cut_is_the_person_before_it():
    people = people_of(far_apart(), 4, ByColour())
    assert len(people) == 1
    assert people.persons[0].seconds_on_screen == pytest.approx(4, abs=0.2)
    assert people.persons[0].face is not None


def test_without_the_extra_nobody_is_described():
    assert all(person.face is None for person in people_of(far_apart(), 4, None))


def test_whom_the_network_tells_apart_are_two_even_if_they_look_alike():
    class ByTime(ByColour):
        def describe(self, image, face):
            vector = np.zeros(recognition.SIZE, np.float32)
            vector[0] = image.mean() > 100
            return vector

    def place(time):
        return Box(100, 60, 60, 60)

    film = Film([Actor(RED, place)], backdrop=lambda t: 20 if t < 2 else 200)
    assert len(people_of(film, 4, ByTime())) == 2


def test_two_in_sight_at_once_are_never_one():
    class Same(ByColour):
        def describe(self, image, face):
            return np.ones(recognition.SIZE, np.float32)

    film = Film(
        [Actor(RED, lambda t: Box(40, 60, 50, 50)), Actor(GREEN, lambda t: Box(200, 60, 50, 50))]
    )
    assert len(people_of(film, 2, Same())) == 2


def test_the_network_is_asked_a_few_times_and_not_about_tiny_faces():
    recogniser = ByColour()
    people_of(Film([Actor(RED, lambda t: Box(100, 60, 60, 60))]), 10, recogniser)
    assert 2 <= recogniser.asked <= 4
    recogniser = ByColour()
    people_of(Film([Actor(RED, lambda t: Box(100, 60, 20, 20))]), 2, recogniser)
    assert recogniser.asked == 0


def test_what_is_missing_is_said(monkeypatch):
    monkeypatch.setattr(recognition, "_weights", lambda: None)
    assert not recognition.available()
    assert recognition.open_recogniser() is None
    with pytest.raises(MissingExtraError) as caught:
        recognition.DlibRecogniser()
    assert "avse[identity]" in caught.value.hint


@with_extra
def test_real_faces_are_told_apart_and_known_again(backend, hopper, duet):
    recogniser = recognition.DlibRecogniser()

    def described(image):
        faces = backend.landmarks(image, [found.box for found in backend.detect([image])[0]])
        assert all(face is not None for face in faces)
        faces.sort(key=lambda face: face.box.x)
        return [recogniser.describe(image, face) for face in faces]

    collins, in_duet = described(next(read_frames(duet)).image)
    turned = np.asarray(Pillow.fromarray(hopper).rotate(20, Pillow.Resampling.BILINEAR))
    for image in (hopper, resize(hopper, 170, 200), turned):
        (again,) = described(image)
        assert again.shape == (recognition.SIZE,)
        assert np.linalg.norm(again - in_duet) < SAME_FACE
        assert np.linalg.norm(again - collins) > SAME_FACE
