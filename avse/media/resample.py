"""Change the sample rate of a stream of sound, with no lag and no seams.

A windowed-sinc low-pass (Kaiser window, 64 zero crossings a side, 100 dB) evaluated only where
output samples fall. The filter is symmetric, so output sample k is the input at time k / to_hz
exactly; the ends are taken to be surrounded by silence. SciPy's polyphase routine sums the same
products in the same order however the input is cut up, so streaming equals the whole.

A polyphase filter is as long as the two rates have little in common: 16,000 Hz out of 999,983 Hz
would take 128 million taps. Such rates are divided by a whole number first, and what is left is
read off a table of the filter, linear in between, which is exact to 100 dB: any rate in bounded
memory.
"""

from __future__ import annotations

from functools import lru_cache
from math import gcd, pi

import numpy as np
from numpy.typing import NDArray

_ZERO_CROSSINGS = 64
_STOP_DB = 100.0
_WORTHWHILE = 16384  # input samples to gather before filtering, to spread the cost of the edges
_LONGEST = 1 << 18  # taps; more, and the table takes over
_STEPS = 1024  # of the table, from one zero crossing to the next
_AT_ONCE = 1 << 20  # products of the table's filter that are held at a time


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
        up, down = to_hz // common, from_hz // common
        self._stages: list[_Polyphase | _Table]
        if 2 * _ZERO_CROSSINGS * max(up, down) <= _LONGEST:
            self._stages = [_Polyphase(up, down, channels)]
        else:
            # What the table's filter has to reach over shrinks with the rate.
            fewer = max(1, from_hz // (3 * to_hz))
            self._stages = [_Polyphase(1, fewer, channels)] if fewer > 1 else []
            self._stages.append(_Table(up * fewer, down, channels))
        self._up, self._down, self._in, self._out = up, down, 0, 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Put in (channels, n) samples, get out (channels, m): those that are settled by now."""
        self._in += samples.shape[1]
        for stage in self._stages:
            samples = stage.push(samples)
        self._out += samples.shape[1]
        return samples

    def flush(self) -> NDArray[np.float32]:
        """Get out the rest, (channels, m)."""
        rest = self._stages[0].flush()
        for stage in self._stages[1:]:
            rest = np.concatenate([stage.push(rest), stage.flush()], axis=1)
        # Dividing first may round the length up.
        return rest[:, : -(-self._in * self._up // self._down) - self._out]


class _Polyphase:
    """A filter of which every phase is kept: two rates that have much in common."""

    def __init__(self, up: int, down: int, channels: int) -> None:
        self._up, self._down = up, down
        self._held = np.zeros((channels, 0), np.float32)  # input from sample _first on
        self._first = 0
        self._made = 0  # output samples so far

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `Resampler.push`."""
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
        """As `Resampler.flush`."""
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


@lru_cache(maxsize=1)
def _table() -> NDArray[np.float64]:
    """Half of the filter, from its middle on, `_STEPS` values to a zero crossing."""
    half = _low_pass(_STEPS, 1)
    return np.append(half[len(half) // 2 :], [0.0, 0.0])


class _Table:
    """A filter read off a table: two rates that have nothing in common.

    Output sample k is the input at k * down / up exactly; values between those of the table are
    off by less than what the stop band lets through.
    """

    def __init__(self, up: int, down: int, channels: int) -> None:
        self._up, self._down = up, down
        # Zero crossings lie this many input samples apart.
        self._apart = max(1.0, down / up)
        self._reach = int(np.ceil(_ZERO_CROSSINGS * self._apart)) + 1
        self._held = np.zeros((channels, self._reach), np.float32)  # silence before the beginning
        self._first = -self._reach
        self._made = 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `Resampler.push`."""
        self._held = np.concatenate([self._held, samples], axis=1)
        settled = self._first + self._held.shape[1] - self._reach
        ready = max(self._made, (settled * self._up - 1) // self._down + 1)
        if (ready - self._made) * self._down < _WORTHWHILE * self._up:
            return self._held[:, :0]
        return self._make(ready)

    def flush(self) -> NDArray[np.float32]:
        """As `Resampler.flush`."""
        end = self._first + self._held.shape[1]
        self._held = np.pad(self._held, ((0, 0), (0, self._reach + 1)))
        return self._make(max(self._made, -(-end * self._up // self._down)))

    def _make(self, stop: int) -> NDArray[np.float32]:
        count, taps = self._held.shape[0], 2 * self._reach
        size = max(1, _AT_ONCE // taps)
        parts = [self._filtered(at, min(at + size, stop)) for at in range(self._made, stop, size)]
        self._made = stop
        surplus = stop * self._down // self._up - self._reach - self._first
        if surplus > 0:
            self._held = self._held[:, surplus:].copy()
            self._first += surplus
        return np.concatenate([np.zeros((count, 0), np.float32), *parts], axis=1)

    def _filtered(self, start: int, stop: int) -> NDArray[np.float32]:
        """Output samples from `start` up to `stop`."""
        # Whole numbers, which Python has without bounds, keep hours of odd rates exact.
        whole, share = divmod(start * self._down, self._up)
        ahead = share + np.arange(stop - start, dtype=np.int64) * self._down
        places = ahead // self._up  # input samples from `whole` on
        between = (ahead % self._up) / self._up
        offsets = np.arange(-self._reach + 1, self._reach + 1)
        table = _table()
        at = np.abs(offsets - between[:, None]) * (_STEPS / self._apart)
        np.minimum(at, len(table) - 2, out=at)
        low = at.astype(np.int64)
        taps = table[low]
        taps += (table[low + 1] - taps) * (at - low)
        taps /= self._apart
        first = whole - self._first - self._reach + 1
        reached = self._held[:, first : first + places[-1] + 2 * self._reach].astype(np.float64)
        windows = np.lib.stride_tricks.sliding_window_view(reached, 2 * self._reach, axis=1)
        made = np.einsum("kt,ckt->ck", taps, windows[:, places])
        return np.asarray(made, np.float32)


def resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Resample (channels, n) samples at once to (channels, ceil(n * to_hz / from_hz))."""
    resampler = Resampler(from_hz, to_hz, samples.shape[0])
    return np.concatenate([resampler.push(samples), resampler.flush()], axis=1)
