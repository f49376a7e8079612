"""Choose the codec of a stem, and encode float blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from avse.errors import ContainerError
from avse.media.probe import AudioStream
from avse.media.quantising import to_integers
from avse.media.resample import Resampler

if TYPE_CHECKING:
    from av.audio.stream import AudioStream as AvAudioStream
    from av.container import OutputContainer
    from av.packet import Packet

Codec: TypeAlias = Literal["auto", "aac", "opus", "flac", "alac", "pcm"]
Bits: TypeAlias = Literal[16, 24, 32]
"""Bit depths that a user can choose; 32 is floating point."""

# Container by file ending: FFmpeg's name, and the codecs it takes, the first as the lossy default.
CONTAINERS: dict[str, tuple[str, tuple[str, ...]]] = {
    ".mp4": ("mp4", ("aac", "alac", "flac", "opus")),
    ".m4v": ("mp4", ("aac", "alac", "flac", "opus")),
    ".mov": ("mov", ("aac", "alac", "pcm")),
    ".mkv": ("matroska", ("flac", "aac", "opus", "pcm", "alac")),
    ".webm": ("webm", ("opus",)),
}
# Lossy files of sound alone, by file ending: FFmpeg's name of the container, and the codec.
LOSSY: dict[str, tuple[str, str]] = {
    ".mp3": ("mp3", "mp3"),
    ".m4a": ("ipod", "aac"),
    ".opus": ("opus", "opus"),
}
_RATES = {
    "aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000),
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (8000, 12000, 16000, 24000, 48000),
}
# Encoder, its format of samples, and the most bits a second in all: up to a rate -> so many.
_LOSSY_CODECS: dict[str, tuple[str, str, dict[int, int]]] = {
    "aac": ("aac", "fltp", {}),
    "mp3": ("libmp3lame", "fltp", {12_000: 64_000, 24_000: 160_000, 48_000: 320_000}),
    "opus": ("libopus", "flt", {}),
}
# What stands for a layout that an encoder does not know: same channels in the same order.
_TWINS = {"5.1(side)": "5.1", "5.0(side)": "5.0"}
_USUAL_LAYOUTS = ("mono", "stereo", "3.0", "4.0", "5.0", "5.1", "6.1", "7.1")


@dataclass(frozen=True)
class Encoding:
    """The codec and format of a stem.

    Attributes:
        codec: "aac", "mp3", "opus", "flac", "alac" or "pcm".
        encoder: FFmpeg's name of the encoder.
        sample_format: FFmpeg's name of the encoder's input format.
        bits: bit depth of integer samples; None for floating point.
        sample_rate: sample rate of the coded sound, which differs if the codec does not support
            that of the stem.
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
    bits: Bits | None = None,
) -> Encoding:
    """Choose the encoding of a stem in a container.

    "auto" gives FLAC in .mkv (nothing is lost, and no encoder delay to keep track of), Opus in
    .webm, PCM in .mov where the source is lossless too, and AAC otherwise; with `bits`, what is
    lossless: FLAC in .mkv, of 32 bits PCM, and PCM in .mov.

    Args:
        suffix: ending of the container, see `CONTAINERS`, or of a sound file in `LOSSY`.
        codec: name of the codec, or "auto".
        sample_rate: sample rate of the stem.
        channels: number of channels of the stem.
        source: the original track; None counts as floating point.
        bit_rate: bit rate of lossy codecs; None for 128 kbit/s per channel.
        bits: bit depth of lossless codecs; None for that of the source.

    Raises:
        ContainerError: the container does not support the codec, or the codec the bit depth.
    """
    allowed = (LOSSY[suffix][1],) if suffix in LOSSY else CONTAINERS[suffix][1]
    lossless = source is not None and source.bits_per_sample is not None
    chosen: str = codec
    if codec == "auto":
        exact = lossless or bits is not None
        chosen = "pcm" if "pcm" in allowed and bits == 32 else allowed[0]
        chosen = "pcm" if suffix == ".mov" and exact else chosen
    if chosen not in allowed:
        raise ContainerError(
            f"{suffix} files do not take {chosen} sound",
            f"choose {', '.join(allowed)}, or write an .mkv file",
        )
    if bits is not None and chosen in _LOSSY_CODECS:
        raise ContainerError(
            f"the sound of {suffix} files is lossy ({chosen}): it has no {bits} bits",
            "leave --bits out, or choose .mov, .mkv, .wav or .flac",
        )
    if chosen in _LOSSY_CODECS:
        return _lossy_encoding(chosen, sample_rate, channels, bit_rate)
    if bits is None:
        bits_known = None if source is None or source.is_float else source.bits_per_sample
    else:
        bits_known = None if bits == 32 else bits
    if chosen == "pcm":
        if bits_known is None or bits_known > 32:
            return Encoding("pcm", "pcm_f32le", "flt", None, sample_rate, None)
        depth = max(16, bits_known)
        kind = "s16" if depth == 16 else "s32"
        return Encoding("pcm", f"pcm_s{depth}le", kind, depth, sample_rate, None)
    depth = 16 if bits_known is not None and bits_known <= 16 else 24
    planar = "p" if chosen == "alac" else ""
    kind = ("s16" if depth == 16 else "s32") + planar
    return Encoding(chosen, chosen, kind, depth, sample_rate, None)


