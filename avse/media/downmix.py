"""Mix channels to mono without cancelling antiphase content.

The downmix is the mean of the channels, unless they cancel: with a cable of reversed polarity, the
mean of two channels full of voices is silence. Second by second, the mean is compared with the
channels in time and frequency. Where much is lost, the mean with inverted channels, or a single
channel, replaces it until the mean is good again; the change is crossfaded.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

_SEGMENT_S = 1.0
_FADE_S = 0.05
_TILE_S = 0.025  # two voices at once are rarely both loud in one tile of time and frequency
_BANDS = 24
_KEPT = 0.25  # share of the power expected of channels that have nothing in common, -6 dB
_GOOD, _BETTER = 0.9, 0.09


class Downmix:
    """Mixes pieces of sound; the output has the length of the input, without delay.

    Args:
        rate_hz: sample rate.
        heard: indices of the channels to mix: all but low-frequency effects.
    """

    def __init__(self, rate_hz: int, heard: list[int]) -> None:
        self._heard = heard
        self._segment = max(1, round(_SEGMENT_S * rate_hz))
        self._tile = max(2, round(_TILE_S * rate_hz))
        self._fade = max(1, round(_FADE_S * rate_hz))
        self._mean = np.full(len(heard), 1 / len(heard))
        self._weights = self._mean
        self._held: list[FloatArray] = []
        self._count = 0

    def push(self, samples: FloatArray) -> Iterator[FloatArray]:
        """Add (channels, n) samples; returns finished pieces (1, m)."""
        self._held.append(samples[self._heard])
        self._count += samples.shape[1]
        if self._count < self._segment:
            return
        waiting = np.concatenate(self._held, axis=1)
        whole = self._count // self._segment * self._segment
        for at in range(0, whole, self._segment):
            yield self._mixed(waiting[:, at : at + self._segment])
        self._held, self._count = [waiting[:, whole:]], self._count - whole

    def flush(self) -> Iterator[FloatArray]:
        """Return the rest."""
        if self._count:
            yield self._mixed(np.concatenate(self._held, axis=1))
        self._held, self._count = [], 0

    def _mixed(self, segment: FloatArray) -> FloatArray:
        before, after = self._weights, self._choose(segment)
        self._weights = after
        if after is before:
            if before is self._mean:
                mixed = segment.mean(axis=0, dtype=np.float64, keepdims=True)
                return np.asarray(mixed, np.float32)
            return np.asarray((before @ segment.astype(np.float64))[None], np.float32)
        gain = np.ones(segment.shape[1])
        gain[: self._fade] = np.linspace(0, 1, self._fade, endpoint=False)[: segment.shape[1]]
        mixed = after @ segment * gain + before @ segment * (1 - gain)
        return np.asarray(mixed[None], np.float32)

    def _choose(self, segment: FloatArray) -> NDArray[np.float64]:
        """Weights (channels,) for a segment; those of the last segment if they are good enough."""
        if segment.shape[0] < 2 or not segment.any():
            return self._weights
        spectra = _bands(segment, self._tile)
        power = np.square(np.abs(spectra)).sum(axis=-1)  # (channels, frames, bands)
        mean = self._score(self._mean, spectra, power)
        if mean >= _GOOD:
            return self._mean
        if self._score(self._weights, spectra, power) >= _GOOD:
            return self._weights
        loudest = int(np.argmax(power.sum(axis=(1, 2))))
        common = (spectra * spectra[loudest].conj()).real.sum(axis=(1, 2, 3))
        others = [self._mean * np.where(common < 0, -1, 1), *np.eye(len(segment))]
        scores = [self._score(weights, spectra, power) for weights in others]
        best = int(np.argmax(scores))
        if scores[best] < mean + _BETTER:
            return self._weights
        same = np.array_equal(others[best], self._weights)
        return self._weights if same else others[best]

    @staticmethod
    def _score(
        weights: NDArray[np.float64],
        spectra: NDArray[np.complex64],
        power: NDArray[np.float32],
    ) -> float:
        """Share of the content of the channels that is kept, 0..1; soft parts count too."""
        mixed = np.square(np.abs(np.tensordot(weights, spectra, axes=1))).sum(axis=-1)
        # A single channel is not made softer, as the mean of several is: take that off again.
        expected = power.sum(axis=0) * np.abs(weights).max() ** 2
        kept = np.minimum(1.0, mixed / np.maximum(_KEPT * expected, 1e-30))
        loud = np.sqrt(power.sum(axis=0))
        return float((kept * loud).sum() / max(float(loud.sum()), 1e-30))


def _bands(segment: FloatArray, tile: int) -> NDArray[np.complex64]:
    """(channels, frames, bands, bins) spectra of tiles in time."""
    frames = max(1, segment.shape[1] // tile)
    padded = np.pad(segment, ((0, 0), (0, max(0, tile - segment.shape[1]))))
    cut = padded[:, : frames * tile].reshape(len(segment), frames, tile)
    spectra = np.fft.rfft(cut * np.hanning(tile), axis=-1)[..., 1:]
    bands = min(_BANDS, spectra.shape[-1])
    each = spectra.shape[-1] // bands
    shape = (*spectra.shape[:2], bands, each)
    return np.asarray(spectra[..., : bands * each].reshape(shape), np.complex64)
