"""Faces between two frames in which they were searched for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avse.faces.detect import Box, Face
from avse.faces.face_settings import FaceSettings
from avse.faces.interpolation import face_between
from avse.faces.lips import Head
from avse.faces.native_backend import NativeBackend
from avse.faces.track import find_people

from .film import Actor, FakeBackend, Film, LateBackend, Still, watch

RED = (220, 30, 30)
SETTLING = 3
"""Number of further searches for a new face."""


def moving(speed: float):
    """A face of 40 pixels that moves to the right, in pixels per second."""
    return Actor(RED, lambda time: Box(40 + speed * float(time), 60, 40, 40))


def both(actor: Actor, times, every: int = 30):
    """The person as an ordinary backend finds it, and as one that interpolates; and that one."""
    settings = FaceSettings(detect_every=every)
    plain, late = FakeBackend(Film([actor])), LateBackend(Film([actor]))
    ((first,), (second,)) = (find_people(watch(b, times), b, settings) for b in (plain, late))
    return first, second, late


def clock(rate: int, count: int) -> list[Fraction]:
    return [Fraction(k, rate) for k in range(count)]


def test_a_slow_face_is_searched_for_in_a_third_of_the_frames_and_found_in_all():
    searched, interpolated, backend = both(moving(30), clock(25, 60))
    # A detection, the frame before it, and the end of each second need a search more.
    assert backend.searched == SETTLING + 20 + 3
    assert interpolated.times.tolist() == searched.times.tolist()
    assert np.allclose(interpolated.boxes, searched.boxes, atol=1e-6)
    assert interpolated.lips.seen.all()
    assert np.allclose(interpolated.lips.points, searched.lips.points, atol=1e-3)


@pytest.mark.parametrize(
    ("actor", "rate"),
    [
        pytest.param(moving(80), 25, id="a fast face"),
        pytest.param(moving(0), 12, id="a low frame rate"),
    ],
)
def test_otherwise_every_frame_is_searched(actor: Actor, rate: int):
    searched, found, backend = both(actor, clock(rate, 30))
    assert backend.searched - SETTLING in (30, 31)  # with the detection
    assert (found.boxes == searched.boxes).all()


def test_frames_that_are_unevenly_apart_have_their_share():
    times = [
        t for k in range(10) for t in (Fraction(3 * k, 30), Fraction(3 * k, 30) + Fraction(1, 30))
    ]
    searched, interpolated, backend = both(moving(30), times, every=100)
    assert backend.searched < 20
    assert np.allclose(interpolated.boxes, searched.boxes, atol=1e-6)


def test_a_face_that_disappears_is_found_up_to_then_and_not_beyond():
    until = Fraction(31, 25)
    actor = Actor(RED, lambda time: Box(60, 60, 40, 40) if time < until else None)
    searched, interpolated, _ = both(actor, clock(25, 60))
    assert interpolated.times.tolist() == searched.times.tolist()
    assert interpolated.times[-1] < until


def turned(angle: float, scale: float, x: float) -> Face:
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], np.float32)
    head = Head(rotation, scale, np.array([x, 50, 0], np.float32))
    shape = np.full((4, 3), x, np.float32)
    return Face(head=head, shape=shape, box=Box(x, 40, 30, 36, angle), presence=0.5 + angle)


def test_pose_box_and_shape_lie_on_the_way():
    between = face_between(turned(0.0, 20.0, 100), turned(0.2, 24.0, 110), 0.25)
    assert between.head.roll == pytest.approx(0.05, abs=1e-3)
    assert between.head.rotation @ between.head.rotation.T == pytest.approx(np.eye(3), abs=1e-6)
    assert between.head.scale == pytest.approx(21)
    assert between.head.origin.tolist() == [102.5, 50, 0]
    assert (between.box.x, between.box.y, between.box.w) == (102.5, 40, 30)
    assert between.box.roll == pytest.approx(0.05, abs=1e-3)
    assert (between.shape == 102.5).all()
    assert between.presence == 0.5  # that of the less certain end


def test_a_new_face_has_settled_in_its_first_frame(hopper):
    """A detector's box is not that of the landmarks, which would move the lips by 0.03."""
    backend = NativeBackend()
    (person,) = find_people([Still(t, hopper) for t in clock(25, 20)], backend)
    points = person.lips.points
    assert np.abs(points[:3] - np.median(points, axis=0)).mean() < 0.003


def test_a_shaken_picture_is_searched_in_every_frame():
    """A face that is back in its place after three frames seems to be slow."""
    shake = [0, 6, -6]

    class Shaken(Film):
        def frames(self, times):
            for still in super().frames(times):
                textured = still.image + np.tile(np.arange(0, 160, 20, dtype=np.uint8), 40)[:, None]
                by = shake[round(still.time * 25) % 3]
                yield Still(still.time, np.roll(textured, by, axis=1))

    actor = Actor(RED, lambda time: Box(60 + shake[round(time * 25) % 3], 60, 80, 80))
    backend = LateBackend(Shaken([actor]))
    (person,) = find_people(watch(backend, clock(25, 45)), backend, FaceSettings(detect_every=15))
    wanted = np.array([(60 + shake[k % 3]) / 320 for k in range(45)])
    assert np.allclose(person.boxes[:, 0], wanted, atol=1e-6)
