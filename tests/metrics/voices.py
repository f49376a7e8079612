"""Signals that metrics of speech can measure: harmonics that come and go."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def voice(seed: int, seconds: float, rate_hz: int = 16_000) -> FloatArray:
    """(samples,): syllables of a voice, the same for the same seed, and a little noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    pitch = rng.uniform(90, 240)
    envelope = np.clip(np.sin(2 * np.pi * rng.uniform(2, 4) * time + rng.uniform(0, 6)), 0, None)
    count = int(min(24, rate_hz / 2 // pitch))
    tones = (
        np.sin(2 * np.pi * pitch * k * (time + 0.004 * np.sin(4 * time)) + rng.uniform(0, 6)) / k
        for k in range(1, count)
    )
    noise = 1e-4 * rng.standard_normal(time.size)
    return np.asarray(0.1 * envelope * sum(tones) + noise, np.float64)
