from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avse.faces import lips
from avse.faces.lips import (
    Lips,
    LipSequence,
    contour,
    fit_head,
    resample,
    resample_stretches,
    trust,
)


def turned(yaw: float = 0, pitch: float = 0, roll: float = 0) -> np.ndarray:
    c, s = np.cos(yaw), np.sin(yaw)
    about_y = np.array([[c, 0, -s], [0, 1, 0], [s, 0, c]])
    c, s = np.cos(pitch), np.sin(pitch)
    about_x = np.array([[1, 0, 0], [0, c, s], [0, -s, c]])
    c, s = np.cos(roll), np.sin(roll)
    about_z = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x


def placed(points: np.ndarray, rotation: np.ndarray, scale: float, at: tuple) -> np.ndarray:
    return (scale * points @ rotation.T + np.array(at)).astype(np.float32)


small = st.floats(-0.7, 0.7)


@settings(deadline=None, max_examples=40)
@given(small, small, small, st.floats(10, 400), st.floats(-500, 2000))
def test_lips_do_not_move_with_the_head(yaw, pitch, roll, scale, x):
    rng = np.random.default_rng(1)
    mouth = rng.normal(0, 0.4, (lips.POINTS, 3))
    rotation = turned(yaw, pitch, roll)
    head = fit_head(placed(lips._TEMPLATE, rotation, scale, (x, 40, 3)))
    assert np.allclose(head.fix(placed(mouth, rotation, scale, (x, 40, 3))), mouth, atol=2e-3)
    assert head.scale == pytest.approx(scale, rel=1e-3)


def test_angles_have_their_signs():
    # The person turns to their own left: the tip of the nose goes right in the picture.
    assert turned(yaw=0.4)[0, 2] < 0
    head = fit_head(placed(lips._TEMPLATE, turned(yaw=0.4), 50, (0, 0, 0)))
    assert head.yaw == pytest.approx(0.4, abs=1e-3)
    up = fit_head(placed(lips._TEMPLATE, turned(pitch=0.3), 50, (0, 0, 0)))
    assert up.pitch == pytest.approx(0.3, abs=1e-3)
    leaning = fit_head(placed(lips._TEMPLATE, turned(roll=-0.3), 50, (0, 0, 0)))
    assert leaning.roll == pytest.approx(-0.3, abs=1e-3)


@pytest.mark.parametrize("bad", [np.zeros((13, 3)), np.full((13, 3), np.nan), np.ones((4, 3))])
def test_no_head_in_nonsense(bad):
    with pytest.raises(ValueError, match=r"head"):
        fit_head(bad.astype(np.float32))


def test_contour_keeps_first_point_and_even_steps():
    square = np.array([[0, 0], [4, 0], [4, 4], [0, 4]], np.float32)
    ring = contour(square, 16)
    assert ring.shape == (16, 2)
    assert (ring[0] == square[0]).all()
    steps = np.linalg.norm(np.diff(np.concatenate([ring, ring[:1]]), axis=0), axis=1)
    assert np.allclose(steps, 1)


def mouth_row() -> np.ndarray:
    points = np.zeros((3, 3), np.float32)
    points[:, 0] = (-0.25, 0.0, 0.25)
    return points


def test_trust_falls_for_the_far_corner_first():
    looks = {}
    for yaw in (0.0, 0.8, 1.2):
        rotation = turned(yaw)
        head = fit_head(placed(lips._TEMPLATE, rotation, 60, (100, 100, 0)))
        looks[yaw] = trust(head, placed(mouth_row(), rotation, 60, (100, 100, 0)), (200, 200))
    assert (looks[0.0] == 1).all()
    # Turned to their left, the person's left corner is the far one.
    assert looks[0.8][2] < looks[0.8][0] == 1
    assert looks[1.2][2] == 0


def test_trust_knows_size_border_and_presence():
    def at(scale, x, presence=1.0):
        head = fit_head(placed(lips._TEMPLATE, np.eye(3), scale, (x, 100, 0)))
        points = placed(mouth_row(), np.eye(3), scale, (x, 100, 0))
        return trust(head, points, (200, 200), presence)

    assert (at(60, 100) == 1).all()
    assert (at(7, 100) == 0).all()
    assert 0 < at(14, 100)[0] < 1
    assert list(at(60, 199)) == [1, 1, 0]
    assert np.allclose(at(60, 100, 0.6), 0.6)


