"""Apply masks to a recording at its own sample rate, in all its channels.

Masks have a grid of 10 ms × 25 Hz, whatever the recording's sample rate. The STFT of the recording
has the same grid for rates that are a multiple of 100 Hz; for other rates the masks are
interpolated. Stereo, 48 kHz and the exact length are kept, and a mask of ones reproduces the
recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avse.dsp.overlap_add import StreamingISTFT, StreamingSTFT
from avse.dsp.stft import BINS, FRAME_RATE, HOPS_PER_WINDOW, SAMPLE_RATE, WINDOW
from avse.types import ComplexArray, FloatArray

TOP_BAND = slice((BINS - 1) * 7 // 8, BINS - 1)
"""Bins of 7 to 8 kHz; bins above 8 kHz get their mean."""


@dataclass(frozen=True)
class Grid:
    """The STFT grid at a sample rate, and its relation to the 10 ms × 25 Hz grid of the masks."""

    rate_hz: int

    @property
    def hop(self) -> int:
        """Hop length in samples."""
        return max(1, round(self.rate_hz / FRAME_RATE))

    @property
    def window(self) -> int:
        """Window length in samples."""
        return HOPS_PER_WINDOW * self.hop

    def frame_position(self, frame: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
        """Position of a frame on the time axis of the masks, in frames of 10 ms."""
        return frame * (self.hop * FRAME_RATE / self.rate_hz)

    def bins(self, masks: ComplexArray) -> ComplexArray:
        """Map masks (..., BINS, frames) to the bins of the STFT (..., window // 2 + 1, frames)."""
        count = self.window // 2 + 1
        position = np.arange(count) * (self.rate_hz / self.window) / (SAMPLE_RATE / WINDOW)
        low = np.clip(np.floor(position + 1e-9).astype(int), 0, BINS - 2)
        share = np.clip(position - low, 0, 1).astype(np.float32)[:, None]
        out = masks[..., low, :] * (1 - share) + masks[..., low + 1, :] * share
        above = position > BINS - 1 + 1e-9
        if above.any():
            out[..., above, :] = np.abs(masks[..., TOP_BAND, :]).mean(axis=-2, keepdims=True)
        return np.asarray(out, np.complex64)


class MaskApplier:
    """Applies masks to a recording at its own rate and channels, block by block.

    Args:
        rate_hz: sample rate of the recording.
        channels: number of channels of the recording.
        stems: number of masks.
    """

    def __init__(self, rate_hz: int, channels: int, stems: int) -> None:
        self.grid = Grid(rate_hz)
        self.channels, self.stems = channels, stems
        self.forward = StreamingSTFT(channels, self.grid.window, self.grid.hop)
        self.back = StreamingISTFT(stems * channels, self.grid.window, self.grid.hop)
        self.masks: ComplexArray = np.zeros((stems, BINS, 0), np.complex64)
        self.mask_first = 0
        self.spectra: ComplexArray = np.zeros(
            (channels, self.grid.window // 2 + 1, 0), np.complex64
        )
        self.frame = 0

    def push_audio(self, samples: FloatArray) -> None:
        """Append sound of the recording: (channels, n)."""
        self.spectra = np.concatenate([self.spectra, self.forward.push(samples)], axis=-1)

    def push_masks(self, masks: ComplexArray) -> None:
        """Append masks: (stems, BINS, frames)."""
        self.masks = np.concatenate([self.masks, masks], axis=-1)

    def wants_audio(self) -> bool:
        """Whether masks wait for sound."""
        return self.spectra.shape[-1] == 0 or self._ready() == self.spectra.shape[-1]

    def apply(self) -> FloatArray:
        """Compute what is possible so far: (stems, channels, n)."""
        return self._shape(self.back.push(self._masked(self._ready())))

    def finish(self) -> FloatArray:
        """Compute the rest, up to the length of the recording: (stems, channels, n)."""
        if self.forward.samples == 0:
            return np.zeros((self.stems, self.channels, 0), np.float32)
        self.spectra = np.concatenate([self.spectra, self.forward.finish()], axis=-1)
        parts = [self.back.push(self._masked(self.spectra.shape[-1]))]
        parts.append(self.back.finish(self.forward.samples))
        return self._shape(np.concatenate(parts, axis=-1))

    def _shape(self, samples: FloatArray) -> FloatArray:
        return samples.reshape(self.stems, self.channels, samples.shape[-1])

    def _ready(self) -> int:
        """Number of waiting frames with all the masks that they need."""
        last = self.mask_first + self.masks.shape[-1] - 1
        count = self.spectra.shape[-1]
        positions = self.grid.frame_position(np.arange(self.frame, self.frame + count))
        return int(np.searchsorted(positions, last + 1e-9, side="right"))

    def _masked(self, count: int) -> ComplexArray:
        """Masked spectra (stems × channels, bins, count)."""
        part, self.spectra = self.spectra[..., :count], self.spectra[..., count:]
        bins = self.grid.window // 2 + 1
        if count == 0:
            return np.zeros((self.stems * self.channels, bins, 0), np.complex64)
        position = self.grid.frame_position(np.arange(self.frame, self.frame + count))
        self.frame += count
        last = self.masks.shape[-1] - 1
        low = np.clip(np.floor(position + 1e-9).astype(int) - self.mask_first, 0, last)
        share = np.clip(position - self.mask_first - low, 0, 1).astype(np.float32)
        high = np.minimum(low + 1, last)
        masks = self.masks[..., low] * (1 - share) + self.masks[..., high] * share
        drop = max(0, int(low[-1]) - 1)
        self.masks, self.mask_first = self.masks[..., drop:], self.mask_first + drop
        out = self.grid.bins(masks.astype(np.complex64))[:, None] * part[None]
        return np.asarray(out.reshape(self.stems * self.channels, bins, count), np.complex64)
