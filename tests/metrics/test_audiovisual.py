"""The wrong person, the ignored face, the noisy silence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avse.metrics import Score, face_contrast, silent_level, wrong_speaker

A, B, C = np.random.default_rng(0).standard_normal((3, 8000))


def test_whose_voice() -> None:
    assert wrong_speaker(A + 0.5 * B, A, [B]) == Score(0.0)
    assert wrong_speaker(0.5 * A + B, A, [B]) == Score(1.0)
    assert wrong_speaker(0.5 * A + C, A, [B, C]) == Score(1.0)
    assert wrong_speaker(A, A, [B]) == Score(0.0)
    assert wrong_speaker(B, A, [B]) == Score(1.0)
    assert "nobody else" in str(wrong_speaker(A, A, []).reason)
    assert "silent" in str(wrong_speaker(np.zeros(8000), A, [B]).reason)


@given(gain=st.floats(0.01, 100))
@settings(max_examples=20, deadline=None)
def test_contrast_of_identical_answers_is_none(gain: float) -> None:
    assert face_contrast([A, gain * A]).value == pytest.approx(0, abs=1e-9)
    assert face_contrast([A, -gain * A]).value == pytest.approx(0, abs=1e-9)


def test_contrast() -> None:
    assert face_contrast([A, B]).value == pytest.approx(1, abs=0.01)
    assert face_contrast([A, A + B]).value == pytest.approx(0.5, abs=0.02)
    assert face_contrast([A, A, B]).value == pytest.approx(2 / 3, abs=0.02)
    assert face_contrast([A, np.zeros(8000)]) == Score(1.0)
    assert "silent" in str(face_contrast([np.zeros(8000)] * 2).reason)
    assert "fewer than two" in str(face_contrast([A]).reason)
    assert "length" in str(face_contrast([A, B[:-1]]).reason)


def test_level_in_silence() -> None:
    target = np.where(np.arange(8000) < 4000, A, 0)
    mixture = target + B
    for db in (0.0, -6.0, -30.0):
        estimate = target + 10 ** (db / 20) * B
        # The frames around the end of the target are not silent.
        assert silent_level(estimate, target, mixture, 16_000).value == pytest.approx(db, abs=0.1)
    assert silent_level(target, target, mixture, 16_000) == Score(-100.0)
    assert silent_level(B, np.zeros(8000), B, 16_000) == Score(0.0)


def test_level_in_noisy_silence() -> None:
    target = np.where(np.arange(8000) < 4000, A, 0.03 * A)  # 30 dB down
    found = silent_level(target + 0.1 * B, target, target + B, 16_000).value
    assert found == pytest.approx(-20, abs=0.7)


def test_no_silence_no_level() -> None:
    target = np.where(np.arange(8000) < 4000, A, 0)
    short = np.where(np.arange(8000) < 5500, A, 0)
    why = "target is silent and others speak"
    for reference, mixture in ((A, A + B), (target, target), (short, short + B)):
        assert why in str(silent_level(A, reference, mixture, 16_000).reason)
    assert "lengths" in str(silent_level(A[:-1], A, A, 16_000).reason)
    assert silent_level(np.zeros(0), np.zeros(0), np.zeros(0), 16_000).value is None
