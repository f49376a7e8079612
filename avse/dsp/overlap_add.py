"""Overlapping windows over long signals: `WindowPlan`, `OverlapAdder`, and a streaming STFT pair.

The results do not depend on how the input is cut into blocks. `avse.settings.Settings.window_s` is
the length of the windows that the network separates.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from avse.dsp.stft import istft_frames, stft_frames
from avse.types import ComplexArray, FloatArray


@dataclass(frozen=True)
class WindowPlan:
    """Windows of equal length at a constant step; the last one ends where the signal ends.

    No window is padded, unless the whole signal is shorter than one window.

    Attributes:
        length: of a window, in any unit.
        step: from the start of one window to the start of the next, in the same unit.
    """

    length: int
    step: int

    def __post_init__(self) -> None:
        if not 0 < self.step <= self.length:
            raise ValueError(f"need 0 < step <= length, got {self.step} and {self.length}")

    def spans(self, total: int) -> Iterator[tuple[int, int]]:
        """Yield (start, stop) of every window over `total` units."""
        if total <= 0:
            return
        start = 0
        while start + self.length < total:
            yield start, start + self.length
            start += self.step
        yield max(0, min(start, total - self.length)), total

    def certain(self, start: int, available: int) -> bool:
        """Whether a full window at `start` is certain while the total length is still unknown.

        Args:
            start: of the window.
            available: number of units that have come so far.
        """
        return start + self.length < available


def crossfade(length: int, step: int) -> FloatArray:
    """Weights of a window for overlap-add, (length,): flat, with ramps at both ends, all positive.

    The ramps span the overlap of neighbouring windows. There, the estimate of the window that is
    closer to its own middle, and so has more context, weighs more.

    Args:
        length: of a window.
        step: from one window to the next.
    """
    ramp = max(1, length - step)
    rise = np.arange(1, length + 1) / (ramp + 1)
    return np.minimum(1.0, np.minimum(rise, rise[::-1])).astype(np.float32)


class OverlapAdder:
    """Weighted overlap-add over the last axis: Σ weight · chunk / Σ weight, as a stream.

    Args:
        begin: first position on the last axis.

    Attributes:
        done: position up to which values were taken.
    """

    def __init__(self, begin: int = 0) -> None:
        self.done = begin
        self.sum: FloatArray | None = None
        self.weight = np.zeros(0, np.float32)

    def add(self, start: int, chunk: FloatArray, weight: FloatArray) -> None:
        """Add a window.

        Args:
            start: its position on the last axis, not before `done`.
            chunk: (..., length) float32.
            weight: (length,), positive.

        Raises:
            ValueError: the window starts before `done`, or a weight is not positive.
        """
        if start < self.done:
            raise ValueError(f"position {start} was already given out (at {self.done})")
        if not bool((weight > 0).all()):
            raise ValueError("every weight must be positive")
        stop = start + chunk.shape[-1] - self.done
        if self.sum is None:
            self.sum = np.zeros((*chunk.shape[:-1], 0), np.float32)
        grow = stop - self.sum.shape[-1]
        if grow > 0:
            self.sum = np.concatenate(
                [self.sum, np.zeros((*chunk.shape[:-1], grow), np.float32)], axis=-1
            )
            self.weight = np.concatenate([self.weight, np.zeros(grow, np.float32)])
        here = slice(start - self.done, stop)
        self.sum[..., here] += chunk * weight
        self.weight[here] += weight

    def take(self, until: int) -> FloatArray | None:
        """Take the values from `done` to `until`, which no later window may change.

        Returns:
            (..., until - done) float32, or None if there is nothing to take.

        Raises:
            ValueError: no window covers one of the positions.
        """
        count = until - self.done
        if self.sum is None or count <= 0:
            return None
        weight = self.weight[:count]
        if not bool((weight > 0).all()):
            raise ValueError("a position is covered by no window")
        out = self.sum[..., :count] / weight
        self.sum, self.weight = self.sum[..., count:].copy(), self.weight[count:].copy()
        self.done = until
        return out.astype(np.float32)


class StreamingSTFT:
    """`avse.dsp.stft.stft` of a stream of blocks.

    Args:
        channels: number of channels.
        window: length in samples, a multiple of `hop`.
        hop: samples from one frame to the next.
    """

    def __init__(self, channels: int, window: int, hop: int) -> None:
        self.window, self.hop = window, hop
        self.buffer = np.zeros((channels, window // 2), np.float32)
        self.samples = 0
        self.frames = 0

    def push(self, samples: FloatArray) -> ComplexArray:
        """Add samples, (channels, n), and return the complete frames, (channels, bins, frames)."""
        self.samples += samples.shape[-1]
        self.buffer = np.concatenate([self.buffer, samples], axis=-1)
        return self._emit((self.buffer.shape[-1] - self.window) // self.hop + 1)

    def finish(self) -> ComplexArray:
        """Return the frames that reach beyond the end of the signal, (channels, bins, frames).

        All calls together return samples // hop + 1 frames.
        """
        missing = self.samples // self.hop + 1 - self.frames
        if missing <= 0:
            return self._emit(0)
        need = (missing - 1) * self.hop + self.window
        pad = max(0, need - self.buffer.shape[-1])
        self.buffer = np.pad(self.buffer, ((0, 0), (0, pad)))
        return self._emit(missing)

    def _emit(self, count: int) -> ComplexArray:
        bins = self.window // 2 + 1
        if count <= 0:
            return np.zeros((self.buffer.shape[0], bins, 0), np.complex64)
        span = (count - 1) * self.hop + self.window
        spectrum = stft_frames(self.buffer[:, :span], self.window, self.hop)
        self.buffer = self.buffer[:, count * self.hop :]
        self.frames += count
        return spectrum


class StreamingISTFT:
    """`avse.dsp.stft.istft` of a stream of frames; a sample is returned once it is final.

    Args:
        channels: number of channels.
        window: length in samples, an even multiple of `hop`.
        hop: samples from one frame to the next.

    Raises:
        ValueError: the window is not an even multiple of the hop.
    """

    def __init__(self, channels: int, window: int, hop: int) -> None:
        if window % (2 * hop):
            raise ValueError("the window must be an even multiple of the hop")
        self.window, self.hop = window, hop
        self.reach = window // hop
        self.tail: ComplexArray = np.zeros((channels, window // 2 + 1, 0), np.complex64)
        self.first = 0
        self.frames = 0
        self.samples = 0

    def push(self, frames: ComplexArray) -> FloatArray:
        """Add frames, (channels, bins, n), and return the final samples, (channels, samples)."""
        self.frames += frames.shape[-1]
        self.tail = np.concatenate([self.tail, frames], axis=-1)
        return self._emit((self.frames - self.reach // 2) * self.hop)

    def finish(self, samples: int) -> FloatArray:
        """Return the remaining samples, (channels, n), up to a total length of `samples`."""
        return self._emit(samples, last=True)

    def _emit(self, until: int, *, last: bool = False) -> FloatArray:
        count = until - self.samples
        channels = self.tail.shape[0]
        if count <= 0 or self.tail.shape[-1] == 0:
            missing = max(0, count) if last else 0
            return np.zeros((channels, missing), np.float32)
        origin = self.first * self.hop
        whole = istft_frames(self.tail, self.window, self.hop)[:, self.window // 2 :]
        out = whole[:, self.samples - origin : until - origin]
        if out.shape[-1] < count:  # no frame reaches that far
            out = np.pad(out, ((0, 0), (0, count - out.shape[-1])))
        self.samples = until
        # Keep the frames that overlap later samples, and some before them, so that the sum of
        # windows over the next block is complete from its first sample on.
        keep = max(self.first, self.samples // self.hop - self.reach)
        self.tail = self.tail[..., keep - self.first :]
        self.first = keep
        return np.ascontiguousarray(out)
