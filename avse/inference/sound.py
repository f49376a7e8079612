"""Sound for the engine: from a file or from memory, readable from any frame on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from avse.dsp.stft import SAMPLE_RATE, VIDEO_RATE
from avse.media import AudioReader, resample
from avse.media.read_ahead import read_ahead
from avse.types import FloatArray

BLOCK_S = 1.0

_AHEAD = 4
"""Number of blocks that are decoded ahead."""


class Sound(Protocol):
    """The sound of a recording, readable from any video frame on (25 per second)."""

    @property
    def rate_hz(self) -> int:
        """Sample rate in Hz."""
        ...

    @property
    def channels(self) -> int:
        """Number of channels."""
        ...

    @property
    def frames(self) -> int:
        """Length of the sound in video frames."""
        ...

    def original(self, begin: int) -> Iterator[FloatArray]:
        """Blocks (channels, n) at the rate of the recording, from a video frame on."""
        ...

    def downmix(self, begin: int) -> Iterator[FloatArray]:
        """Blocks (1, n) of the mono 16 kHz downmix, from a video frame on."""
        ...


@dataclass(frozen=True)
class ArraySound:
    """Sound in memory.

    Attributes:
        samples: (channels, n) float32.
        rate_hz: sample rate.
    """

    samples: FloatArray
    rate_hz: int

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.samples)

    @property
    def frames(self) -> int:
        """Length of the sound in video frames."""
        return self.samples.shape[-1] * VIDEO_RATE // self.rate_hz

    def original(self, begin: int) -> Iterator[FloatArray]:
        """See `Sound`."""
        yield self.samples[:, round(begin * self.rate_hz / VIDEO_RATE) :]

    def downmix(self, begin: int) -> Iterator[FloatArray]:
        """See `Sound`."""
        mono = self.samples.mean(axis=0, keepdims=True)
        yield resample(mono, self.rate_hz, SAMPLE_RATE)[:, begin * SAMPLE_RATE // VIDEO_RATE :]


class FileSound:
    """A sound track of a file, or a part of it.

    Args:
        path: the file.
        track: index of the sound track.
        rate_hz, channels: sample rate and number of channels of the track.
        origin: instant of the first sample, in seconds on the container's clock.
        start, stop: limits of the part, see `AudioReader`.
        length_s: length of the sound in seconds according to the file, or None.

    Attributes:
        skipped: number of damaged packets in the last read of the original.
        not_numbers: number of its samples that were NaN or infinite.
    """

    def __init__(
        self,
        path: Path,
        track: int | None,
        rate_hz: int,
        channels: int,
        origin: Fraction,
        start: Fraction | None,
        stop: Fraction | None,
        length_s: Fraction | None,
    ) -> None:
        self.path, self.track, self.origin = path, track, origin
        self.rate_hz, self.channels = rate_hz, channels
        self.start, self.stop = start, stop
        self.frames = 0 if length_s is None else int(length_s * VIDEO_RATE)
        self.skipped = self.not_numbers = 0

    def original(self, begin: int) -> Iterator[FloatArray]:
        """See `Sound`."""
        return read_ahead(self._original(begin), _AHEAD)

    def downmix(self, begin: int) -> Iterator[FloatArray]:
        """See `Sound`."""
        return read_ahead(self._downmix(begin), _AHEAD)

    def _original(self, begin: int) -> Iterator[FloatArray]:
        with self._open(begin) as reader:
            for block in reader:
                yield block.samples
                self.skipped, self.not_numbers = reader.skipped, reader.not_numbers
            self.skipped, self.not_numbers = reader.skipped, reader.not_numbers

    def _downmix(self, begin: int) -> Iterator[FloatArray]:
        with self._open(begin, rate_hz=SAMPLE_RATE, mono=True) as reader:
            for block in reader:
                yield block.samples

    def _open(self, begin: int, *, rate_hz: int | None = None, mono: bool = False) -> AudioReader:
        start = self.origin + Fraction(begin, VIDEO_RATE) if begin else self.start
        return AudioReader(
            self.path,
            track=self.track,
            rate_hz=rate_hz,
            mono=mono,
            block_s=BLOCK_S,
            start=start,
            stop=self.stop,
        )
