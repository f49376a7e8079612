"""Pictures keep what is in them, and its place, at another size or angle."""

from __future__ import annotations

import numpy as np
import pytest

from avse.faces.scaling import fit_inside, resize, warp
from avse.media.pictures import Picture


def waves(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    grey = 128 + 60 * np.sin(columns / 23) * np.cos(rows / 17)
    return np.repeat(grey[..., None], 3, axis=2).round().astype(np.uint8)


@pytest.mark.parametrize(("side", "shape"), [(100, (50, 100, 3)), (400, (200, 400, 3))])
def test_fit_inside_only_makes_smaller(side: int, shape: tuple[int, ...]) -> None:
    assert fit_inside(waves(200, 400), side).shape == shape
    assert fit_inside(waves(400, 200), side).shape == (shape[1], shape[0], 3)
    assert fit_inside(waves(3, 900), 10).shape == (1, 10, 3)


@pytest.mark.parametrize("factor", [2, 5, 8])
def test_every_pixel_counts_in_a_smaller_picture(factor: int) -> None:
    image = np.zeros((160, 240, 3), np.uint8)
    image[::2, ::2] = 255
    small = resize(image, 240 // factor, 160 // factor)
    assert abs(small.mean() - image.mean()) < 4


def test_a_part_as_it_is_is_the_same_pixels() -> None:
    image = waves(120, 160)
    matrix = np.array([[1.0, 0, 30], [0, 1, 20]])
    assert (warp(image, matrix, 60, 50) == image[20:70, 30:90]).all()


@pytest.mark.parametrize("step", [0.5, 1.0, 1.7, 2.5, 6.0])
@pytest.mark.parametrize("angle", [0.0, 0.6, -2.0])
def test_pixels_come_from_where_the_matrix_says(step: float, angle: float) -> None:
    turn = step * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    middle = np.array([310.0, 220.0])
    matrix = np.column_stack([turn, middle - turn @ (19.5, 14.5)])
    part = warp(waves(480, 640), matrix, 40, 30)
    rows, columns = np.mgrid[:30, :40]
    x, y = (matrix @ np.stack([columns.ravel(), rows.ravel(), np.ones(1200)])).reshape(2, 30, 40)
    expected = 128 + 60 * np.sin(x / 23) * np.cos(y / 17)
    assert np.abs(part[..., 0] - expected).mean() < (2 if step < 3 else 5)


def test_beyond_the_edges_their_pixels_go_on() -> None:
    image = np.full((60, 80, 3), 200, np.uint8)
    far = warp(image, np.array([[1.0, 0, -500], [0, 1, -500]]), 20, 10)
    near = warp(image, np.array([[3.0, 0, 70], [0, 3.0, 50]]), 20, 10)
    assert (far == 200).all()
    assert (near == 200).all()


@pytest.mark.parametrize("start", [-90, -25, -3, 0, 40, 70, 95, 300])
def test_a_part_across_an_edge_repeats_the_pixels_at_the_edge(start: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (80, 100, 3)).astype(np.uint8)
    matrix = np.array([[1.0, 0, start], [0, 1, start - 10]])
    columns = np.clip(np.arange(start, start + 30), 0, 99)
    rows = np.clip(np.arange(start - 10, start + 10), 0, 79)
    assert (warp(image, matrix, 30, 20) == image[rows[:, None], columns]).all()


def test_a_picture_that_a_decoder_can_reduce_is_not_converted_first() -> None:
    class Decoded(Picture):
        asked: tuple[int, int] | None = None

        def reduced(self, width: int, height: int) -> np.ndarray:
            self.asked = width, height
            return np.zeros((height, width, 3), np.uint8)

    picture = Decoded(waves(200, 400))
    assert fit_inside(picture, 100).shape == (50, 100, 3)
    assert picture.asked == (100, 50)
    assert fit_inside(picture, 400) is picture.image
    assert (fit_inside(Picture(picture.image), 100) == fit_inside(picture.image, 100)).all()
