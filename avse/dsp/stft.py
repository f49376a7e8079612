"""The short-time Fourier transform (STFT) of the network.

The hop and the window follow from the video rate: four hops per video frame, four hops per window.
At 25 frames per second this is a hop of 10 ms, a window of 40 ms, and bins 25 Hz apart, which every
sample rate that is a multiple of 100 Hz allows exactly.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

SAMPLE_RATE: Final = 16_000
"""Sample rate of the network's input, Hz."""

VIDEO_RATE: Final = 25
"""Rate of the lip frames, Hz."""

HOPS_PER_VIDEO_FRAME: Final = 4
HOPS_PER_WINDOW: Final = 4
HOP: Final = SAMPLE_RATE // (VIDEO_RATE * HOPS_PER_VIDEO_FRAME)
WINDOW: Final = HOPS_PER_WINDOW * HOP
BINS: Final = WINDOW // 2 + 1
FRAME_RATE: Final = SAMPLE_RATE // HOP
"""STFT frames per second."""


def analysis_window(window: int = WINDOW, *, device: torch.device | None = None) -> Tensor:
    """Square root of the periodic Hann window, (window,); overlapping, its squares add up to 2."""
    return (
        torch.hann_window(window, periodic=True, dtype=torch.float64, device=device).sqrt().float()
    )


def stft(signal: Tensor, *, window: int = WINDOW, hop: int = HOP) -> Tensor:
    """Compute the short-time Fourier transform.

    Frame m is centred on sample m·hop; before and after the signal, samples are taken to be 0.

    Args:
        signal: (..., samples), real.
        window: length of the analysis window in samples.
        hop: samples from one frame to the next.

    Returns:
        (..., window // 2 + 1, samples // hop + 1), complex.
    """
    flat = signal.flatten(0, -2) if signal.dim() > 1 else signal[None]
    if not len(flat):  # torch.stft refuses an empty batch
        shape = (*signal.shape[:-1], window // 2 + 1, signal.shape[-1] // hop + 1)
        return torch.zeros(shape, dtype=torch.complex64, device=signal.device)
    spectrum = torch.stft(
        flat,
        n_fft=window,
        hop_length=hop,
        window=analysis_window(window, device=signal.device),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    return spectrum.reshape(*signal.shape[:-1], *spectrum.shape[-2:])


def istft(spectrum: Tensor, samples: int, *, window: int = WINDOW, hop: int = HOP) -> Tensor:
    """Compute the inverse of `stft`.

    Args:
        spectrum: (..., bins, frames), complex.
        samples: length of the result.
        window: as given to `stft`.
        hop: as given to `stft`.

    Returns:
        (..., samples), real.
    """
    flat = spectrum.reshape(-1, *spectrum.shape[-2:])
    signal = torch.istft(
        flat,
        n_fft=window,
        hop_length=hop,
        window=analysis_window(window, device=spectrum.device),
        center=True,
        length=samples,
    )
    return signal.reshape(*spectrum.shape[:-2], samples)


def mel_filters(bands: int, low_hz: float = 80.0, high_hz: float = 7600.0) -> Tensor:
    """Triangular mel filters on the mel scale of HTK, (bands, BINS).

    Args:
        bands: number of filters.
        low_hz, high_hz: lower edge of the first filter and upper edge of the last.
    """
    low, high = (2595.0 * math.log10(1 + hz / 700) for hz in (low_hz, high_hz))
    with torch.device("cpu"):  # real values, also while a network is built on the meta device
        edges = 700.0 * (10.0 ** (torch.linspace(low, high, bands + 2) / 2595.0) - 1)
        slopes = edges - torch.linspace(0, SAMPLE_RATE / 2, BINS)[:, None]
        steps = edges.diff()
        falling, rising = slopes[:, 2:] / steps[1:], -slopes[:, :-2] / steps[:-1]
        filters = torch.minimum(falling, rising).clamp(min=0)
    return filters.T.contiguous()
