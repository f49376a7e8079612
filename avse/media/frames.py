"""Read a video stream frame by frame, each with its true time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from avse.errors import NoVideoError
from avse.media.opening import (
    CannotSkipError,
    Damage,
    StrPath,
    decode_stream,
    open_input,
    seconds,
    seek_near,
    with_next,
)
from avse.media.orientation import Orientation, orientation_of
from avse.media.pictures import DecodedPicture, Picture, Scaler
from avse.media.probe import VideoStream, probe
from avse.media.splices import find_splices
from avse.utils.processors import usable_processors

if TYPE_CHECKING:
    from typing import Self

    from av.audio.frame import AudioFrame
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream as AvVideoStream

_DEFAULT_RATE = Fraction(25)
_FEW_PROCESSORS = 2
_LEAP_S = 1  # a larger step is believed unless the next frame takes it back


@dataclass(frozen=True)
class Frame:
    """A video frame.

    Attributes:
        time: presentation time in seconds on the container's clock.
        picture: the upright picture.
    """

    time: Fraction
    picture: Picture

    @property
    def image(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8 RGB, upright."""
        return self.picture.image


def read_frames(
    path: StrPath,
    *,
    picture: int = 0,
    max_side: int | None = None,
    start: Fraction | float | None = None,
    stop: Fraction | float | None = None,
    rough: bool = False,
) -> Iterator[Frame]:
    """Read the frames of a file's video stream; see `FrameReader`."""
    with FrameReader(
        path, picture=picture, max_side=max_side, start=start, stop=stop, rough=rough
    ) as reader:
        yield from reader


