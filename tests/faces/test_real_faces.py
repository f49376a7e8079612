"""The default backend on photographs and, where they are at hand, on real recordings."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from avse.faces import gallery, lips
from avse.faces.detect import Box, available_backends, open_backend
from avse.faces.face_settings import FaceSettings
from avse.faces.scaling import resize
from avse.faces.track import find_people

from .film import Still


def scaled(image, width):
    height = round(image.shape[0] * width / image.shape[1])
    return resize(image, width, height)


def pasted(parts, size=(360, 640)):
    canvas = np.full((*size, 3), 90, np.uint8)
    for image, x, y in parts:
        h, w = image.shape[:2]
        canvas[y : y + h, x : x + w] = image
    return canvas


def other(hopper):
    """Somebody else: mirrored, wider, of another colour."""
    mirrored = (hopper[:, ::-1] * np.array([0.75, 0.6, 0.5])).astype(np.uint8)
    return resize(mirrored, 620, 600)


def test_one_face_where_it_is(backend, hopper):
    found = backend.detect([hopper])[0]
    assert len(found) == 1
    assert found[0].box.overlap(Box(166, 128, 200, 200)) > 0.7
    assert 0.5 < found[0].score <= 1
    (face,) = backend.landmarks(hopper, [found[0].box])
    assert face.presence > 0.9
    assert face.box.overlap(found[0].box) > 0.5
    assert abs(face.head.yaw) < 0.35
    assert face.confidence.min() > 0.8
    assert 70 < face.head.scale < 160


def test_lips_are_in_order(backend, hopper):
    (face,) = backend.landmarks(hopper, [backend.detect([hopper])[0][0].box])
    fixed = face.head.fix(face.lips)
    outer, inner, chin = fixed[:20], fixed[20:40], fixed[40:]
    # Right corner first; over the upper lip to the left corner; back along the lower one.
    assert outer[:, 0].argmin() == 0
    assert outer[:, 0].argmax() == 10
    assert outer[1:10, 1].mean() < outer[11:, 1].mean()
    assert inner[0, 0] > outer[0, 0]
    assert inner[10, 0] < outer[10, 0]
    assert chin[:, 1].min() > outer[:, 1].max()
    assert chin[0, 0] < chin[1, 0] < chin[2, 0]


def test_lips_do_not_care_where_and_how_large(backend, hopper):
    def fixed(image):
        (face,) = backend.landmarks(image, [backend.detect([image])[0][0].box])
        return face.head.fix(face.lips)

    reference = fixed(hopper)
    for width, x, y in ((300, 20, 0), (300, 320, 5), (150, 400, 150)):
        moved = fixed(pasted([(scaled(hopper, width), x, y)]))
        assert np.abs(moved - reference).max() < 0.06
    turned = np.asarray(Pillow.fromarray(hopper).rotate(20, Pillow.Resampling.BILINEAR))
    assert np.abs(fixed(turned) - reference).max() < 0.06


def test_the_same_every_time(backend, hopper):
    (first,), (second,) = (
        backend.landmarks(hopper, [backend.detect([hopper])[0][0].box]) for _ in range(2)
    )
    assert (first.lips == second.lips).all()


def test_lips_of_several_pictures_at_a_time_are_the_same(hopper):
    backend = open_backend("native")
    pictures = [pasted([(scaled(hopper, 200 + 40 * k), 20 + 9 * k, 10)]) for k in range(3)]
    pictures.append(pictures[0][..., 1].copy())  # luma
    boxes = [[item.box for item in found] for found in backend.detect(pictures[:3])]
    boxes.append(boxes[0])
    mouths, expected = [], []
    for picture, places in zip(pictures, boxes, strict=True):
        (face,) = backend.faces(picture, places)
        mouths.append(backend.mouth(picture, face))
        expected += backend.landmarks(picture, places)
    lips, confidence = backend.lips(mouths)
    for fixed, sure, face in zip(lips, confidence, expected, strict=True):
        np.testing.assert_allclose(fixed, face.head.fix(face.lips), atol=2e-6)
        np.testing.assert_allclose(sure, face.confidence, atol=1e-6)


def test_small_faces_in_large_pictures(backend, hopper):
    """Heads of 45 pixels in 1280 x 720, also where two squares meet, are found once each."""
    small = scaled(hopper, 115)
    for x in (20, 530, 600, 650, 1120):
        (found,) = backend.detect([pasted([(small, x, 300)], (720, 1280))])[0]
        assert found.box.overlap(Box(x + 37, 329, 45, 45)) > 0.4
    upright = pasted([(small, 300, 900)], (1280, 720))
    assert len(backend.detect([upright])[0]) == 1


def test_no_face_in_noise(backend):
    noise = np.random.default_rng(0).integers(0, 255, (360, 640, 3)).astype(np.uint8)
    assert backend.detect([noise, np.zeros_like(noise)]) == [[], []]
    assert backend.landmarks(noise, [Box(100, 100, 80, 80)]) == [None]
    assert backend.landmarks(noise, []) == []


def test_odd_pictures(backend, hopper):
    for shape in ((1, 1), (7, 640), (360, 3)):
        assert backend.detect([np.zeros((*shape, 3), np.uint8)]) == [[]]
    # Views into larger arrays, and boxes that reach over the border.
    assert len(backend.detect([hopper[::2, ::2]])[0]) == 1
    backend.landmarks(hopper, [Box(-80, -80, 200, 200), Box(480, 560, 300, 300)])


def film(hopper, seconds=2, fps=25):
    one, two = scaled(hopper, 260), scaled(other(hopper), 240)
    for k in range(seconds * fps):
        yield Still(Fraction(k, fps), pasted([(one, 10 + k, 20), (two, 380 - k, 60)]))


def test_two_who_move_are_two(backend, hopper):
    people = find_people(film(hopper), backend)
    assert [p.number for p in people] == [1, 2]
    for person in people:
        assert person.seconds_on_screen == pytest.approx(2, abs=0.05)
        assert person.lips.seen.all()
        seen = person.lips.points[person.lips.seen]
        # A photograph does not talk, however it moves.
        assert seen.std(axis=0).max() < 0.03
    assert people.persons[0].boxes[0, 0] < people.persons[1].boxes[0, 0]
    sheet = gallery.contact_sheet(people)
    assert sheet.shape == (282, 436, 3)
    assert gallery.png(people).startswith(b"\x89PNG")
    first = next(iter(film(hopper))).image
    assert (gallery.annotated(first, people, 0.0) != first).any()


def test_an_empty_sheet_is_a_picture_too():
    people = find_people([], None)
    assert gallery.contact_sheet(people).ndim == 3


def test_a_cut_away_and_back(backend, hopper):
    one, two = scaled(hopper, 260), scaled(other(hopper), 240)
    bright = np.full((360, 640, 3), 220, np.uint8)

    def shots():
        for k in range(75):
            if k // 25 == 1:
                canvas = bright.copy()
                canvas[40:272, 300:540] = two
                yield Still(Fraction(k, 25), canvas)
            else:
                yield Still(Fraction(k, 25), pasted([(one, 60 + 100 * (k // 50), 20)]))

    people = find_people(shots(), backend)
    assert people.cuts == (1, 2)
    assert [round(p.seconds_on_screen) for p in people] == [2, 1]


def test_importing_loads_no_model():
    code = (
        "import sys, avse.faces, avse.faces.track, avse.faces.gallery, avse.faces.detect;"
        "heavy = ('mediapipe', 'onnxruntime', 'torch', 'face_alignment');"
        "print([m for m in heavy if m in sys.modules])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert "native" in available_backends()


def test_nothing_is_written_to_the_terminal(hopper):
    code = (
        "import numpy as np;"
        "from avse.faces.detect import Box, open_backend;"
        "b = open_backend();"
        "i = np.random.default_rng(0).integers(0, 255, (360, 640, 3)).astype(np.uint8);"
        "b.detect([i]); b.landmarks(i, [Box(9, 9, 90, 90)])"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout == done.stderr == ""


def real(path, seconds):
    from avse.media.frames import read_frames

    return read_frames(path, stop=seconds)


@pytest.mark.parametrize("name", ["debate.avi", "comedy.mp4"])
def test_two_people_for_the_whole_recording(name, shared_media, backend):
    people = find_people(real(shared_media / name, 4), backend, FaceSettings())
    assert [p.number for p in people] == [1, 2]
    left, right = people
    assert left.box[0] < right.box[0]
    for person in people:
        assert person.first_seen == 0
        assert person.seconds_on_screen == pytest.approx(4, abs=0.1)
        opening = person.lips.points[:, 35, 1] - person.lips.points[:, 25, 1]
        assert person.lips.seen.mean() > 0.9
        assert opening[person.lips.seen].std() > 0.01
    x, y, w, h = left.boxes[50]
    assert people.at(2.0, x + w / 2, y + h / 2) is left
    assert lips.RATE_HZ * 4 - 15 <= len(left.lips.points) <= lips.RATE_HZ * 4
