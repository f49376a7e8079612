"""Oracle masks: upper bounds for masks on the network's STFT, computed from the reference.

The grid is that of `avse.dsp.stft` at the recording's own rate: 10 ms hop, 40 ms root-Hann window.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from avse.types import FloatArray

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
    import torch

    from avse.dsp.stft import FRAME_RATE, HOPS_PER_WINDOW, istft, stft

    hop = max(1, round(rate_hz / FRAME_RATE))
    window = HOPS_PER_WINDOW * hop
    both = torch.from_numpy(np.stack([mixture, reference]))
    x, s = stft(both, window=window, hop=hop)
    # Where the mixture is silent, every estimate is silent too.
    ratio = torch.where(x.abs() > 1e-10, s / torch.where(x.abs() > 1e-10, x, 1.0), 0.0)
    size = ratio.abs()
    masks: dict[str, Callable[[], torch.Tensor]] = {
        "magnitude-mask": lambda: size.clamp(max=1.0),
        "phase-sensitive-mask": lambda: ratio.real.clamp(0.0, 1.0),
        "complex-mask": lambda: ratio / size.clamp_min(1.0),
    }
    samples = mixture.shape[-1]
    return {
        name: istft(make() * x, samples, window=window, hop=hop).numpy()
        for name, make in masks.items()
    }
