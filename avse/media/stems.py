"""Write a voice to a sound file as it comes, at the depth of the recording it came from."""

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
from avse.media.sound_writers import EncodedTarget, FlacTarget, Target, WavTarget
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
"""Endings of the files of sound alone that can be written."""

_FLAC_CHANNELS = 8
_FLAC_TOP_RATE = 655_350
_WAV_CHANNELS = 65_535
_PIECE = 1 << 16  # samples of all channels that are read back at a time


def stem_depth(
    suffix: str, source: AudioStream | None, bits: Bits | None = None
) -> tuple[int | None, bool]:
    """Bits per sample and whether they are floating point, for a stem of a source.

    Integer sources keep their depth. 8 bits become 16: a voice taken out of a mixture is softer
    than the mixture, and 8 bits would drown it in rounding noise. Lossy and floating-point
    sources, which the decoder gives as floats, become 32-bit float in WAV. FLAC holds at most 24
    bits and no floats. Lossy files have no depth, and are fed floats.

    Args:
        suffix: one of `SOUND_SUFFIXES`.
        source: the track that the stem comes from; None counts as floating point.
        bits: depth to use instead; 32 is floating point.

    Raises:
        ContainerError: the kind of file has no such depth.
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
    """Whether full scale is the limit in a sound file: it is, but for floating point in WAV.

    Lossy files hold more, but most players do not play more.
    """
    return suffix in LOSSY or not stem_depth(suffix, source, bits)[1]


def stored_rate(suffix: str, sample_rate: int) -> int:
    """The sample rate that a sound file has for sound of a rate; another if it is impossible.

    Opus is always played at 48,000 Hz.
    """
    if suffix not in LOSSY:
        return sample_rate
    if LOSSY[suffix][1] == "opus":
        return 48_000
    return choose_encoding(suffix, "auto", sample_rate, 1, None).sample_rate


class StemWriter:
    """Writes (channels, n) float32 blocks; a context manager.

    The file appears under its name on `close`, complete; until then, and after an exception, there
    is no trace of it. Floating-point files take any value as it is. In all others full scale is the
    limit, and `clip` says what to do when the sound goes beyond:

    - "rescale": the whole file is made softer, by 1 / peak or as `close` is told; see
      `gain_applied`.
    - "clamp": values beyond are set to the limit; see `clipped`.
    - "none": as "clamp", for callers who do not want to hear of it: `clipped` stays 0.

    Args:
        path: where to write; the ending, one of `SOUND_SUFFIXES`, chooses the format. WAV files of
            more than 4 GB are RF64. Lossy files are resampled where their codec has no such rate.
        sample_rate: samples per second.
        channels: number of channels.
        source: the track that the stem comes from, which decides the depth; see `stem_depth`.
        bits: depth to use instead; 32 is floating point.
        clip: what to do with sound beyond full scale where that is the limit.
        hold: keep the sound back until `close`, so that a gain can be applied to the file even if
            it takes any value; what "rescale" does to integer files anyway.
        overwrite: replace a file that exists already.

    Attributes:
        path: as given.
        bits: bits per sample; None in lossy files.
        is_float: whether samples are stored, or coded, as floating point.
        is_limited: whether full scale is the limit.
        frames: samples per channel written so far.
        peak: largest absolute value written so far.
        clipped: number of values set to the limit.
        gain_applied: 1.0, or the gain by which `close` attenuated the file.

    Raises:
        OutputExistsError: the file exists and `overwrite` is false.
        OutputError: an ending, depth, rate or number of channels that cannot be written, a missing
            or read-only folder, a full disk, or samples that are not numbers.
        ValueError: a block of the wrong shape.
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
        self._raw: BinaryIO | None = None  # float samples, while the gain is not known
        self._raw_name = self._temporary.with_suffix(".f32")
        self._target: Target | None = None
        self._open = True
        try:
            if hold or (clip == "rescale" and self.is_limited):
                with writing(self.path):
                    self._raw = self._raw_name.open("w+b")
            else:
                self._target = self._make_target()
        except BaseException:
            self.abandon()
            raise

    def write(self, samples: NDArray[np.float32]) -> None:
        """Append (channels, n) samples."""
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
        """Finish the file and give it its name; the second time, do nothing.

        Args:
            gain: what to multiply all of it with, where it was held back; None for what `clip`
                says.
        """
        if not self._open:
            return
        try:
            if self._raw is not None:
                own = 1.0 if not self.is_limited or self.peak <= 1.0 else 1.0 / self.peak
                self.gain_applied = own if gain is None else gain
                self._target = self._make_target()
                factor = np.float32(self.gain_applied)
                for piece in self._read_back(self._raw):
                    self._put(piece if self.gain_applied == 1.0 else piece * factor)
            assert self._target is not None
            with writing(self.path):
                self._target.finish()
            place(self._temporary, self.path, overwrite=self._overwrite)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Stop and leave nothing behind; after `close`, do nothing."""
        self._open = False
        if self._raw is not None:
            self._raw.close()
            self._raw = None
        if self._target is not None:
            self._target.drop()
            self._target = None
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

    def _make_target(self) -> Target:
        rate, channels = self._sample_rate, self._channels
        with writing(self.path):
            if self.bits is None:
                encoder = _encoder(self._suffix, rate, channels, self._layout)
                return EncodedTarget(self._temporary, LOSSY[self._suffix][0], encoder)
            if self._suffix == ".flac":
                return FlacTarget(self._temporary, rate, channels, self.bits)
            assert self._suffix == ".wav", f"{self._suffix} has no writer"
            mask = speaker_mask(self._names, channels)
            return WavTarget(self._temporary, rate, channels, self.bits, self.is_float, mask)

    def _put(self, samples: NDArray[np.float32]) -> None:
        assert self._target is not None
        if self.is_limited and self._clip == "clamp":
            self.clipped += int(np.count_nonzero(np.abs(samples) > 1.0))
        with writing(self.path):
            if self.bits is None:
                self._target.put(np.clip(samples, -1, 1))
            else:
                self._target.put(samples if self.is_float else to_integers(samples, self.bits))

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
    """Find out before any work whether a stem can be written to a sound file.

    Args:
        path: of the file; only its name is looked at.
        sample_rate, channels, source, bits: see `StemWriter`.

    Raises:
        OutputError: the ending is of no sound file, or such files do not take the rate, the number
            of channels or the depth.
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
