"""What is left of lips when the person's own resting mouth and habits are taken off."""

from __future__ import annotations

import numpy as np
import pytest

from avse.faces.lips import POINTS, USUAL_MOTION, motion, motion_scale


def test_motion_is_around_the_median_of_what_was_seen() -> None:
    points = np.zeros((5, POINTS, 3), np.float32)
    points[:, 0, 1] = [1, 2, 9, 3, 100]
    seen = np.array([True, True, True, True, False])
    assert motion(points, seen)[:, 0, 1].tolist() == [-1.5, -0.5, 6.5, 0.5, 0]
    assert not motion(points, np.zeros(5, bool)).any()


@pytest.mark.parametrize(("size", "expected"), [(1, 1), (2, 0.5), (0.8, 1.25), (9, 0.5), (0, 1.5)])
def test_lively_and_still_faces_are_brought_to_the_usual(size: float, expected: float) -> None:
    moved = np.full((4, POINTS, 3), USUAL_MOTION * size, np.float32)
    assert motion_scale(moved, np.ones(4, bool)) == pytest.approx(expected)
    assert motion_scale(moved, np.zeros(4, bool)) == 1.0
