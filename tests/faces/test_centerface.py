"""CenterFace finds everybody, at any size and place, and nobody where there is none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from avse.faces.centerface import CenterFace, FacePoints
from avse.faces.detect import Box, Image
from avse.media import read_frames


@pytest.fixture(scope="module")
def detector() -> CenterFace:
    return CenterFace()


@pytest.fixture(scope="module")
def pair(duet: Path) -> Image:
    """Two faces, (360, 640)."""
    return next(read_frames(duet)).image


def _placed(face: Image, width: int, at: tuple[int, int], size: tuple[int, int]) -> Image:
    """A picture of noise in which half of the pair, made `width` wide, lies at (x, y)."""
    height = round(width * face.shape[0] / face.shape[1])
    small = np.asarray(Pillow.fromarray(face).resize((width, height), Pillow.Resampling.LANCZOS))
    picture = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    picture[at[1] : at[1] + height, at[0] : at[0] + width] = small
    return picture


def _middle(face: FacePoints) -> float:
    return face.box.centre[0]


def test_both_are_found_with_their_points(detector: CenterFace, pair: Image) -> None:
    left, right = sorted(detector.detect(pair), key=_middle)
    assert left.box.centre[0] < 320 < right.box.centre[0]
    for face in (left, right):
        right_eye, left_eye, nose, right_mouth, left_mouth = face.points.tolist()
        assert right_eye[0] < nose[0] < left_eye[0]
        assert right_mouth[0] < left_mouth[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < min(right_mouth[1], left_mouth[1])
        assert face.box.x < right_eye[0] < left_eye[0] < face.box.x + face.box.w
        assert 0.3 < face.eyes_px / face.box.w < 0.7
        assert abs(face.box.roll) < 0.2
    scores = [face.score for face in detector.detect(pair)]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("width", [54, 160, 320])
@pytest.mark.parametrize("at", [(0, 0), (940, 400)])
def test_small_ones_are_found_anywhere(
    detector: CenterFace, pair: Image, width: int, at: tuple[int, int]
) -> None:
    """The narrowest face is 24 pixels wide."""
    half = np.ascontiguousarray(pair[:, :320])
    (whole,) = detector.detect(half)
    at = (min(at[0], 1280 - width), min(at[1], 720 - round(width * 1.125)))
    picture = _placed(half, width, at, (720, 1280))
    found = detector.detect_closely(picture)
    assert len(found) == 1
    (near,) = detector.detect_closely(picture, replace(found[0].box, x=found[0].box.x + 4))
    assert near.box.overlap(found[0].box) > 0.7
    assert detector.detect_closely(picture, Box(600, 200, 30, 40)) == []
    assert detector.detect_closely(picture, Box(5000, -900, 30, 40)) == []
    scale = width / 320
    assert np.hypot(
        found[0].box.centre[0] - at[0] - whole.box.centre[0] * scale,
        found[0].box.centre[1] - at[1] - whole.box.centre[1] * scale,
    ) < 0.15 * whole.box.w * scale  # fmt: skip
    assert found[0].box.w == pytest.approx(whole.box.w * scale, rel=0.25)


def test_roll_says_how_far_a_head_leans(detector: CenterFace, pair: Image) -> None:
    leaning = np.asarray(Pillow.fromarray(pair[:, :320]).rotate(-40))
    (face,) = detector.detect(leaning)
    assert face.box.roll == pytest.approx(np.radians(40), abs=0.3)


def test_places_do_not_depend_on_the_size_that_the_network_is_shown(
    detector: CenterFace, pair: Image
) -> None:
    large = np.asarray(Pillow.fromarray(pair).resize((1280, 720)))
    for one, other in zip(
        sorted(detector.detect(pair), key=_middle),
        sorted(detector.detect(large, side=960), key=_middle),
        strict=True,
    ):
        assert one.points * 2 == pytest.approx(other.points, abs=0.2 * other.box.w)


@pytest.mark.parametrize("size", [(1, 1), (7, 500), (360, 640)])
def test_nobody_in_noise_and_in_nothing(detector: CenterFace, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (*size, 3)).astype(np.uint8)
    assert detector.detect(noise) == []
    assert detector.detect(np.zeros((*size, 3), np.uint8)) == []
