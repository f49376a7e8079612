from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avse.media import Resampler, resample

ODD = [(48001, 16000), (7919, 16000), (192001, 16000), (44101, 48000)]
RATES = [(48000, 16000), (44100, 16000), (8000, 16000), (16000, 16000), (22050, 16000)]
LENGTHS = [0, 1, 2, 15999, 16000, 16001, 40009]


def _noise(count, channels=1, seed=0):
    noise = np.random.default_rng(seed).standard_normal((channels, count))
    return (0.1 * noise).astype(np.float32)


@pytest.mark.parametrize(("from_hz", "to_hz"), [*RATES, *ODD])
@pytest.mark.parametrize("count", LENGTHS)
def test_length(from_hz, to_hz, count):
    assert resample(_noise(count, 2), from_hz, to_hz).shape == (2, -(-count * to_hz // from_hz))


@pytest.mark.parametrize(("from_hz", "to_hz"), [*RATES, *ODD, (16000, 44100), (44100, 48000)])
def test_no_lag_and_no_change_of_level(from_hz, to_hz):
    """A tone comes out as the same tone, sample 0 at the same instant."""
    time = np.arange(from_hz) / from_hz
    tone = np.sin(2 * np.pi * 997 * time + 0.3)[None].astype(np.float32)
    made = resample(tone, from_hz, to_hz)[0]
    expected = np.sin(2 * np.pi * 997 * np.arange(to_hz) / to_hz + 0.3)
    inner = slice(to_hz // 50, -to_hz // 50)  # the ends ring: silence lies beyond them
    assert np.abs(made[inner] - expected[inner]).max() < 2e-5


@pytest.mark.parametrize("from_hz", [48000, 48001, 192001])
def test_what_the_new_rate_cannot_hold_is_removed(from_hz):
    time = np.arange(from_hz) / from_hz
    tone = np.sin(2 * np.pi * 8500 * time)[None].astype(np.float32)
    made = resample(tone, from_hz, 16000)[0]
    assert np.abs(made[400:-400]).max() < 1e-4


@settings(max_examples=40, deadline=None)
@given(
    rates=st.sampled_from([*RATES, (44100, 22051), (44100, 44101)]),
    count=st.integers(0, 70000),
    cuts=st.lists(st.integers(0, 70000), max_size=6),
)
def test_streaming_equals_the_whole(rates, count, cuts):
    sound = _noise(count, 2)
    resampler = Resampler(*rates, 2)
    pieces = [resampler.push(piece) for piece in np.split(sound, sorted(cuts), axis=1)]
    streamed = np.concatenate([*pieces, resampler.flush()], axis=1)
    whole = resample(sound, *rates)
    assert streamed.dtype == np.float32
    assert streamed.shape == whole.shape
    assert np.abs(streamed - whole).max(initial=0) <= 1e-6


@pytest.mark.parametrize("from_hz", [44100, 44101, 192001])
def test_what_is_held_back_stays_small(from_hz):
    resampler = Resampler(from_hz, 16000, 1)
    put = taken = 0
    for _ in range(100):
        put += 4410
        taken += resampler.push(_noise(4410)).shape[1]
        assert put / from_hz - taken / 16000 < 0.2


@pytest.mark.parametrize(
    ("from_hz", "to_hz"), [(999_983, 16000), (16000, 999_983), (8, 16000), (768_000, 800)]
)
def test_rates_with_nothing_in_common(from_hz, to_hz):
    count = min(max(from_hz * 20, 1000), 300_000)
    steady = resample(np.full((1, count), 0.25, np.float32), from_hz, to_hz)[0]
    assert len(steady) == -(-count * to_hz // from_hz)
    inner = len(steady) // 3
    assert np.abs(steady[inner : len(steady) - inner] - 0.25).max(initial=0) < 1e-4


def test_agrees_with_torchaudio():
    functional = pytest.importorskip("torchaudio.functional")
    torch = pytest.importorskip("torch")
    time = np.arange(44100) / 44100
    tone = np.sin(2 * np.pi * 440 * time)[None].astype(np.float32)
    theirs = functional.resample(torch.from_numpy(tone), 44100, 16000).numpy()
    ours = resample(tone, 44100, 16000)
    assert theirs.shape == ours.shape
    assert np.abs(theirs - ours)[:, 200:-200].max() < 5e-3


@pytest.mark.parametrize("arguments", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_arguments_are_checked(arguments):
    with pytest.raises(ValueError, match="at least 1"):
        Resampler(*arguments)
