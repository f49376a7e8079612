"""Change the sample rate of a stream of sound, without delay and without seams.

libsoxr computes it (https://github.com/chirlu/soxr), at its very high quality: linear phase, a pass
band of 91 % of the lower Nyquist frequency, and 28 bits of precision. Any two rates will do.
Output sample k is the input at time k / to_hz, and the input is surrounded by silence. Streaming
gives the same samples as the whole, however the stream is cut.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Resampler:
    """Resample a stream piece by piece.

    After `flush`, the output has ceil(n * to_hz / from_hz) samples in all for an input of n.

    Args:
        from_hz: sample rate of the input.
        to_hz: sample rate of the output.
        channels: number of channels.

    Raises:
        ValueError: a rate or the number of channels is less than 1.
    """

    def __init__(self, from_hz: int, to_hz: int, channels: int) -> None:
        if min(from_hz, to_hz, channels) < 1:
            raise ValueError("rates and channels must be at least 1")
        import soxr

        self._from_hz, self._to_hz, self._channels = from_hz, to_hz, channels
        self._stream = soxr.ResampleStream(from_hz, to_hz, channels, quality="VHQ")
        self._in = self._out = 0

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Add the next (channels, n) samples; returns (channels, m) finished ones."""
        if self._from_hz == self._to_hz:
            return samples
        self._in += samples.shape[1]
        made = self._computed(samples)
        self._out += made.shape[1]
        return made

    def flush(self) -> NDArray[np.float32]:
        """End the stream; returns the remaining (channels, m) samples."""
        # libsoxr rounds the length, which can leave out the last sample: silence brings it.
        silence = np.zeros((self._channels, -(-self._from_hz // self._to_hz)), np.float32)
        made = self._computed(silence, last=True)
        return made[:, : -(-self._in * self._to_hz // self._from_hz) - self._out]

    def _computed(self, samples: NDArray[np.float32], *, last: bool = False) -> NDArray[np.float32]:
        frames = np.ascontiguousarray(samples.T, np.float32)
        made = self._stream.resample_chunk(frames, last=last)
        return np.ascontiguousarray(made.reshape(-1, self._channels).T)


def resample(samples: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Resample (channels, n) samples at once to (channels, ceil(n * to_hz / from_hz))."""
    resampler = Resampler(from_hz, to_hz, samples.shape[0])
    return np.concatenate([resampler.push(samples), resampler.flush()], axis=1)
