"""The short-time Fourier transform (STFT) of the network.

The hop and the window follow from the video rate: four hops per video frame, four hops per window.
At 25 frames per second this is a hop of 10 ms, a window of 40 ms, and bins 25 Hz apart, which every
sample rate that is a multiple of 100 Hz allows exactly.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import numpy as np

from avse.types import ComplexArray, FloatArray

if TYPE_CHECKING:  # separation on a CPU does without PyTorch
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

_LEAST_WEIGHT = 1e-11
"""The sum of squared windows below which `torch.istft` refuses to divide."""


def analysis_window(window: int = WINDOW, *, device: torch.device | None = None) -> Tensor:
    """Square root of the periodic Hann window, (window,); overlapping, its squares add up to 2."""
    import torch

    return torch.tensor(_window(window), device=device)


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
    import torch

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
    import torch

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


def stft_frames(signal: FloatArray, window: int, hop: int) -> ComplexArray:
    """`stft` with NumPy and without padding: frame m begins at sample m·hop.

    Args:
        signal: (channels, samples) float32.
        window: length of the analysis window in samples.
        hop: samples from one frame to the next.

    Returns:
        (channels, bins, frames) complex64, of all frames that lie within the signal.
    """
    frames = np.lib.stride_tricks.sliding_window_view(signal, window, axis=-1)[:, ::hop]
    spectrum = np.fft.rfft(frames * _window(window), axis=-1)
    out: ComplexArray = np.ascontiguousarray(spectrum.swapaxes(1, 2), np.complex64)
    return out


def istft_frames(spectrum: ComplexArray, window: int, hop: int) -> FloatArray:
    """The inverse of `stft_frames`: weighted overlap-add, divided by the sum of the weights.

    Args:
        spectrum: (channels, bins, frames) complex64.
        window: length of the window in samples, a multiple of `hop`.
        hop: samples from one frame to the next.

    Returns:
        (channels, samples) float32, from the first sample of the first frame to the last sample of
        the last frame. A sample to which no window gives weight is 0.
    """
    channels, _, count = spectrum.shape
    overlaps, weight = window // hop, _window(window)
    frames = np.fft.irfft(spectrum.swapaxes(1, 2), window, axis=-1).astype(np.float32, copy=False)
    frames *= weight
    parts = frames.reshape(channels, count, overlaps, hop)
    out = np.zeros((channels, count + overlaps - 1, hop), np.float32)
    weights = np.zeros((count + overlaps - 1, hop), np.float32)
    for n in range(overlaps):
        out[:, n : n + count] += parts[:, :, n]
        weights[n : n + count] += np.square(weight).reshape(overlaps, hop)[n]
    out /= np.maximum(weights, _LEAST_WEIGHT)
    return out.reshape(channels, (count + overlaps - 1) * hop)


@lru_cache(maxsize=8)
def _window(window: int) -> FloatArray:
    """`analysis_window` with NumPy."""
    phase = 2 * math.pi * np.arange(window) / window
    return np.asarray(np.sqrt(0.5 - 0.5 * np.cos(phase)), np.float32)


def spectrum_level(spectrum: ComplexArray | FloatArray) -> FloatArray:
    """Root mean square magnitude over bins and frames, at least 1e-6.

    Args:
        spectrum: (..., bins, frames).

    Returns:
        (..., 1, 1) float32.
    """
    power = np.square(np.abs(spectrum)).mean(axis=(-2, -1), keepdims=True)
    return np.asarray(np.maximum(np.sqrt(power), 1e-6), np.float32)


def mel_filters(bands: int, low_hz: float = 80.0, high_hz: float = 7600.0) -> FloatArray:
    """Triangular mel filters on the mel scale of HTK, (bands, BINS).

    Args:
        bands: number of filters.
        low_hz, high_hz: lower edge of the first filter and upper edge of the last.
    """
    low, high = (2595.0 * math.log10(1 + hz / 700) for hz in (low_hz, high_hz))
    edges = 700.0 * (10.0 ** (np.linspace(low, high, bands + 2) / 2595.0) - 1)
    slopes = edges - np.linspace(0, SAMPLE_RATE / 2, BINS)[:, None]
    steps = np.diff(edges)
    falling, rising = slopes[:, 2:] / steps[1:], -slopes[:, :-2] / steps[:-1]
    return np.ascontiguousarray(np.minimum(falling, rising).clip(min=0).T, np.float32)
