"""What the ratios forgive, and what not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avse.metrics import find_lag, sdr_score, si_sdr_score

from .voices import voice

SEEDS = st.integers(0, 2**31)


@given(gain=st.floats(1e-2, 1e2), turned=st.booleans(), seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_gain_does_not_matter_to_si_sdr(gain: float, turned: bool, seed: int) -> None:
    reference, noise = np.random.default_rng(seed).standard_normal((2, 500))
    estimate = reference + 0.3 * noise
    factor = -gain if turned else gain
    expected = si_sdr_score(estimate, reference).value
    assert si_sdr_score(factor * estimate, reference).value == pytest.approx(expected)
    assert si_sdr_score(estimate, factor * reference).value == pytest.approx(expected)


@given(taps=st.integers(1, 500), seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_short_filters_do_not_matter_to_sdr(taps: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, noise = rng.standard_normal((2, 12_000))
    reference[-512:] = 0  # so that nothing of the filter is cut off
    filtered = np.convolve(reference, rng.standard_normal(taps))[:12_000]
    noise *= np.linalg.norm(filtered) / np.linalg.norm(noise) * 10 ** (-10 / 20)
    # Of white noise, 512 of 12,000 dimensions count as signal.
    assert sdr_score(filtered + noise, reference).value == pytest.approx(10, abs=0.5)
    clean = sdr_score(filtered, reference).value
    assert clean is None or clean > 60


@given(gain=st.floats(1e-2, 1e2), seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_gain_does_not_matter_to_sdr(gain: float, seed: int) -> None:
    reference, noise = np.random.default_rng(seed).standard_normal((2, 2000))
    expected = sdr_score(reference + noise, reference).value
    assert sdr_score(gain * (reference + noise), reference).value == pytest.approx(expected)


def test_sdr_is_never_below_si_sdr() -> None:
    for seed in range(10):
        reference, other = voice(seed, 0.5), voice(seed + 50, 0.5)
        estimate = reference + other
        free, strict = sdr_score(estimate, reference).value, si_sdr_score(estimate, reference).value
        assert free is not None
        assert strict is not None
        assert free > strict - 0.01


@given(lag=st.integers(-4000, 4000), seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_lags_are_found(lag: int, seed: int) -> None:
    long = np.random.default_rng(seed).standard_normal(20_000)
    reference, estimate = long[4000:16_000], long[4000 - lag : 16_000 - lag]
    found = find_lag(-2 * estimate, reference, 16_000)
    assert found is not None
    assert (found.samples, found.seconds) == (lag, lag / 16_000)
    assert 0.5 < found.correlation <= 1


def test_no_lag_where_there_is_nothing_in_common() -> None:
    a, b = np.random.default_rng(0).standard_normal((2, 8000))
    assert find_lag(a, b, 16_000) is None
    assert find_lag(np.zeros(8000), b, 16_000) is None
    assert find_lag(np.zeros(0), b, 16_000) is None
    longer = find_lag(np.pad(b, (0, 100)), b, 16_000)
    assert longer is not None
    assert longer.samples == 0
    assert math.isclose(longer.correlation, 1)
