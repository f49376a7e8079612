"""The six lines against their own definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avse.metrics import si_sdr


@given(gain=st.floats(1e-3, 1e3), offset=st.floats(-1, 1), seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_gain_and_offset_do_not_matter(gain: float, offset: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, noise = rng.standard_normal((2, 500))
    expected = si_sdr(reference + 0.3 * noise, reference)
    assert si_sdr(gain * (reference + 0.3 * noise) + offset, reference) == pytest.approx(expected)


def test_a_known_ratio() -> None:
    reference = np.tile([1.0, -1.0], 100)
    noise = np.tile([1.0, 1.0, -1.0, -1.0], 50)  # orthogonal, and zero-mean
    assert si_sdr(reference + 0.1 * noise, reference) == pytest.approx(20)
    assert si_sdr(reference, reference) == math.inf


def test_silence_is_not_a_number_but_none() -> None:
    tone = np.sin(np.arange(100))
    assert si_sdr(np.zeros(100), tone) is None
    assert si_sdr(tone, np.zeros(100)) is None
    assert si_sdr(np.zeros(0), np.zeros(0)) is None
    with pytest.raises(ValueError, match="shapes"):
        si_sdr(tone, tone[:-1])
