"""Read a sound track block by block, on a time line where sample n is at start + n / rate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from avse.errors import MediaError, NoAudioError
from avse.media.downmix import Downmix
from avse.media.opening import (
    CannotSkipError,
    Damage,
    StrPath,
    decode_stream,
    default_track,
    is_default,
    open_input,
    seconds,
    seek_near,
    usable_audio,
    with_next,
)
from avse.media.resample import Resampler
from avse.media.splices import find_splices

if TYPE_CHECKING:
    from typing import Self

    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler

# Time stamps are rounded (1 ms in Matroska), so small differences mean nothing. AVI stores none
# and FFmpeg counts them from packets, to within a packet.
_JITTER_S = Fraction(15, 1000)
_JITTER_AVI_S = Fraction(60, 1000)
_LEAP_S = 1  # a larger step is believed unless the next frame takes it back
_LONGEST_GAP_S = 60  # so is a larger step forward that leads past the end of the file
_RUN_UP_S = 1  # decoded before a start: coders lean on what came before, Opus by 80 ms
_SILENCE_S = 1  # silence is made in pieces of this length
_TOP_RATE = 4_000_000  # in hertz; nothing records sound so fast
_LOUDEST = 1e15  # full scale is 1; squares of more are beyond what float32 holds


@dataclass(frozen=True)
class AudioBlock:
    """A block of sound.

    Attributes:
        start: index of the first sample, relative to the start of the reader.
        samples: (channels, n) float32, full scale 1.0.
    """

    start: int
    samples: NDArray[np.float32]


class AudioReader:
    """An iterator over the blocks of one track, one pass; a context manager too.

    At the native rate the samples are exactly what the decoder gives; integers are divided by
    their full scale (32-bit integers keep the 24 leading bits that float32 holds). Blocks join
    without a gap: where the file has a hole, or damage, there is silence; where packets overlap,
    the later one loses its beginning. A change of rate or channels on the way is converted to
    what the track began with. Where the clock jumps although no stream holds anything in between,
    the parts are joined; see `avse.media.splices`. Resampling has no lag, and its sample 0 is the
    same instant. Values that are not numbers become 0.

    Args:
        path: the file.
        track: index in `probe(path).audio`; None for the default track.
        rate_hz: sample rate of the result; None for the native one.
        mono: mix all channels but the low-frequency effects to one; see `avse.media.downmix`.
        block_s: length of the blocks in seconds; the last may be shorter.
        start: time of the first sample, in seconds on the container's clock; most of what comes
            before is not decoded. None for the beginning of the track.
        stop: end (exclusive); None for the end of the track.

    Attributes:
        sample_rate: sample rate of the blocks.
        channels: number of channels of the blocks.
        channel_names: channel names of the track, such as ("FL", "FR").
        start: time of sample 0 in seconds on the container's clock, without encoder delay.
        empty: whether the track has no samples.
        filled: number of native samples of silence that filled holes so far.
        trimmed: number of native samples cut from overlaps so far.
        not_numbers: number of native values so far that were not finite, or absurdly large.

    Raises:
        MediaError: the file cannot be read, or none of the track can be decoded.
        NoAudioError: the track does not exist.
        ValueError: a rate or a block length is not positive.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        track: int | None = None,
        rate_hz: int | None = None,
        mono: bool = False,
        block_s: float = 1.0,
        start: Fraction | None = None,
        stop: Fraction | None = None,
    ) -> None:
        if (rate_hz is not None and rate_hz < 1) or not block_s > 0:
            raise ValueError("rate_hz and block_s must be positive")
        self._splices = find_splices(path)
        for way in ("read",) if start is None else ("seek", "skip", "read"):
            self._open(path, track, way, start)
            time = None if self._head is None else self._played(self._head)
            if way == "read" or (start is not None and time is not None and time <= start):
                break
            self._container.close()  # no index to go by, or there is nothing before the start
        if self._head is None and self._damage.skipped:
            self._container.close()
            raise MediaError(
                f"{path}: the sound is damaged, none of it can be decoded",
                "copy or download the file again",
            )
        self.empty = self._head is None
        like = self._head or self._stream.codec_context
        layout = like.layout
        self._layout: str = layout.name
        self._native_rate: int = like.sample_rate
        self._native_channels: int = layout.nb_channels
        if not 0 < self._native_rate <= _TOP_RATE or self._native_channels < 1:
            self._container.close()
            raise MediaError(
                f"{path}: its sound claims {self._native_channels} channels at "
                f"{self._native_rate} Hz, which no recording has",
                "the header is damaged: copy or download the file again",
            )
        self.channel_names: tuple[str, ...] = tuple(c.name for c in layout.channels)
        self.sample_rate: int = rate_hz or self._native_rate
        self.channels: int = 1 if mono else self._native_channels
        first = None if self._head is None else self._played(self._head)
        if first is None:
            first = seconds(self._stream.start_time, self._stream)
            first = Fraction(0) if first is None else self._splices.played(first)
        elif way != "read":
            first = self._to_the_sample(first, path, track)
        self._origin: Fraction = first
        self.start: Fraction = first if start is None else max(start, first)
        self._stop = stop
        self.filled = 0
        self.trimmed = 0
        self.not_numbers = 0
        self._mono = mono
        self._block = max(1, round(block_s * self.sample_rate))
        self._converter: AudioResampler | None = None
        self._blocks = self._cut()

    def _open(self, path: StrPath, track: int | None, way: str, start: Fraction | None) -> None:
        """Open the file and decode a frame: the first, or one shortly before the start."""
        self._damage = Damage()
        self._head: AudioFrame | None = None
        self._container = open_input(path)
        try:
            streams = usable_audio(self._container)
            if track is None:
                track = default_track(map(is_default, streams))
            if not 0 <= track < len(streams):
                raise _no_track(path, track, len(streams))
            self._stream = streams[track]
            near = None
            if start is not None and way != "read":
                near = self._splices.stored(start - _RUN_UP_S)
            if way == "seek" and near and not seek_near(self._container, self._stream, near):
                return
            self._frames = self._decode(near, sought=way == "seek")
            with contextlib.suppress(CannotSkipError):
                self._head = next(self._frames, None)
        except BaseException:
            self._container.close()
            raise

    def _to_the_sample(self, time: Fraction, path: StrPath, track: int | None) -> Fraction:
        """The time of a frame in the middle of a file whose clock is coarser than a sample.

        Matroska counts milliseconds. Frames of equal length tell the rest: those from the end of
        the file's first to the end of this one are a whole number.
        """
        tick, rate = self._stream.time_base, self._native_rate
        if tick is None or tick * rate <= 1 or self._head is None:
            return time
        with AudioReader(path, track=track) as beginning:
            first, second = beginning._head, next(beginning._frames, None)
        if first is None or second is None or second.samples < 8 * tick * rate:
            return time
        begin = beginning._origin + Fraction(first.samples - self._head.samples, rate)
        length = Fraction(second.samples, rate)
        counted = begin + round((time - begin) / length) * length
        return counted if abs(counted - time) <= tick else time

    @property
    def skipped(self) -> int:
        """Number of packets that could not be read or decoded so far."""
        return self._damage.skipped

    def __iter__(self) -> Iterator[AudioBlock]:
        return self

    def __next__(self) -> AudioBlock:
        return next(self._blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End reading and close the file."""
        self._blocks.close()  # type: ignore[attr-defined]
        self._container.close()

    def _decode(self, near: Fraction | None, *, sought: bool) -> Iterator[AudioFrame]:
        read = decode_stream(self._container, self._stream, self._damage, near=near, sought=sought)
        for frame in read:
            sound = cast("AudioFrame", frame)
            if sound.samples:
                yield sound

    def _cut(self) -> Iterator[AudioBlock]:
        """Cut pieces of any length into blocks of equal length."""
        held: list[NDArray[np.float32]] = []
        length = position = 0
        for piece in self._at_rate():
            held.append(piece)
            length += piece.shape[1]
            if length < self._block:
                continue
            joined = np.concatenate(held, axis=1)
            whole = length // self._block * self._block
            for at in range(0, whole, self._block):
                yield AudioBlock(position, joined[:, at : at + self._block].copy())
                position += self._block
            held, length = [joined[:, whole:]], length - whole
        if length:
            yield AudioBlock(position, np.concatenate(held, axis=1))

    def _at_rate(self) -> Iterator[NDArray[np.float32]]:
        """Convert pieces to the sample rate and number of channels of the result."""
        resampler = Resampler(self._native_rate, self.sample_rate, self.channels)
        mixed = self._mono and self._native_channels > 1
        for piece in self._mixed() if mixed else self._in_part():
            yield resampler.push(piece)
        yield resampler.flush()

    def _mixed(self) -> Iterator[NDArray[np.float32]]:
        heard = [n for n, name in enumerate(self.channel_names) if not name.startswith("LFE")]
        downmix = Downmix(self._native_rate, heard or list(range(self._native_channels)))
        for piece in self._in_part():
            yield from downmix.push(piece)
        yield from downmix.flush()

    def _in_part(self) -> Iterator[NDArray[np.float32]]:
        """Native pieces from start to stop, exact to the sample."""
        early = round((self.start - self._origin) * self._native_rate)
        left = None
        if self._stop is not None:
            left = max(0, round((self._stop - self.start) * self._native_rate))
        for piece in self._on_time_line():
            if left == 0:
                return
            wanted = piece[:, early:][:, :left]
            early = max(0, early - piece.shape[1])
            left = None if left is None else left - wanted.shape[1]
            yield wanted

    def _on_time_line(self) -> Iterator[NDArray[np.float32]]:
        """Contiguous native pieces: holes are filled with silence, overlaps are trimmed."""
        jitter = _JITTER_AVI_S if self._container.format.name == "avi" else _JITTER_S
        end = self._end()
        position = 0  # native samples given so far
        origin = self._origin  # time of sample 0 by the clock that the time stamps now follow
        for (time, samples), following in with_next(self._converted()):
            ahead = Fraction(0)
            if time is not None:
                ahead = time - origin - Fraction(position, self._native_rate)
                after = None if following is None else following[0]
                if abs(ahead) > _LEAP_S and _is_slip(time, time - ahead, after, end):
                    ahead = Fraction(0)  # one damaged time stamp must not move all that follows
            if ahead and time is not None:
                lost_clock = ahead > _LONGEST_GAP_S and end is not None and time > end
                if lost_clock or ahead < -_LEAP_S:
                    origin += ahead
                elif ahead > jitter:
                    hole = round(ahead * self._native_rate)
                    self.filled += hole
                    position += hole
                    yield from self._silence(hole)
                elif ahead < -jitter:
                    cut = min(samples.shape[1], round(-ahead * self._native_rate))
                    self.trimmed += cut
                    samples = samples[:, cut:]
            position += samples.shape[1]
            yield samples

    def _end(self) -> Fraction | None:
        """End of the track according to the file, or None."""
        duration = self._container.duration
        if duration is None:
            return None
        end = Fraction((self._container.start_time or 0) + duration, 10**6)
        return self._splices.played(end) + 1

    def _silence(self, count: int) -> Iterator[NDArray[np.float32]]:
        piece = _SILENCE_S * self._native_rate
        for at in range(0, count, piece):
            yield np.zeros((self._native_channels, min(piece, count - at)), np.float32)

    def _converted(self) -> Iterator[tuple[Fraction | None, NDArray[np.float32]]]:
        """Time and samples of each decoded frame, at the rate and channels of the first."""
        if self._head is None:
            return
        yield from self._convert(self._head)
        last_kind = _kind(self._head)
        for frame in self._frames:
            if _kind(frame) != last_kind:
                yield from self._convert(None)  # what the converter still holds
                last_kind = _kind(frame)
            yield from self._convert(frame)
        yield from self._convert(None)

    def _convert(
        self, frame: AudioFrame | None
    ) -> Iterator[tuple[Fraction | None, NDArray[np.float32]]]:
        if frame is None:
            converter, self._converter = self._converter, None
            for rest in [] if converter is None else converter.resample(None):
                yield None, self._numbers(frame_samples(rest))
            return
        from av.error import FFmpegError

        time = self._played(frame)
        if frame.sample_rate == self._native_rate and frame.layout.name == self._layout:
            yield time, self._numbers(frame_samples(frame))
            return
        if self._converter is None:
            from av.audio.resampler import AudioResampler

            self._converter = AudioResampler("fltp", self._layout, self._native_rate)
        else:
            time = None  # the converter lags a little: only its first output is placed by time
        try:
            converted = self._converter.resample(frame)
        except (FFmpegError, ValueError):  # damage can claim layouts that do not exist
            self._damage.skipped += 1
            self._converter = None
            return
        for made in converted:
            yield time, self._numbers(frame_samples(made))
            time = None

    def _played(self, frame: AudioFrame) -> Fraction | None:
        time = seconds(frame.pts, self._stream)
        return None if time is None else self._splices.played(time)

    def _numbers(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Replace values that are not finite by 0, and count them."""
        if samples.size and not float(np.abs(samples).max()) < _LOUDEST:
            good = np.abs(samples) < _LOUDEST
            self.not_numbers += int(samples.size - np.count_nonzero(good))
            return np.where(good, samples, np.float32(0))
        return samples


def frame_samples(frame: AudioFrame) -> NDArray[np.float32]:
    """Convert a decoded frame to (channels, n) float32 with full scale 1.0."""
    raw = frame.to_ndarray()
    if not frame.format.is_planar:
        raw = raw.reshape(-1, frame.layout.nb_channels).T
    raw = raw[:, : frame.samples]
    if raw.dtype == np.uint8:
        return (raw.astype(np.float32) - 128) / np.float32(128)
    if raw.dtype.kind == "i":
        full_scale = np.float32(2.0 ** (8 * raw.dtype.itemsize - 1))
        return np.asarray(raw.astype(np.float32) / full_scale, np.float32)
    return np.ascontiguousarray(raw, dtype=np.float32)


def _is_slip(
    time: Fraction, expected: Fraction, after: Fraction | None, end: Fraction | None
) -> bool:
    """Whether an unexpected time stamp is a single damaged number.

    It is when the frame after it is back on the old clock; the last frame of all is believed only
    if it lies within the file.
    """
    if after is None:
        return end is None or not expected < time <= end
    return after < time if time > expected else after >= expected


def _kind(frame: AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _no_track(path: StrPath, track: int, count: int) -> NoAudioError:
    if count == 0:
        return NoAudioError(f"{path} has no sound", "give a recording with a sound track")
    return NoAudioError(
        f"{path} has no sound track {track}: it has {count}",
        f"give a number from 0 to {count - 1}",
    )
