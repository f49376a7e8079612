"""Choose a codec for a voice in a container, and encode float blocks with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from avse.errors import OutputError
from avse.media.probe import AudioStream
from avse.media.quantising import to_integers
from avse.media.resample import Resampler

if TYPE_CHECKING:
    from av.audio.stream import AudioStream as AvAudioStream
    from av.container import OutputContainer
    from av.packet import Packet

Codec: TypeAlias = Literal["auto", "aac", "opus", "flac", "alac", "pcm"]

# Container by file ending: FFmpeg's name, and the codecs it takes, the first as the lossy default.
CONTAINERS: dict[str, tuple[str, tuple[str, ...]]] = {
    ".mp4": ("mp4", ("aac", "alac", "flac", "opus")),
    ".m4v": ("mp4", ("aac", "alac", "flac", "opus")),
    ".mov": ("mov", ("aac", "alac", "pcm")),
    ".mkv": ("matroska", ("flac", "aac", "opus", "pcm", "alac")),
    ".webm": ("webm", ("opus",)),
}
_RATES = {
    "aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
    "opus": (8000, 12000, 16000, 24000, 48000),
}
# What stands for a layout that an encoder does not know: same channels in the same order.
_TWINS = {"5.1(side)": "5.1", "5.0(side)": "5.0"}
_USUAL_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1")


@dataclass(frozen=True)
class Encoding:
    """How a voice is stored.

    Attributes:
        codec: "aac", "opus", "flac", "alac" or "pcm".
        encoder: FFmpeg's name of the encoder.
        sample_format: FFmpeg's name of what the encoder is fed.
        bits: depth of integer samples; None for floating point.
        sample_rate: of the coded sound; another than the voice's where the codec has no such rate.
        bit_rate: bits per second of lossy codecs, else None.
    """

    codec: str
    encoder: str
    sample_format: str
    bits: int | None
    sample_rate: int
    bit_rate: int | None


def choose_encoding(
    suffix: str,
    codec: Codec,
    sample_rate: int,
    channels: int,
    source: AudioStream | None,
    bit_rate: int | None = None,
) -> Encoding:
    """How to store a voice in a container.

    "auto" gives FLAC in .mkv (nothing is lost, and no encoder delay to keep track of), Opus in
    .webm, PCM in .mov where the source is lossless too, and AAC otherwise.

    Raises:
        OutputError: the container does not take the codec.
    """
    allowed = CONTAINERS[suffix][1]
    lossless = source is not None and source.bits_per_sample is not None
    chosen: str = codec
    if codec == "auto":
        chosen = "pcm" if suffix == ".mov" and lossless else allowed[0]
    if chosen not in allowed:
        raise OutputError(
            f"{suffix} files do not take {chosen} sound",
            f"choose {', '.join(allowed)}, or write an .mkv file",
        )
    if chosen in ("aac", "opus"):
        rates = _RATES[chosen]
        rate = min((r for r in rates if r >= sample_rate), default=rates[-1])
        each = bit_rate // channels if bit_rate else 128_000
        if chosen == "aac":
            each = min(each, 6 * rate)  # an AAC frame of 1024 samples holds at most 6144 bits
            return Encoding("aac", "aac", "fltp", None, rate, each * channels)
        return Encoding("opus", "libopus", "flt", None, rate, min(each, 256_000) * channels)
    bits = None if source is None or source.is_float else source.bits_per_sample
    if chosen == "pcm":
        if bits is None or bits > 32:
            return Encoding("pcm", "pcm_f32le", "flt", None, sample_rate, None)
        depth = max(16, bits)
        kind = "s16" if depth == 16 else "s32"
        return Encoding("pcm", f"pcm_s{depth}le", kind, depth, sample_rate, None)
    depth = 16 if bits is not None and bits <= 16 else 24
    planar = "p" if chosen == "alac" else ""
    kind = ("s16" if depth == 16 else "s32") + planar
    return Encoding(chosen, chosen, kind, depth, sample_rate, None)


class Voice:
    """One new sound track of an output file.

    Args:
        encoding: how to store it.
        blocks: (channels, n) float32 pieces.
        sample_rate: of the blocks.
        channels: of the blocks.
        layout: FFmpeg's name of the channel layout; None for the usual one.
        start: time of sample 0 in seconds.
        tags: title, language and so on.

    Attributes:
        stream: the stream in the output, after `join`.
        samples: samples per channel taken so far, at the blocks' rate.
        clipped: values beyond full scale, set to it (integer codecs only).
    """

    def __init__(
        self,
        encoding: Encoding,
        blocks: Iterable[NDArray[np.float32]],
        *,
        sample_rate: int,
        channels: int,
        layout: str | None,
        start: Fraction,
        tags: dict[str, str],
    ) -> None:
        self.encoding = encoding
        self.samples = 0
        self.clipped = 0
        self._channels = channels
        self._blocks = blocks
        self._rate = sample_rate
        self._start = start
        self._layout = _fitting_layout(encoding.codec, layout, channels)
        self._tags = tags
        self._packets = self._encode()
        self._waiting: Packet[Any] | None = None

    def join(self, output: OutputContainer) -> None:
        """Add a stream to an output file, whose header is not written yet.

        Raises:
            OutputError: the codec cannot store that many channels or that rate.
        """
        encoding = self.encoding
        try:
            stream = output.add_stream(encoding.encoder, rate=encoding.sample_rate)
            self.stream = cast("AvAudioStream", stream)
            context: Any = self.stream.codec_context
            context.layout = self._layout
            context.format = encoding.sample_format
            context.time_base = Fraction(1, encoding.sample_rate)
            if encoding.bit_rate:
                context.bit_rate = encoding.bit_rate
            context.open(strict=False)
        except (ValueError, OSError) as error:
            raise OutputError(
                f"{self._layout} sound at {encoding.sample_rate} Hz cannot be stored as "
                f"{encoding.codec}: {error}",
                "write an .mkv file, or the voice alone as .wav",
            ) from error
        self.stream.metadata.update(self._tags)

    def packets_until(self, time: Fraction | None) -> Iterator[Packet[Any]]:
        """Packets that begin before a time; all that are left for None."""
        while True:
            if self._waiting is None:
                self._waiting = next(self._packets, None)
            packet = self._waiting
            if packet is None:
                return
            begin = None if packet.pts is None else packet.pts * packet.time_base
            if begin is not None and time is not None and begin > time:
                return
            self._waiting = None
            yield packet

    def _encode(self) -> Iterator[Packet[Any]]:
        from av.audio.frame import AudioFrame

        position = round(self._start * self.encoding.sample_rate)
        for piece in self._pieces():
            if piece.shape[1] == 0:
                continue
            frame = AudioFrame.from_ndarray(
                self._raw(piece), format=self.encoding.sample_format, layout=self._layout
            )
            frame.sample_rate = self.encoding.sample_rate
            frame.time_base = Fraction(1, self.encoding.sample_rate)
            frame.pts = position
            position += piece.shape[1]
            yield from self._encoded(frame)
        yield from self._encoded(None)

    def _encoded(self, frame: Any) -> Iterator[Packet[Any]]:
        for packet in self.stream.encode(frame):
            packet.stream = self.stream
            yield packet

    def _pieces(self) -> Iterator[NDArray[np.float32]]:
        resampler = Resampler(self._rate, self.encoding.sample_rate, self._channels)
        for block in self._blocks:
            if block.ndim != 2 or block.shape[0] != self._channels:
                raise ValueError(f"expected ({self._channels}, n) samples, not {block.shape}")
            self.samples += block.shape[1]
            yield resampler.push(block)
        yield resampler.flush()

    def _raw(self, samples: NDArray[np.float32]) -> Any:
        """Samples as the encoder wants them: its number type, planar or interleaved."""
        bits = self.encoding.bits
        values: Any = samples
        if bits is not None:
            self.clipped += int(np.count_nonzero(np.abs(samples) > 1.0))
            whole = to_integers(samples, bits)
            number: Any = np.int16 if bits == 16 else np.int32
            values = (whole << (0 if bits == 16 else 32 - bits)).astype(number)
        if self.encoding.sample_format.endswith("p"):
            return np.ascontiguousarray(values)
        return np.ascontiguousarray(values.T).reshape(1, -1)


def _fitting_layout(codec: str, layout: str | None, channels: int) -> str:
    fitting = layout
    if codec != "pcm":
        fitting = _TWINS.get(layout or "", layout)
    if (fitting is None or " channels" in fitting) and channels <= len(_USUAL_LAYOUTS):
        fitting = _USUAL_LAYOUTS[channels - 1]
    if fitting is None:
        raise OutputError(
            f"{channels} channels cannot be stored as {codec}", "write the voice as a .wav file"
        )
    return fitting
