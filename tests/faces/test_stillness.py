"""Photographs have no voice; people who sit still have one."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avse.faces.lips import POINTS, LipSequence
from avse.faces.scaling import warp
from avse.faces.stillness import is_still
from avse.faces.track import find_people

from .film import Still

STRAIGHT = np.zeros((100, 2), np.float32)


def lips(seconds: float, shake: float, *, talks: tuple[float, float] = (0, 0)) -> LipSequence:
    """Lips that shake by noise, and open and close four times a second between two instants."""
    rng = np.random.default_rng(0)
    frames = round(25 * seconds)
    points = rng.normal(0, shake, (frames, POINTS, 3)).astype(np.float32)
    time = np.arange(frames) / 25
    opening = 0.05 * (1 - np.cos(2 * np.pi * 4 * time)) * (time >= talks[0]) * (time < talks[1])
    points[:, 10:20, 1] += opening[:, None]
    return LipSequence(0, points, np.ones((frames, POINTS), np.float32))


def test_noise_is_still_and_one_word_is_not():
    assert is_still(lips(60, 0.004), STRAIGHT)
    # Somebody who says one short word in a minute.
    assert not is_still(lips(60, 0.004, talks=(41, 41.5)), STRAIGHT)


def test_a_head_that_turns_is_alive():
    turning = STRAIGHT.copy()
    turning[:, 0] = np.linspace(0, 0.2, 100)
    assert not is_still(lips(4, 0.001), turning)


def test_nothing_is_said_of_a_glimpse_or_of_lips_out_of_sight():
    assert not is_still(lips(1.2, 0.001), STRAIGHT[:30])
    hidden = lips(4, 0.001)
    hidden.confidence[:] = 0
    assert not is_still(hidden, STRAIGHT)


@pytest.mark.parametrize("kind", ["zoomed", "panned and noisy"])
def test_a_photograph_is_still_however_it_moves(backend, hopper, kind):
    rng = np.random.default_rng(1)

    def frames():
        for k in range(50):
            grow = 0.6 + 0.001 * k if kind == "zoomed" else 0.6
            left, top = (100, 0) if kind == "zoomed" else (100 + 0.6 * k, 0.3 * k)
            back = np.array([[1, 0, -left], [0, 1, -top]]) / grow
            image = warp(hopper, back, 480, 400).astype(float)
            noise = 0 if kind == "zoomed" else rng.normal(0, 4, image.shape)
            yield Still(Fraction(k, 25), np.clip(image + noise, 0, 255).astype(np.uint8))

    (person,) = find_people(frames(), backend)
    assert person.still
