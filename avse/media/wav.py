"""Write WAV files of any length: RIFF, or RF64 (EBU Tech 3306) from four gigabytes on.

The header has room for the 64-bit sizes of RF64 from the beginning, so that the format can be
chosen at the end, and no samples are moved.
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

_RIFF_LIMIT = 2**32 - 1
_SUBFORMAT_TAIL = bytes.fromhex("000000001000800000aa00389b71")
_FLOAT, _PCM, _EXTENSIBLE = 3, 1, 0xFFFE
# In the order of the bits of the channel mask in WAVEFORMATEXTENSIBLE.
_SPEAKERS = (
    *("FL", "FR", "FC", "LFE", "BL", "BR", "FLC", "FRC", "BC", "SL", "SR"),
    *("TC", "TFL", "TFC", "TFR", "TBL", "TBC", "TBR"),
)
_USUAL_MASKS = {1: 0x4, 2: 0x3, 3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}


def speaker_mask(channel_names: tuple[str, ...], channels: int) -> int:
    """Channel mask of WAVEFORMATEXTENSIBLE; 0 if a mask cannot describe the channels.

    Args:
        channel_names: FFmpeg's names in order, such as ("FL", "FR").
        channels: number of channels; if it differs from that of the names, the usual mask is used.
    """
    if len(channel_names) != channels:
        return _USUAL_MASKS.get(channels, 0)
    places = [_SPEAKERS.index(name) if name in _SPEAKERS else -1 for name in channel_names]
    if -1 in places or places != sorted(set(places)):
        return 0
    return sum(1 << place for place in places)


class WavFile:
    """Writes the header and the samples of a WAV file.

    Args:
        handle: an empty file, seekable.
        sample_rate: samples per second.
        channels: number of channels.
        bits: 16, 24 or 32.
        is_float: whether samples are floating point (32 bits) instead of integers.
        mask: the channel mask, see `speaker_mask`.
    """

    def __init__(
        self,
        handle: BinaryIO,
        sample_rate: int,
        channels: int,
        bits: int,
        *,
        is_float: bool,
        mask: int,
    ) -> None:
        self._handle = handle
        self._bits = bits
        self._float = is_float
        self._frame = channels * bits // 8
        kind = _FLOAT if is_float else _PCM
        basic = struct.pack(
            "<HIIHH", channels, sample_rate, sample_rate * self._frame, self._frame, bits
        )
        if channels > 2 or (bits in (24, 32) and not is_float):
            extra = struct.pack("<HHIH", 22, bits, mask, kind) + _SUBFORMAT_TAIL
            self._format = struct.pack("<H", _EXTENSIBLE) + basic + extra
        else:
            self._format = struct.pack("<H", kind) + basic + (b"\0\0" if is_float else b"")
        self._size = 0
        self._handle.write(self._header())

    def write(self, values: NDArray[np.float32] | NDArray[np.int64]) -> None:
        """Append samples, (channels, n): float32 for floating point, else integers of the depth."""
        flat = np.ascontiguousarray(values.T)
        if self._float:
            data = flat.astype("<f4").tobytes()
        elif self._bits == 24:
            data = flat.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
        else:
            data = flat.astype(f"<i{self._bits // 8}").tobytes()
        self._size += len(data)
        self._handle.write(data)

    def finish(self) -> None:
        """Write the final sizes to the header; the file stays open."""
        if self._size % 2:
            self._handle.write(b"\0")
        self._handle.seek(0)
        self._handle.write(self._header())
        self._handle.flush()

    def _header(self) -> bytes:
        fmt = b"fmt " + struct.pack("<I", len(self._format)) + self._format
        frames = self._size // self._frame
        fact = b"fact" + struct.pack("<II", 4, min(frames, _RIFF_LIMIT))
        riff = 4 + 36 + len(fmt) + len(fact) + 8 + self._size + self._size % 2
        if riff > _RIFF_LIMIT:
            sizes = b"ds64" + struct.pack("<IQQQI", 28, riff, self._size, frames, 0)
            start, length = struct.pack("<4sI", b"RF64", 2**32 - 1), 2**32 - 1
        else:
            sizes = b"JUNK" + struct.pack("<I28x", 28)
            start, length = struct.pack("<4sI", b"RIFF", riff), self._size
        return start + b"WAVE" + sizes + fmt + fact + b"data" + struct.pack("<I", length)