def _lossy_encoding(codec: str, sample_rate: int, channels: int, bit_rate: int | None) -> Encoding:
    rates = _RATES[codec]
    rate = min((r for r in rates if r >= sample_rate), default=rates[-1])
    each = bit_rate // channels if bit_rate else 128_000
    if codec == "aac":
        each = min(each, 6 * rate)  # an AAC frame of 1024 samples holds at most 6144 bits
    elif codec == "opus":
        each = min(each, 256_000)
    encoder, sample_format, most = _LOSSY_CODECS[codec]
    limit = next((bits for top, bits in most.items() if rate <= top), each * channels)
    return Encoding(codec, encoder, sample_format, None, rate, min(each * channels, limit))


class Encoder:
    """Encodes float blocks into one new sound track of an output file.

    Args:
        encoding: the encoding.
        sample_rate: sample rate of the blocks.
        channels: number of channels of the blocks.
        layout: FFmpeg's name of the channel layout; None for the default.
        start: time of sample 0 in seconds.
        tags: title, language and so on.

    Attributes:
        stream: the stream in the output, after `join`.
        samples: number of samples per channel so far, at the rate of the blocks.
        clipped: number of clipped values (integer codecs only).
    """

    def __init__(
        self,
        encoding: Encoding,
        *,
        sample_rate: int,
        channels: int,
        layout: str | None,
        start: Fraction = Fraction(0),
        tags: dict[str, str] | None = None,
    ) -> None:
        self.encoding = encoding
        self.samples = 0
        self.clipped = 0
        self._channels = channels
        self._layout = _fitting_layout(encoding.codec, layout, channels)
        self._position = round(start * encoding.sample_rate)
        self._resampler = Resampler(sample_rate, encoding.sample_rate, channels)
        self._tags = tags or {}

    def join(self, output: OutputContainer) -> None:
        """Add a stream to an output file before its header is written.

        Raises:
            ContainerError: the codec cannot store that many channels or that rate.
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
            raise ContainerError(
                f"{self._layout} sound at {encoding.sample_rate} Hz cannot be stored as "
                f"{encoding.codec}: {error}",
                "write an .mkv file, or the voice alone as .wav",
            ) from error
        self.stream.metadata.update(self._tags)

    def push(self, samples: NDArray[np.float32]) -> Iterator[Packet[Any]]:
        """Add (channels, n) samples; returns finished packets."""
        if samples.ndim != 2 or samples.shape[0] != self._channels:
            raise ValueError(f"expected ({self._channels}, n) samples, not {samples.shape}")
        self.samples += samples.shape[1]
        yield from self._encoded(self._resampler.push(samples))

    def finish(self) -> Iterator[Packet[Any]]:
        """Return the remaining packets."""
        yield from self._encoded(self._resampler.flush())
        yield from self._bound(None)

    def _encoded(self, piece: NDArray[np.float32]) -> Iterator[Packet[Any]]:
        from av.audio.frame import AudioFrame

        if piece.shape[1] == 0:
            return
        frame = AudioFrame.from_ndarray(
            self._raw(piece), format=self.encoding.sample_format, layout=self._layout
        )
        frame.sample_rate = self.encoding.sample_rate
        frame.time_base = Fraction(1, self.encoding.sample_rate)
        frame.pts = self._position
        self._position += piece.shape[1]
        yield from self._bound(frame)

    def _bound(self, frame: Any) -> Iterator[Packet[Any]]:
        for packet in self.stream.encode(frame):
            packet.stream = self.stream
            yield packet

    def _raw(self, samples: NDArray[np.float32]) -> Any:
        """Convert samples to the format of the encoder: number type, planar or interleaved."""
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


class SpeechEncoder(Encoder):
    """One new sound track of an output file that draws its samples itself.

    Args:
        encoding: the encoding.
        blocks: (channels, n) float32 pieces.
        more: see `Encoder`.
    """

    def __init__(
        self, encoding: Encoding, blocks: Iterable[NDArray[np.float32]], **more: Any
    ) -> None:
        super().__init__(encoding, **more)
        self._packets = self._all(blocks)
        self._waiting: Packet[Any] | None = None

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

    def _all(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[Packet[Any]]:
        for block in blocks:
            yield from self.push(block)
        yield from self.finish()


def _fitting_layout(codec: str, layout: str | None, channels: int) -> str:
    fitting = layout
    if codec != "pcm":
        fitting = _TWINS.get(layout or "", layout)
    if (fitting is None or " channels" in fitting) and channels <= len(_USUAL_LAYOUTS):
        fitting = _USUAL_LAYOUTS[channels - 1]
    if fitting is None:
        raise ContainerError(
            f"{channels} channels cannot be stored as {codec}", "write the voice as a .wav file"
        )
    return fitting
