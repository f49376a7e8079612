"""Pictures that are not upright."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avse.faces.track import find_people
from avse.faces.turning import Samples, find_turn, turn_back, turn_boxes, turn_frames

from .film import Still
from .test_real_faces import pasted, scaled


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_faces_are_found_and_where_they_are_in_the_picture_as_it_is(backend, hopper, quarters):
    upright = pasted([(scaled(hopper, 260), 40, 20)])
    lying = np.ascontiguousarray(np.rot90(upright, -quarters))
    frames = [Still(Fraction(k, 25), lying) for k in range(25)]
    assert len(find_people(frames, backend)) == 0
    assert find_turn([lying] * 3, backend) == quarters
    people = turn_back(find_people(turn_frames(frames, quarters), backend), quarters)
    (person,) = people
    assert (people.width, people.height) == lying.shape[1::-1]
    (straight,) = find_people([Still(f.time, upright) for f in frames], backend)
    place = turn_boxes(straight.boxes, -quarters)[0]
    assert person.boxes[0] == pytest.approx(place, abs=0.02)
    size = np.array([people.width, people.height] * 2)
    assert person.box == pytest.approx(tuple(place * size), abs=5)


def test_nobody_any_way_up(backend):
    noise = np.random.default_rng(0).integers(0, 255, (180, 320, 3)).astype(np.uint8)
    assert find_turn([noise] * 3, backend) == 0
    assert find_turn([], backend) == 0


def test_boxes_turn_with_the_picture():
    image = np.zeros((4, 8), bool)
    image[1:3, 2:7] = True  # x 2, y 1, 5 wide, 2 high
    box = np.array([[2 / 8, 1 / 4, 5 / 8, 2 / 4]], np.float32)
    for quarters in range(4):
        turned = np.rot90(image, quarters)
        rows, columns = np.nonzero(turned)
        height, width = turned.shape
        expected = [columns.min() / width, rows.min() / height]
        expected += [(np.ptp(columns) + 1) / width, (np.ptp(rows) + 1) / height]
        assert turn_boxes(box, quarters)[0] == pytest.approx(expected)
        assert turn_boxes(turn_boxes(box, quarters), -quarters) == pytest.approx(box)


def test_samples_are_few_and_spread():
    samples = Samples()
    passed = list(
        samples.watch(Still(Fraction(k), np.full((1, 1, 3), k % 256)) for k in range(999))
    )
    assert [frame.time for frame in passed] == list(range(999))
    assert 8 <= len(samples.images) <= 16
    assert len({int(image[0, 0, 0]) for image in samples.images}) > 3