def sighted(times, value=None):
    count = len(times)
    points = np.zeros((count, lips.POINTS, 3), np.float32)
    points[:, 0, 0] = [float(t) for t in times] if value is None else value
    return resample(times, points, np.ones((count, lips.POINTS), np.float32))


@settings(deadline=None, max_examples=60)
@given(st.integers(15, 60), st.integers(1, 97), st.fractions(0, 1000, max_denominator=90_000))
def test_any_frame_rate_lands_on_the_same_grid(fps, count, start):
    times = [start + Fraction(k, fps) for k in range(count)]
    sequence = sighted(times)
    assert sequence.first == round(times[0] * 25)
    assert len(sequence.points) == round(times[-1] * 25) - sequence.first + 1
    grid = (np.arange(len(sequence.points)) + sequence.first) / 25
    inside = (grid >= float(times[0])) & (grid <= float(times[-1]))
    assert sequence.seen[inside].all()
    assert np.allclose(sequence.points[inside, 0, 0], grid[inside], atol=1e-3)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_gaps_are_marked_and_never_filled(steps):
    """Variable frame rate: steps in hundredths of a second."""
    times = [Fraction(int(t), 100) for t in np.cumsum(steps)]
    sequence = sighted(times)
    for k in range(len(sequence.points)):
        instant = Fraction(sequence.first + k, 25)
        before = max((t for t in times if t <= instant), default=None)
        after = min((t for t in times if t >= instant), default=None)
        close = min(abs(t - instant) for t in times) <= Fraction(1, 50)
        bridged = before is not None and after is not None and after - before <= lips.MAX_GAP_S
        assert sequence.seen[k] == (close or bridged)
    assert (sequence.points[~sequence.seen] == 0).all()


def test_nothing_seen_is_an_empty_sequence():
    assert len(sighted([]).points) == 0
    assert not sighted([]).seen.any()
    assert sighted([]).window(3, 5).points.shape == (5, lips.POINTS, 3)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 53), st.integers(-60, 60), st.integers(0, 120), st.integers(-20, 20))
def test_window_holds_the_same_instants(length, first, frames, start):
    points = np.arange(length, dtype=np.float32)[:, None, None] + np.ones((1, lips.POINTS, 3))
    whole = LipSequence(start, points.astype(np.float32), np.ones((length, lips.POINTS), "f4"))
    part = whole.window(first, frames)
    assert part.first == first
    assert len(part.points) == len(part.confidence) == frames
    for k in range(frames):
        source = first + k - start
        if 0 <= source < length:
            assert part.points[k, 0, 0] == source + 1
            assert part.seen[k]
        else:
            assert not part.points[k].any()
            assert not part.seen[k]


def test_lips_out_of_sight_take_no_memory() -> None:
    """Two hours between two sights of a face: kept densely they would take 124 MB."""
    rng = np.random.default_rng(0)
    times = np.concatenate([np.arange(30) / 25, 7200 + np.arange(20) / 25])
    points = rng.normal(size=(50, lips.POINTS, 3)).astype(np.float32)
    confidence = np.ones((50, lips.POINTS), np.float32)
    found = resample_stretches(times, points, confidence)
    assert [(one.first, len(one.points)) for one in found.stretches] == [(0, 30), (180_000, 20)]
    assert (found.first, found.stop) == (0, 180_020)
    late = found.window(179_998, 10)
    assert late.seen.tolist() == [False, False, *[True] * 8]
    np.testing.assert_array_equal(late.points[2:], points[30:38])
    frames, seen, _ = found.sightings()
    assert frames.tolist() == [*range(30), *range(180_000, 180_020)]
    np.testing.assert_array_equal(seen, points)


@pytest.mark.parametrize("gap_s", [0.5, 3.0])
def test_stretches_are_the_whole(gap_s: float) -> None:
    rng = np.random.default_rng(1)
    times = np.concatenate([0.013 + np.arange(40) / 30, 1.35 + gap_s + np.arange(30) / 30])
    points = rng.normal(size=(70, lips.POINTS, 3)).astype(np.float32)
    confidence = rng.random((70, lips.POINTS)).astype(np.float32)
    apart = resample_stretches(times, points, confidence)
    whole = resample(times, points, confidence)
    assert len(apart.stretches) == (2 if gap_s > 1 else 1)
    assert apart.first == whole.first
    np.testing.assert_array_equal(apart.points, whole.points)
    np.testing.assert_array_equal(apart.confidence, whole.confidence)
    np.testing.assert_array_equal(apart.seen, whole.seen)
    assert Lips(()).window(3, 4).points.shape == (4, lips.POINTS, 3)
