"""Change the sample rate of a stream of sound, with no lag and no seams.

A windowed-sinc low-pass (Kaiser window, 64 zero crossings a side, 100 dB) evaluated only where
output samples fall. The filter is symmetric, so output sample k is the input at time k / to_hz
exactly; the ends are taken to be surrounded by silence. SciPy's polyphase routine sums the same
products in the same order however the input is cut up, so streaming equals the whole.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd, pi

import numpy as np
from numpy.typing import NDArray

_ZERO_CROSSINGS = 64
_STOP_DB = 100.0
_WORTHWHILE = 16384  # input samples to gather before filtering, to spread the cost of the edges


@lru_cache(maxsize=8)
def _low_pass(up: int, down: int) -> NDArray[np.float64]:
    """Symmetric filter at `up` times the input rate, (2 * half + 1,), with gain `up`.

    The stop band begins at the lower of the two Nyquist frequencies.
    """
    from scipy.signal.windows import kaiser

    worst = max(up, down)
    half = _ZERO_CROSSINGS * worst
    # Kaiser's formula for the width of the transition, as a fraction of the lower Nyquist rate.
    transition = (_STOP_DB - 7.95) / (2.285 * pi * 2 * _ZERO_CROSSINGS)
    cutoff = (1 - transition / 2) / worst
    at = np.arange(-half, half + 1)
    taps = np.sinc(at * cutoff) * kaiser(2 * half + 1, 0.1102 * (_STOP_DB - 8.7))
    return np.asarray(taps * (up / taps.sum()), dtype=np.float64)


class Resampler:
    """Resample a stream piece by piece.

    After `flush`, the output has ceil(n * to_hz / from_hz) samples in all for n put in.

    Args:
        from_hz: rate of the input.
        to_hz: rate of the output.
        channels: number of channels.
    """

    def __init__(self, from_hz: int, to_hz: int, channels: int) -> None:
        if min(from_hz, to_hz, channels) < 1:
            raise ValueError("rates and channels must be at least 1")
        common = gcd(from_hz, to_hz)
        self._up, self._down = to_hz // common, from_hz // common
        self._held = np.zeros((channels, 0), np.float32)  # input from sample _first on
        self._first = 0
        self._made = 0  # output samples so far

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Put in (channels, n) samples, get out (channels, m): those that are settled by now."""
        if self._up == self._down:
            return samples
        self._held = np.concatenate([self._held, samples], axis=1)
        end = self._first + self._held.shape[1]
        half = _ZERO_CROSSINGS * max(self._up, self._down)
        ready = max(self._made, (end * self._up - half - 1) // self._down + 1)
        if (ready - self._made) * self._down < _WORTHWHILE * self._up:
            return self._held[:, :0]
        return self._make(ready)

    def flush(self) -> NDArray[np.float32]:
        """Get out the rest, (channels, m)."""
        if self._up == self._down:
            return self._held
        end = self._first + self._held.shape[1]
        return self._make(-(-end * self._up // self._down))

    def _make(self, stop: int) -> NDArray[np.float32]:
        """Output samples from `_made` up to `stop`."""
        from scipy.signal import upfirdn

        if stop <= self._made:
            return self._held[:, :0]
        up, down = self._up, self._down
        taps = _low_pass(up, down)
        half = len(taps) // 2
        lead = -half % down  # zeros before the filter, so that outputs fall on whole steps
        if lead:
            taps = np.concatenate([np.zeros(lead), taps])
        skip = (half + lead - self._first * up) // down
        need = max(0, -(-((stop - 1) * down + half + 1) // up) - self._first)
        source = self._held[:, :need]
        made = upfirdn(taps, source.astype(np.float64), up, down, axis=-1)
        made = made[:, self._made + skip : stop + skip]
        short = stop - self._made - made.shape[1]
        if short > 0:
            made = np.pad(made, ((0, 0), (0, short)))
        self._made = stop
        oldest = max(0, -(-(stop * down - half) // up)) // down * down
        if oldest > self._first:
            self._held = self._held[:, oldest - self._first :].copy()
            self._first = oldest
        return np.asarray(made, dtype=np.float32)


def resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Resample (channels, n) samples at once to (channels, ceil(n * to_hz / from_hz))."""
    resampler = Resampler(from_hz, to_hz, samples.shape[0])
    return np.concatenate([resampler.push(samples), resampler.flush()], axis=1)