class FrameReader:
    """An iterator over frames, one pass, with strictly rising times; a context manager too.

    Frames are upright, have square pixels, and keep their size unless `max_side` says otherwise.
    Where the clock jumps although no stream holds anything in between, the parts are joined.
    Damaged packets are left out; a file that was cut short gives what there is.

    Args:
        path: the file.
        picture: index in `probe(path).videos`.
        max_side: largest width and height in pixels; larger pictures are scaled down.
        start: first time, in seconds on the container's clock.
        stop: end (exclusive).
        shown: whether to begin with the frame that is visible at `start`, which has an earlier
            time, if no frame begins there.
        rough: whether to leave out the filter that smooths the edges of blocks, in frames to which
            no other frame refers. H.264 is decoded in a tenth less time; lips move by 0.0006 eye
            distances (root mean square; talking moves them by 0.017).

    Attributes:
        skipped: number of packets that could not be read or decoded so far, and of frames whose
            time stamp repeated or fell behind another's.

    Raises:
        MediaError: the file cannot be read.
        NoVideoError: it has no such moving picture.
        ValueError: `max_side` is less than 1.
    """

    def __init__(
        self,
        path: StrPath,
        *,
        picture: int = 0,
        max_side: int | None = None,
        start: Fraction | float | None = None,
        stop: Fraction | float | None = None,
        shown: bool = False,
        rough: bool = False,
    ) -> None:
        if max_side is not None and max_side < 1:
            raise ValueError(f"max_side must be at least 1, not {max_side}")
        info = probe(path)
        if not 0 <= picture < len(info.videos):
            raise NoVideoError(
                f"{path}: has no moving picture" + (f" {picture}" if picture else ""),
                "give a video that shows the speakers",
            )
        self._splices = find_splices(path)
        self.video: VideoStream = self._splices.moved_stream(info.videos[picture])
        self._path = path
        self._max_side = max_side
        self._start = None if start is None else Fraction(start)
        self._stop = None if stop is None else Fraction(stop)
        self._shown, self._rough = shown, rough
        self._damage = Damage()
        self._scaler = Scaler()
        self._container: InputContainer | None = None
        self._frames = self._read()

    @property
    def skipped(self) -> int:
        """Packets and frames left out so far."""
        return self._damage.skipped

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        return next(self._frames)

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
        """End reading and let go of the file."""
        self._frames.close()  # type: ignore[attr-defined]
        if self._container is not None:
            self._container.close()
            self._container = None

    def _read(self) -> Iterator[Frame]:
        for time, frame in self._wanted():
            yield Frame(time, self._picture(frame))
        if self._container is not None:
            self._container.close()

    def _wanted(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Decoded frames from `start` to `stop`."""
        shown = None
        for time, frame in self._from_start():
            if self._stop is not None and time >= self._stop:
                break
            if self._start is not None and time < self._start:
                shown = (time, frame) if self._shown else None
                continue
            if shown is not None and time != self._start:
                yield shown
            shown = None
            yield time, frame
        if shown is not None:
            yield shown

    def _from_start(self) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Decoded frames from the beginning, or from a key frame at or before `start`."""
        ways = (
            ("seek", "skip") if self._start is not None and self._start > self.video.start else ()
        )
        for way in ways:
            assert self._start is not None
            container, stream = self._open()
            first = None
            near = self._splices.stored(self._start)
            if way == "skip" or seek_near(container, stream, near):
                frames = self._timed(container, stream, near=near, sought=way == "seek")
                # What comes before the first key frame leans on pictures that were not read.
                with contextlib.suppress(CannotSkipError):
                    first = next((one for one in frames if one[1].key_frame), None)
            if first is not None and first[0] <= self._start:
                yield first
                yield from frames
                return
            container.close()  # this container seeks too far or not at all: read up to the place
            self._damage.skipped = 0
        yield from self._timed(*self._open())

    def _open(self) -> tuple[InputContainer, AvVideoStream]:
        container = open_input(self._path)
        self._container = container
        stream = cast("AvVideoStream", container.streams[self.video.index])
        # Threads of FFmpeg take a fifth more time in all, which a machine this small needs itself.
        stream.thread_type = "AUTO" if usable_processors() > _FEW_PROCESSORS else "NONE"
        if self._rough:
            stream.codec_context.options = {"skip_loop_filter": "noref"}
        return container, stream

    def _timed(
        self,
        container: InputContainer,
        stream: AvVideoStream,
        *,
        near: Fraction | None = None,
        sought: bool = False,
    ) -> Iterator[tuple[Fraction, VideoFrame]]:
        """Decoded frames with times that rise; those that do not rise are dropped."""
        step = 1 / (self.video.average_rate or _DEFAULT_RATE)
        last: Fraction | None = None
        shift = Fraction(0)
        read = decode_stream(container, stream, self._damage, near=near, sought=sought)
        for decoded, following in with_next(read):
            frame = cast("VideoFrame", decoded)
            stamp = self._played(frame, stream)
            if stamp is None:
                time = self.video.start if last is None else last + step
            else:
                time = stamp + shift
            if last is not None and stamp is not None and abs(time - last) > _LEAP_S:
                after = None if following is None else self._played(following, stream)
                back = after is not None and last < after + shift
                if back and (time < last or cast("Fraction", after) < stamp):
                    time = last + step  # one damaged time stamp must not move all that follows
            if last is not None and time <= last:
                if last - time <= _LEAP_S:
                    self._damage.skipped += 1
                    continue
                shift += last + step - time
                time = last + step
            last = time
            yield time, frame

    def _played(self, frame: AudioFrame | VideoFrame, stream: AvVideoStream) -> Fraction | None:
        time = _stamp(frame, stream)
        return None if time is None else self._splices.played(time)

    def _picture(self, frame: VideoFrame) -> Picture:
        turn = orientation_of(frame)
        return DecodedPicture(frame, turn, self._stored_size(turn), self._scaler)

    def _stored_size(self, turn: Orientation) -> tuple[int, int]:
        """Width and height to scale to before the picture is turned."""
        shown = (self.video.width, self.video.height)
        if turn.transposed:
            shown = (shown[1], shown[0])
        if self._max_side is None or max(shown) <= self._max_side:
            return shown
        scale = Fraction(self._max_side, max(shown))
        return max(1, round(shown[0] * scale)), max(1, round(shown[1] * scale))


def _stamp(frame: AudioFrame | VideoFrame, stream: AvVideoStream) -> Fraction | None:
    return seconds(frame.dts if frame.pts is None else frame.pts, stream)
