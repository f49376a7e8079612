"""Windows over long signals: a plan of windows, an overlap-adder, and a streaming STFT pair.

The results do not depend on how the input is cut into pieces. The length of the windows that the
network separates is `avse.settings.Settings.window_s`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from avse.dsp.stft import istft, stft
from avse.types import ComplexArray, FloatArray


@dataclass(frozen=True)
class WindowPlan:
    """Windows of `length` every `step`, in any unit; the last one is moved back to end at the end.

    No window is padded, unless the whole recording is shorter than one window.
    """

    length: int
    step: int

    def __post_init__(self) -> None:
        if not 0 < self.step <= self.length:
            raise ValueError(f"need 0 < step <= length, got {self.step} and {self.length}")

    def spans(self, total: int) -> Iterator[tuple[int, int]]:
        """(start, stop) of every window over `total` units."""
        if total <= 0:
            return
        start = 0
        while start + self.length < total:
            yield start, start + self.length
            start += self.step
        yield max(0, min(start, total - self.length)), total

    def certain(self, start: int, available: int) -> bool:
        """Whether a full window at `start` is in the plan, knowing only that more units follow."""
        return start + self.length < available


def crossfade(length: int, step: int) -> FloatArray:
    """Weight of a window: (length,), positive everywhere, falling towards both ends.

    A ramp over the part that neighbouring windows share, flat between: what a window says of
    its edges, where it lacks context, gives way to what the next one says of its middle.
    """
    ramp = max(1, length - step)
    rise = np.arange(1, length + 1) / (ramp + 1)
    return np.minimum(1.0, np.minimum(rise, rise[::-1])).astype(np.float32)


class OverlapAdder:
    """Σ weight · chunk / Σ weight over the last axis, given out as soon as it is final.

    Args:
        begin: first place on the last axis.
    """

    def __init__(self, begin: int = 0) -> None:
        self.done = begin
        self.sum: FloatArray | None = None
        self.weight = np.zeros(0, np.float32)

    def add(self, start: int, chunk: FloatArray, weight: FloatArray) -> None:
        """Add a window.

        Args:
            start: its place on the last axis; not before what was given out already.
            chunk: (..., length).
            weight: (length,), positive.
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
        """Give out everything before `until`; None if that is nothing."""
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
    """`avse.dsp.stft.stft`, fed piece by piece.

    Args:
        channels: leading axis of the samples.
        window: length in samples, a multiple of `hop`.
        hop: in samples.
    """

    def __init__(self, channels: int, window: int, hop: int) -> None:
        self.window, self.hop = window, hop
        self.buffer = np.zeros((channels, window // 2), np.float32)
        self.samples = 0
        self.frames = 0

    def push(self, samples: FloatArray) -> ComplexArray:
        """(channels, n) -> (channels, bins, frames that are now complete)."""
        self.samples += samples.shape[-1]
        self.buffer = np.concatenate([self.buffer, samples], axis=-1)
        return self._emit((self.buffer.shape[-1] - self.window) // self.hop + 1)

    def finish(self) -> ComplexArray:
        """The frames that reach beyond the end: samples // hop + 1 in all were then given."""
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
        part = torch.from_numpy(np.ascontiguousarray(self.buffer[:, :span]))
        # The library pads half a window on both sides: frames that touch that padding are dropped.
        skip = self.window // (2 * self.hop)
        spectrum = stft(part, window=self.window, hop=self.hop)[..., skip : skip + count]
        self.buffer = self.buffer[:, count * self.hop :]
        self.frames += count
        out: ComplexArray = spectrum.numpy()
        return out


class StreamingISTFT:
    """`avse.dsp.stft.istft`, fed piece by piece; every sample is given out once it is final."""

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
        """(channels, bins, n) -> (channels, samples that no later frame can change)."""
        self.frames += frames.shape[-1]
        self.tail = np.concatenate([self.tail, frames], axis=-1)
        return self._emit((self.frames - self.reach // 2) * self.hop)

    def finish(self, samples: int) -> FloatArray:
        """The rest, up to `samples` in all."""
        return self._emit(samples, last=True)

    def _emit(self, until: int, *, last: bool = False) -> FloatArray:
        count = until - self.samples
        channels = self.tail.shape[0]
        if count <= 0 or self.tail.shape[-1] == 0:
            missing = max(0, count) if last else 0
            return np.zeros((channels, missing), np.float32)
        origin = self.first * self.hop
        span = until - origin
        whole = istft(torch.from_numpy(self.tail), span, window=self.window, hop=self.hop)
        out: FloatArray = whole[:, self.samples - origin :].numpy()
        self.samples = until
        # Frames that can still touch a sample to come; some more in front, so that the window sum
        # over the next piece is complete from its first sample on.
        keep = max(self.first, self.samples // self.hop - self.reach)
        self.tail = self.tail[..., keep - self.first :]
        self.first = keep
        return np.ascontiguousarray(out)
