"""Mixtures are seeded, people are whole, and sound stays sound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from avse.data.clips import SAMPLES_PER_FRAME, MemoryClips, principal_components
from avse.dsp.stft import BINS, SAMPLE_RATE
from avse.training.mixing import Mixer, compress
from avse.training.separation_stage import speaking

from .conftest import SHORT, MemorySounds


def test_the_same_seed_draws_the_same_mixtures(sounds: MemorySounds) -> None:
    mixer = Mixer(sounds, sounds, SHORT)
    one, again = (mixer.draw(np.random.default_rng(3), 4) for _ in range(2))
    other = mixer.draw(np.random.default_rng(4), 4)
    assert torch.equal(one.sources, again.sources)
    assert torch.equal(one.tilt, again.tilt)
    assert not torch.equal(one.sources, other.sources)
    assert one.sources.shape == (4, 4, SHORT.samples)
    assert one.tilt.shape == (4, 4, BINS)
    # A voice is there exactly where it is said to be.
    assert torch.equal(one.sources[:, :-1].abs().amax(-1) > 0, one.present > 0)


def test_compression_evens_out_loudness() -> None:
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    x = np.asarray(np.sin(2 * np.pi * 300 * time) * np.where(time < 0.5, 1.0, 0.1), np.float32)

    def step_db(y: np.ndarray) -> float:  # type: ignore[type-arg]
        half = len(y) // 2
        return float(10 * np.log10(np.mean(y[:half] ** 2) / np.mean(y[half:] ** 2)))

    assert step_db(compress(x, 0.0)) == pytest.approx(20, abs=0.1)
    assert step_db(compress(x, 0.5)) == pytest.approx(10, abs=1)
    assert not compress(np.zeros(100, np.float32), 0.5).any()


def test_components_are_white(clips: MemoryClips) -> None:
    mean, components, scale = principal_components(clips.clips, 3)
    x = np.concatenate([clip.lips.reshape(-1, 129) for clip in clips.clips])
    z = (x - mean) @ components.T / scale
    np.testing.assert_allclose(np.cov(z.T), np.eye(3), atol=0.1)


def test_speaking_is_where_the_voice_is() -> None:
    x = torch.zeros(1, 10 * SAMPLES_PER_FRAME)
    x[:, 3 * SAMPLES_PER_FRAME : 5 * SAMPLES_PER_FRAME] = 0.1
    assert speaking(x)[0].nonzero().flatten().tolist() == [3, 4]
    assert not speaking(0 * x).any()
