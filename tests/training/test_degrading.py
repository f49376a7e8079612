"""Rooms, speeds, overload and codecs: in step with the original, and the same for the same seed."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from avse.data.clips import MemoryClips
from avse.dsp.stft import SAMPLE_RATE
from avse.errors import UsageError
from avse.training.degradation import CODECS, change_speed, overload, through_codec
from avse.training.mixing import Mixer, MixSettings
from avse.training.rooms import draw_room, reverberate, tail
from avse.training.talking_mixtures import FaceSettings, TalkingMixer

from .conftest import SHORT, MemorySounds


@pytest.fixture
def bursts() -> np.ndarray:  # type: ignore[type-arg]
    """Noise below 3 kHz that comes and goes, two seconds."""
    rng = np.random.default_rng(0)
    smooth = np.convolve(rng.standard_normal(2 * SAMPLE_RATE), np.ones(4) / 4, "same")
    loud = np.repeat(rng.uniform(0, 1, 40), SAMPLE_RATE // 20)
    return np.asarray(0.1 * smooth * loud, np.float32)


def test_speed_changes_length_and_pitch() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 400 * time).astype(np.float32)
    fast = change_speed(tone, 1.1)
    assert len(fast) == pytest.approx(len(tone) / 1.1, abs=2)
    peak = np.abs(np.fft.rfft(fast)).argmax() * SAMPLE_RATE / len(fast)
    assert peak == pytest.approx(440, abs=2)


def test_overload_cuts_off_the_loudest(bursts: np.ndarray) -> None:  # type: ignore[type-arg]
    cut = overload(bursts, 0.02)
    assert np.mean(np.abs(cut) >= np.abs(cut).max()) == pytest.approx(0.02, abs=0.002)
    quiet = np.abs(bursts) < np.abs(cut).max()
    np.testing.assert_array_equal(cut[quiet], bursts[quiet])


@pytest.mark.parametrize("which", range(len(CODECS)))
def test_codecs_stay_in_step(bursts: np.ndarray, which: int) -> None:  # type: ignore[type-arg]
    heard = through_codec(bursts, which, 1.0)
    assert heard.shape == bursts.shape
    lags = [np.vdot(np.roll(bursts, lag), heard) for lag in range(-3, 4)]
    assert np.argmax(lags) == 3
    assert np.corrcoef(bursts, heard)[0, 1] > 0.9
    assert not np.array_equal(heard, bursts)
    assert not through_codec(np.zeros(4000, np.float32), which, 0.5).any()


@pytest.mark.parametrize("kind", ["tail", "image"])
def test_rooms_begin_with_the_direct_sound(kind: str) -> None:
    if kind == "image":
        pytest.importorskip("pyroomacoustics")
    room = draw_room(np.random.default_rng(1), kind)
    here, there = room(np.random.default_rng(2)), room(np.random.default_rng(3))
    again = draw_room(np.random.default_rng(1), kind)(np.random.default_rng(2))
    np.testing.assert_array_equal(here, again)
    for response in (here, there):
        assert response[0] == pytest.approx(1)
        assert np.isfinite(response).all()
        assert len(response) > 0.02 * SAMPLE_RATE
    count = min(len(here), len(there))
    assert not np.array_equal(here[:count], there[:count])


def test_reverberation_keeps_the_length() -> None:
    x = np.zeros(1000, np.float32)
    x[100] = 1
    wet = reverberate(x, tail(np.random.default_rng(0)))
    assert wet.shape == x.shape
    assert wet[100] == pytest.approx(1, abs=1e-4)
    assert np.abs(wet[:100]).max() < 1e-4


def test_mixtures_that_went_through_everything(sounds: MemorySounds, clips: MemoryClips) -> None:
    worn = dataclasses.replace(
        SHORT, speed_probability=1.0, clipping_probability=1.0, codec_probability=1.0
    )
    talking = TalkingMixer(clips, None, worn, FaceSettings())
    for draw in (
        Mixer(sounds, None, worn).draw,
        lambda rng, size: talking.draw(rng, size).batch,
    ):
        first, second = (draw(np.random.default_rng(3), 2) for _ in range(2))
        assert torch.equal(first.sources, second.sources)
        # There is no noise in them but what overload and codec have added.
        assert (first.sources[:, -1].abs().amax(-1) > 0).all()
        added = first.sources[:, -1].square().sum(-1)
        assert (added < first.sources.sum(1).square().sum(-1)).all()


def test_a_kind_of_room_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="cathedral"):
        MixSettings(rooms="cathedral")
