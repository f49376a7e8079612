"""Oracle masks: upper bounds for masks on the network's STFT, computed from the reference.

The grid is that of `avse.dsp.stft` at the recording's own rate: 10 ms hop, 40 ms root-Hann window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from avse.types import ComplexArray, FloatArray

CEILINGS: Mapping[str, str] = {
    "magnitude-mask": "oracle magnitude mask min(1, |S|/|X|), phase of the mixture",
    "phase-sensitive-mask": "oracle phase-sensitive mask, |S|/|X| cos(angle), cut to 0..1",
    "complex-mask": "oracle complex mask S/X, magnitude cut to 1, as our network's is",
}
"""System -> description. S is the STFT of the reference, X that of the mixture."""


def oracles(mixture: FloatArray, reference: FloatArray, rate_hz: int) -> dict[str, FloatArray]:
    """The estimates of each oracle mask.

    Args:
        mixture: (samples,).
        reference: (samples,).
        rate_hz: sample rate of both.

    Returns:
        System -> (samples,).
    """
    from avse.dsp.stft import FRAME_RATE, HOPS_PER_WINDOW, istft_frames, stft_frames

    hop = max(1, round(rate_hz / FRAME_RATE))
    window = HOPS_PER_WINDOW * hop
    beside = window // 2
    both = np.stack([mixture, reference]).astype(np.float32, copy=False)
    x, s = stft_frames(np.pad(both, ((0, 0), (beside, beside))), window, hop)
    # Where the mixture is silent, every estimate is silent too.
    there = np.abs(x) > 1e-10
    ratio = np.where(there, s / np.where(there, x, 1), 0)
    size = np.abs(ratio)
    masks: dict[str, Callable[[], ComplexArray | FloatArray]] = {
        "magnitude-mask": lambda: np.minimum(size, 1),
        "phase-sensitive-mask": lambda: np.clip(ratio.real, 0, 1),
        "complex-mask": lambda: ratio / np.maximum(size, 1),
    }
    here = slice(beside, beside + mixture.shape[-1])
    return {
        name: istft_frames((make() * x)[None], window, hop)[0, here] for name, make in masks.items()
    }
