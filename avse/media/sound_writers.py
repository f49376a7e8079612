"""Write sound files block by block: WAV, FLAC (libsndfile), lossy formats (FFmpeg)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from avse.media.encoding import Encoder
from avse.media.wav import WavFile


class SoundWriter(Protocol):
    """A sound file that is being written."""

    def put(self, values: NDArray[np.float32] | NDArray[np.int64]) -> None:
        """Append samples, (channels, n): integers of the file's bit depth, or float32."""

    def finish(self) -> None:
        """Complete the file and close it."""

    def drop(self) -> None:
        """Close the file, complete or not; errors are ignored."""


class WavWriter:
    """A WAV file; see `WavFile`."""

    def __init__(
        self, path: Path, rate: int, channels: int, bits: int, is_float: bool, mask: int
    ) -> None:
        self._handle = path.open("xb")
        self._wav = WavFile(self._handle, rate, channels, bits, is_float=is_float, mask=mask)

    def put(self, values: NDArray[np.float32] | NDArray[np.int64]) -> None:
        """Append samples."""
        self._wav.write(values)

    def finish(self) -> None:
        """Complete the file and close it."""
        self._wav.finish()
        self._handle.close()

    def drop(self) -> None:
        """Close the file, complete or not."""
        _close(self._handle)


class FlacWriter:
    """A FLAC file of 16 or 24 bits."""

    def __init__(self, path: Path, rate: int, channels: int, bits: int) -> None:
        import soundfile

        self._rate, self._channels, self._bits = rate, channels, bits
        self._trouble: type[Exception] = soundfile.LibsndfileError
        self._handle = path.open("x+b")
        self._guard = _Guard(self._handle)
        self._file: Any = soundfile.SoundFile(
            self._guard, "w", rate, channels, f"PCM_{bits}", format="FLAC"
        )

    def put(self, values: NDArray[np.float32] | NDArray[np.int64]) -> None:
        """Append samples."""
        # libsndfile scales floats by one step less than full scale, which would change every
        # sample; left-aligned integers are stored unchanged.
        wide = values.astype(np.int64)
        whole = wide.astype(np.int16) if self._bits == 16 else (wide << 8).astype(np.int32)
        try:
            self._file.write(np.ascontiguousarray(whole.T))
        except self._trouble:
            self._guard.check()
            raise
        self._guard.check()

    def finish(self) -> None:
        """Complete the file and close it."""
        self._file.close()
        self._guard.check()
        if self._handle.seek(0, 2) == 0:  # without samples, libsndfile writes no header
            self._handle.write(_empty_flac(self._rate, self._channels, self._bits))
        self._handle.close()

    def drop(self) -> None:
        """Close the file, complete or not."""
        if not self._handle.closed:
            with suppress(self._trouble):
                self._file.close()
        _close(self._handle)


class LossyWriter:
    """A file with one lossy sound track; its header states the encoder delay, which players skip.

    Args:
        path: the file to write.
        container: FFmpeg's name of the container.
        encoder: encodes the track.
    """

    def __init__(self, path: Path, container: str, encoder: Encoder) -> None:
        import av

        self._handle = path.open("x+b")
        self._guard = _Guard(self._handle)
        self._encoder = encoder
        options = {}
        if container == "ipod":  # the unit of the length; 1 ms by default
            options["movie_timescale"] = str(encoder.encoding.sample_rate)
        self._output = av.open(self._guard, "w", format=container, container_options=options)
        encoder.join(self._output)
        self._write(())

    def put(self, values: NDArray[np.float32] | NDArray[np.int64]) -> None:
        """Append samples, float32."""
        self._write(self._encoder.push(values.astype(np.float32, copy=False)))

    def finish(self) -> None:
        """Complete the file and close it."""
        self._write(self._encoder.finish())
        self._output.close()
        self._guard.check()
        self._handle.close()

    def drop(self) -> None:
        """Close the file, complete or not."""
        if not self._handle.closed:
            with suppress(OSError, ValueError):
                self._output.close()
        _close(self._handle)

    def _write(self, packets: Iterable[Any]) -> None:
        from av.error import FFmpegError

        try:
            self._output.start_encoding()
            for packet in packets:
                self._output.mux(packet)
        except FFmpegError:
            self._guard.check()
            raise
        self._guard.check()


class _Guard:
    """A file object for libraries, which lose the reason of a failed write; `check` raises it."""

    def __init__(self, handle: BinaryIO) -> None:
        self._handle = handle
        self._error: OSError | None = None
        self.read = handle.read
        self.seek = handle.seek
        self.tell = handle.tell

    def write(self, data: Any) -> int:
        if self._error is None:
            try:
                return self._handle.write(data)
            except OSError as error:
                self._error = error
        return 0

    def check(self) -> None:
        if self._error is not None:
            raise self._error


def _empty_flac(rate: int, channels: int, bits: int) -> bytes:
    """The bytes of a FLAC file without samples: "fLaC" and a STREAMINFO block."""
    block = 4096
    fields = rate << 44 | (channels - 1) << 41 | (bits - 1) << 36
    info = struct.pack(">HH6xQ", block, block, fields) + hashlib.md5(b"").digest()
    return b"fLaC" + struct.pack(">I", 0x80 << 24 | len(info)) + info


def _close(handle: BinaryIO) -> None:
    with suppress(OSError):  # a full disk: `put` or `finish` has raised it already
        handle.close()
