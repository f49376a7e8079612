"""Write a stem to a sound file block by block, at the bit depth of the recording."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from avse.errors import ContainerError, OutputError
from avse.media.atomic_files import check_destination, place, temporary_name, writing
from avse.media.encoding import LOSSY, Bits, Encoder, choose_encoding
from avse.media.opening import StrPath
from avse.media.probe import AudioStream
from avse.media.quantising import quantise, to_integers
from avse.media.sound_writers import FlacWriter, LossyWriter, SoundWriter, WavWriter
from avse.media.wav import speaker_mask

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "SOUND_SUFFIXES",
    "Clip",
    "StemWriter",
    "check_stem",
    "is_limited",
    "quantise",
    "stem_depth",
    "stored_rate",
]

Clip: TypeAlias = Literal["rescale", "clamp", "none"]

SOUND_SUFFIXES = (".wav", ".flac", *LOSSY)
"""Endings of the sound files that can be written."""

_FLAC_CHANNELS = 8
_FLAC_TOP_RATE = 655_350
_WAV_CHANNELS = 65_535
_PIECE = 1 << 16  # values (samples times channels) that are read back at a time


def stem_depth(
    suffix: str, source: AudioStream | None, bits: Bits | None = None
) -> tuple[int | None, bool]:
    """Choose the bit depth of a stem.

    Integer sources keep their depth, but 8 bits become 16: a voice is softer than the mixture, so
    that the rounding noise of 8 bits would be audible. Stems of lossy and floating-point sources
    are 32-bit float in WAV, and 24 bits in FLAC, which has neither floats nor more bits.

    Args:
        suffix: one of `SOUND_SUFFIXES`.
        source: the track that the stem comes from; None counts as floating point.
        bits: depth to use instead; 32 is floating point.

    Returns:
        Bits per sample, None for lossy files; and whether samples are floating point.

    Raises:
        ContainerError: the file format does not have this depth.
    """
    if bits is not None and (suffix in LOSSY or (suffix == ".flac" and bits == 32)):
        if suffix == ".flac":
            raise ContainerError(
                f"FLAC holds at most 24 bits, not {bits}", "choose --bits 24, or a .wav file"
            )
        raise ContainerError(
            f"{suffix} files are lossy: they have no {bits} bits",
            "leave --bits out, or choose .wav or .flac",
        )
    if suffix in LOSSY:
        return None, True
    if bits is not None:
        return bits, bits == 32
    known = None if source is None or source.is_float else source.bits_per_sample
    if suffix == ".flac":
        return min(24, max(16, known or 24)), False
    if known is None or known > 32:
        return 32, True
    return max(16, known), False


def is_limited(suffix: str, source: AudioStream | None, bits: Bits | None = None) -> bool:
    """Whether samples in a sound file are limited to full scale: yes, except floating point in WAV.

    Lossy files can hold larger values, but most players clip them.
    """
    return suffix in LOSSY or not stem_depth(suffix, source, bits)[1]


def stored_rate(suffix: str, sample_rate: int) -> int:
    """The sample rate of a sound file for sound of a given rate, both in Hz.

    It is another rate if the codec does not support the given one. Opus is always 48,000 Hz.
    """
    if suffix not in LOSSY:
        return sample_rate
    if LOSSY[suffix][1] == "opus":
        return 48_000
    return choose_encoding(suffix, "auto", sample_rate, 1, None).sample_rate


class StemWriter:
    """Writes (channels, n) float32 blocks to a sound file; a context manager.

    `close` puts the complete file in place. Before that, and after an exception, no file is there.
    Floating-point files hold any value. All others are limited to full scale; `clip` chooses what
    happens to values beyond it:

    - "rescale": the whole file is attenuated, by 1 / peak or by the gain that `close` gets; see
      `gain_applied`.
    - "clamp": these values are clipped, and counted in `clipped`.
    - "none": these values are clipped, and not counted.

    Args:
        path: the file to write; its ending, one of `SOUND_SUFFIXES`, chooses the format. WAV files
            of more than 4 GB are RF64. Sound is resampled if a lossy codec does not support its
            rate.
        sample_rate: samples per second.
        channels: number of channels.
        source: the track that the stem comes from, which decides the depth; see `stem_depth`.
        bits: depth to use instead; 32 is floating point.
        clip: see above.
        hold: write the samples only on `close`, so that a gain can be applied to any file. Limited
            files with "rescale" are always written this way.
        overwrite: replace a file that exists already.

    Attributes:
        path: the file.
        bits: bits per sample; None for lossy files.
        is_float: whether samples are stored or encoded as floating point.
        is_limited: whether samples are limited to full scale.
        frames: samples per channel so far.
        peak: largest absolute value so far.
        clipped: number of clipped values.
        gain_applied: the gain that `close` applied to the file; 1.0 for none.

    Raises:
        OutputExistsError: the file exists and `overwrite` is false.
        OutputError: the format does not have this ending, depth, rate or number of channels; the
            folder is missing or read-only; the disk is full; or samples are not numbers.
        ValueError: a block has the wrong shape.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        sample_rate: int,
        channels: int,
        source: AudioStream | None = None,
        bits: Bits | None = None,
        clip: Clip = "rescale",
        hold: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(path)
        self._suffix = self.path.suffix.lower()
        if sample_rate < 1 or channels < 1:
            raise ValueError("sample_rate and channels must be at least 1")
        check_stem(self.path, sample_rate, channels, source, bits)
        if clip not in ("rescale", "clamp", "none"):
            raise ValueError(f"clip must be rescale, clamp or none, not {clip!r}")
        check_destination(self.path, overwrite=overwrite)
        self.bits, self.is_float = stem_depth(self._suffix, source, bits)
        self.is_limited = is_limited(self._suffix, source, bits)
        self.frames = 0
        self.peak = 0.0
        self.clipped = 0
        self.gain_applied = 1.0
        self._sample_rate, self._channels = sample_rate, channels
        self._names = source.channel_names if source is not None else ()
        same = source is not None and source.channels == channels
        self._layout = source.layout if source is not None and same else None
        self._clip = clip
        self._overwrite = overwrite
        self._temporary = temporary_name(self.path)
        self._raw: BinaryIO | None = None  # float samples, as long as the gain is unknown
        self._raw_name = self._temporary.with_suffix(".f32")
        self._writer: SoundWriter | None = None
        self._open = True
        try:
            if hold or (clip == "rescale" and self.is_limited):
                with writing(self.path):
                    self._raw = self._raw_name.open("w+b")
            else:
                self._writer = self._make_writer()
        except BaseException:
            self.abandon()
            raise

    def write(self, samples: NDArray[np.float32]) -> None:
        """Append samples, (channels, n) float32."""
        if not self._open:
            raise ValueError("the writer is closed")
        if samples.ndim != 2 or samples.shape[0] != self._channels:
            raise ValueError(f"expected ({self._channels}, n) samples, not {samples.shape}")
        if samples.shape[1] == 0:
            return
        peak = float(np.abs(samples).max())
        if not np.isfinite(peak):
            raise OutputError(
                f"{self.path}: the sound holds values that are not numbers",
                "this is a defect in the model or its weights, not in the recording",
            )
        self.peak = max(self.peak, peak)
        self.frames += samples.shape[1]
        if self._raw is not None:
            with writing(self.path):
                self._raw.write(samples.T.astype("<f4").tobytes())
        else:
            self._put(samples)

    def close(self, gain: float | None = None) -> None:
        """Complete the file and put it in place; a second call does nothing.

        Args:
            gain: factor for all samples, if they were held back (see `hold`); None for the gain
                that `clip` requires.
        """
        if not self._open:
            return
        try:
            if self._raw is not None:
                own = 1.0 if not self.is_limited or self.peak <= 1.0 else 1.0 / self.peak
                self.gain_applied = own if gain is None else gain
                self._writer = self._make_writer()
                factor = np.float32(self.gain_applied)
                for piece in self._read_back(self._raw):
                    self._put(piece if self.gain_applied == 1.0 else piece * factor)
            assert self._writer is not None
            with writing(self.path):
                self._writer.finish()
            place(self._temporary, self.path, overwrite=self._overwrite)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Stop writing and delete the unfinished file; after `close`, this does nothing."""
        self._open = False
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        if self._writer is not None:
            self._writer.drop()
            self._writer = None
        self._raw_name.unlink(missing_ok=True)
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _make_writer(self) -> SoundWriter:
        rate, channels = self._sample_rate, self._channels
        with writing(self.path):
            if self.bits is None:
                encoder = _encoder(self._suffix, rate, channels, self._layout)
                return LossyWriter(self._temporary, LOSSY[self._suffix][0], encoder)
            if self._suffix == ".flac":
                return FlacWriter(self._temporary, rate, channels, self.bits)
            assert self._suffix == ".wav", f"{self._suffix} has no writer"
            mask = speaker_mask(self._names, channels)
            return WavWriter(self._temporary, rate, channels, self.bits, self.is_float, mask)

    def _put(self, samples: NDArray[np.float32]) -> None:
        assert self._writer is not None
        if self.is_limited and self._clip == "clamp":
            self.clipped += int(np.count_nonzero(np.abs(samples) > 1.0))
        with writing(self.path):
            if self.bits is None:
                self._writer.put(np.clip(samples, -1, 1))
            else:
                self._writer.put(samples if self.is_float else to_integers(samples, self.bits))

    def _read_back(self, raw: BinaryIO) -> Iterator[NDArray[np.float32]]:
        with writing(self.path):
            raw.seek(0)
        count = max(1, _PIECE // self._channels) * self._channels
        while data := raw.read(4 * count):
            yield np.frombuffer(data, "<f4").reshape(-1, self._channels).T


def check_stem(
    path: Path,
    sample_rate: int,
    channels: int,
    source: AudioStream | None = None,
    bits: Bits | None = None,
) -> None:
    """Check whether a stem can be written to a sound file, without writing it.

    Args:
        path: the file; only its name is used.
        sample_rate, channels, source, bits: see `StemWriter`.

    Raises:
        OutputError: the format does not have this ending, depth, rate or number of channels.
    """
    suffix = path.suffix.lower()
    if suffix not in SOUND_SUFFIXES:
        raise OutputError(
            f"{path.name}: a stem can only be one of {' '.join(SOUND_SUFFIXES)}",
            "change the ending",
        )
    stem_depth(suffix, source, bits)
    if suffix == ".flac" and channels > _FLAC_CHANNELS:
        raise OutputError(
            f"{path.name}: FLAC holds at most {_FLAC_CHANNELS} channels, not {channels}",
            "write a .wav file",
        )
    if suffix == ".flac" and sample_rate > _FLAC_TOP_RATE:
        raise OutputError(
            f"{path.name}: FLAC holds at most {_FLAC_TOP_RATE} Hz, not {sample_rate}",
            "write a .wav file",
        )
    if channels > _WAV_CHANNELS:
        raise OutputError(f"{path.name}: WAV cannot hold {channels} channels", "mix them down")
    if suffix in LOSSY:
        import av

        layout = source.layout if source is not None and source.channels == channels else None
        try:
            with av.open(BytesIO(), "w", format=LOSSY[suffix][0]) as trial:
                _encoder(suffix, sample_rate, channels, layout).join(trial)
        except ContainerError as error:
            called = {".mp3": "MP3", ".m4a": "AAC"}.get(suffix, "Opus")
            raise ContainerError(
                f"{path.name}: {called} does not take {channels} channels",
                "write a .wav or a .flac file",
            ) from error


def _encoder(suffix: str, sample_rate: int, channels: int, layout: str | None) -> Encoder:
    encoding = choose_encoding(suffix, "auto", sample_rate, channels, None)
    return Encoder(encoding, sample_rate=sample_rate, channels=channels, layout=layout)
