"""The short-time Fourier transform that the network is built on.

The grid follows from the video: four hops a video frame, four hops a window. At any sample rate
that is a multiple of 100 Hz the same grid (10 ms hop, 40 ms window, bins 25 Hz apart) holds
exactly.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor

SAMPLE_RATE: Final = 16_000
"""Rate the network listens at, Hz."""

VIDEO_RATE: Final = 25
"""Rate of the lip frames, Hz."""

HOPS_PER_VIDEO_FRAME: Final = 4
HOPS_PER_WINDOW: Final = 4
HOP: Final = SAMPLE_RATE // (VIDEO_RATE * HOPS_PER_VIDEO_FRAME)
WINDOW: Final = HOPS_PER_WINDOW * HOP
BINS: Final = WINDOW // 2 + 1
FRAME_RATE: Final = SAMPLE_RATE // HOP
"""STFT frames a second."""


def analysis_window(window: int = WINDOW, *, device: torch.device | None = None) -> Tensor:
    """Square root of the periodic Hann window: (window,), its squares add up to a constant."""
    return (
        torch.hann_window(window, periodic=True, dtype=torch.float64, device=device).sqrt().float()
    )


def stft(signal: Tensor, *, window: int = WINDOW, hop: int = HOP) -> Tensor:
    """Transform to time and frequency.

    Frame m is centred on sample m·hop; beyond both ends the signal is taken to be 0.

    Args:
        signal: (..., samples), real.
        window: length of the analysis window in samples.
        hop: distance of frames in samples.

    Returns:
        (..., window // 2 + 1, samples // hop + 1), complex.
    """
    flat = signal.flatten(0, -2) if signal.dim() > 1 else signal[None]
    if not len(flat):  # which the library refuses
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
    """Invert `stft`.

    Args:
        spectrum: (..., bins, frames), complex.
        samples: length to give.
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
    """Triangular mel filters, on HTK's scale: (bands, BINS)."""
    low, high = (2595.0 * math.log10(1 + hz / 700) for hz in (low_hz, high_hz))
    with torch.device("cpu"):  # values, also where networks are built without any
        edges = 700.0 * (10.0 ** (torch.linspace(low, high, bands + 2) / 2595.0) - 1)
        slopes = edges - torch.linspace(0, SAMPLE_RATE / 2, BINS)[:, None]
        steps = edges.diff()
        falling, rising = slopes[:, 2:] / steps[1:], -slopes[:, :-2] / steps[:-1]
        filters = torch.minimum(falling, rising).clamp(min=0)
    return filters.T.contiguous()
