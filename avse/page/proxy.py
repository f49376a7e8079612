"""Video for the browser: the original file if browsers can surely play it, else encoded segments.

A browser that cannot decode a recording gets segments of four seconds, which are encoded on
request. Each is a complete fragmented MP4 file, which MediaSource places by its time stamps.
"""

from __future__ import annotations

import io
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from avse.errors import NoVideoError
from avse.media.frames import Frame, FrameReader
from avse.media.opening import StrPath, open_input
from avse.media.probe import MediaInfo, VideoStream, probe
from avse.media.splices import find_splices

if TYPE_CHECKING:
    import numpy as np
    from av.audio.stream import AudioStream as AvAudioStream
    from av.packet import Packet
    from av.video.stream import VideoStream as AvVideoStream
    from numpy.typing import NDArray

SEGMENT_S = 4
"""Length of a segment in seconds; segment k begins at k times this playing time."""

PROXY_TYPE = 'video/mp4; codecs="avc1.4d4028"'
"""Type for `MediaSource.addSourceBuffer`: H.264, main profile, level 4.0 whatever the size."""

HEIGHT, LEAST_HEIGHT, LARGEST_HEIGHT = 480, 120, 1080
_LARGEST_WIDTH = 1920  # of level 4.0
_TICKS = 90_000  # per second
_AT_ONCE = 2  # maximum number of segments encoded in parallel, and of readers that are kept open
_X264 = "keyint=infinite:scenecut=0:bframes=0:level=40:threads=1:colormatrix=smpte170m"
_ONE_FRAGMENT = "empty_moov+default_base_moof+frag_keyframe+skip_trailer"


class UnwantedError(Exception):
    """No client waits for the segment any more."""


def _always() -> bool:
    return True


class Proxy:
    """Makes segments of a recording's video; several threads may use it at once.

    Segments are cached, and at most two are encoded at the same time. The reader of a segment is
    kept open for the next segment, so that continuous playback decodes each picture once.

    Args:
        path: the recording.
        picture: index of the video track.
        cache_bytes: size limit of the cache of segments.

    Raises:
        MediaError: the file cannot be read.
        NoVideoError: the file has no such video track.
    """

    def __init__(self, path: StrPath, *, picture: int = 0, cache_bytes: int = 64_000_000) -> None:
        info = find_splices(path).apply(probe(path))
        if picture >= len(info.videos):
            raise NoVideoError(f"{path}: has no moving picture {picture}", "choose another")
        self._path, self._picture, self._cache_bytes = path, picture, cache_bytes
        self._video = info.videos[picture]
        self._origin, self._duration = info.start, info.duration
        self._change = threading.Condition()
        self._made: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._busy: set[tuple[int, int]] = set()
        self._waiting: OrderedDict[tuple[int, int], _Pictures] = OrderedDict()
        self._closed = False

    def segment(
        self, number: int, *, height: int = HEIGHT, wanted: Callable[[], bool] = _always
    ) -> bytes | None:
        """Encode a segment, read it from the cache, or wait until another thread has encoded it.

        Args:
            number: number of the segment, from 0.
            height: maximum height of the picture, in pixels.
            wanted: called between two pictures; returns False if no client waits any more.

        Returns:
            The fragmented MP4, or None after the end of the recording.

        Raises:
            UnwantedError: no client waits any more.
            MediaError: the file cannot be read.
        """
        if self._duration is not None and number * SEGMENT_S >= self._duration:
            return None
        key = (number, height)
        with self._change:
            while key not in self._made and (key in self._busy or len(self._busy) >= _AT_ONCE):
                self._check(wanted)
                self._change.wait(0.1)
            if key in self._made:
                self._made.move_to_end(key)
                return self._made[key]
            self._check(wanted)
            self._busy.add(key)
            pictures = self._waiting.pop(key, None)
        try:
            if pictures is None:
                pictures = self._open(number, height)
            data = self._make(pictures, number, wanted)
            self._keep(key, data, pictures)
        except BaseException:
            if pictures is not None:
                pictures.close()
            raise
        finally:
            with self._change:
                self._busy.discard(key)
                self._change.notify_all()
        return data

    def close(self) -> None:
        """Close the file and cancel segments that are being encoded."""
        with self._change:
            self._closed = True
            left = list(self._waiting.values())
            self._waiting.clear()
            self._made.clear()
            self._change.notify_all()
        for pictures in left:
            pictures.close()

    def _check(self, wanted: Callable[[], bool]) -> None:
        if self._closed or not wanted():
            raise UnwantedError

    def _open(self, number: int, height: int) -> _Pictures:
        start = self._origin + number * SEGMENT_S
        return _Pictures(self._path, self._picture, start, _size(self._video, height))

    def _make(self, pictures: _Pictures, number: int, wanted: Callable[[], bool]) -> bytes | None:
        begin = self._origin + number * SEGMENT_S
        end = begin + SEGMENT_S
        if self._duration is not None:
            end = min(end, self._origin + self._duration)
        with _Segment(pictures.size, self._video.average_rate) as segment:
            for time, image in pictures.between(begin, end):
                self._check(wanted)
                segment.add(time - begin, image)
            return segment.finish(number * SEGMENT_S, end - begin)

    def _keep(self, key: tuple[int, int], data: bytes | None, pictures: _Pictures) -> None:
        following = (key[0] + 1, key[1])
        with self._change:
            if data is None or self._closed:
                dropped: list[_Pictures] = [pictures]
            else:
                self._made[key] = data
                while sum(map(len, self._made.values())) > self._cache_bytes:
                    self._made.popitem(last=False)
                dropped = [old for old in (self._waiting.pop(following, None),) if old]
                self._waiting[following] = pictures
                while len(self._waiting) > _AT_ONCE:
                    dropped.append(self._waiting.popitem(last=False)[1])
        for one in dropped:
            one.close()


class _Pictures:
    """Reads the pictures of a recording in consecutive intervals, from `start` on."""

    def __init__(self, path: StrPath, picture: int, start: Fraction, size: tuple[int, int]) -> None:
        self.size = size
        self._reader = FrameReader(
            path, picture=picture, max_side=max(size), start=start, shown=True
        )
        self._coming: Frame | None = next(self._reader, None)
        self._shown: Frame | None = None

    def between(
        self, begin: Fraction, end: Fraction
    ) -> Iterator[tuple[Fraction, NDArray[np.uint8]]]:
        """Yield the times and pictures in [begin, end), beginning with one at `begin`.

        The first picture is the one that is shown at `begin`, which may have begun earlier; before
        the first picture of the file it is that one. Nothing is yielded if the file has none.
        """
        while self._coming is not None and self._coming.time <= begin:
            self._step()
        first = self._shown or self._coming
        if first is None:
            return
        yield begin, first.image
        while self._coming is not None and self._coming.time < end:
            yield self._coming.time, self._coming.image
            self._step()

    def _step(self) -> None:
        self._shown, self._coming = self._coming, next(self._reader, None)

    def close(self) -> None:
        self._reader.close()


class _Segment:
    """Encodes pictures to a fragmented MP4; a context manager."""

    def __init__(self, size: tuple[int, int], rate: Fraction | None) -> None:
        import av

        self._buffer = io.BytesIO()
        self._file = av.open(self._buffer, "w", format="mp4", options={"movflags": _ONE_FRAGMENT})
        options = {"preset": "superfast", "tune": "zerolatency", "profile": "main", "crf": "26"}
        self._stream = self._file.add_stream(
            "libx264",
            rate=min(max(rate or Fraction(25), Fraction(1)), Fraction(120)).limit_denominator(1001),
            options={**options, "x264-params": _X264},
        )
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, _TICKS)
        self._packets: list[Packet[AvVideoStream]] = []
        self._last = -1

    def __enter__(self) -> _Segment:
        return self

    def __exit__(self, *about: object) -> None:
        self._file.close()

    def add(self, time: Fraction, image: NDArray[np.uint8]) -> None:
        """Encode a picture; it is left out if it is less than a tick after the last one."""
        import av

        ticks = round(time * _TICKS)
        if ticks <= self._last:
            return
        self._last = ticks
        rgb = av.VideoFrame.from_ndarray(image, "rgb24")
        frame = rgb.reformat(self._stream.width, self._stream.height, "yuv420p", threads=1)
        frame.pts, frame.time_base = ticks, Fraction(1, _TICKS)
        self._packets += self._stream.encode(frame)

    def finish(self, start_s: int, length: Fraction) -> bytes | None:
        """Complete the file and return it; None without pictures.

        Args:
            start_s: seconds that are added to all times.
            length: of the segment, in seconds.
        """
        self._packets += self._stream.encode(None)
        if not self._packets:
            return None
        ticks = [cast("int", packet.pts) for packet in self._packets]
        ends = [*ticks[1:], max(round(length * _TICKS), ticks[-1] + 1)]
        for packet, end in zip(self._packets, ends, strict=True):
            packet.duration = end - cast("int", packet.pts)
            self._file.mux(packet)
        self._file.close()
        data = bytearray(self._buffer.getvalue())
        # FFmpeg writes times relative to the first packet. MediaSource uses the decode time of the
        # fragment, which is replaced here (ISO 14496-12, 8.8.12, version 1: 64 bits).
        place = data.index(b"tfdt", data.index(b"moof")) + 8
        data[place : place + 8] = struct.pack(">Q", start_s * _TICKS)
        return bytes(data)


def _size(video: VideoStream, height: int) -> tuple[int, int]:
    """Compute the width and height of a segment: even numbers, at most `height` high."""
    scale = min(Fraction(1), Fraction(height, video.height), Fraction(_LARGEST_WIDTH, video.width))
    width, height = (max(2, round(side * scale / 2) * 2) for side in (video.width, video.height))
    return width, height


def media_type(info: MediaInfo) -> str | None:
    """The MIME type with codecs (RFC 6381) of a file, if `<video>` surely plays it in time.

    This holds for MP4 and MOV with H.264, and for WebM with VP8, VP9 or AV1, with 8 bits, 4:2:0,
    one picture, and no jumps of the clock. Sound codecs that browsers do not support are left out
    of the type.

    Args:
        info: description of the file.

    Returns:
        For example 'video/mp4; codecs="avc1.64001f, mp4a.40.2"'; None if playback is uncertain.

    Raises:
        MediaError: the file cannot be read.
    """
    mp4, webm = info.format.startswith("mov,"), _is_webm(info.path)
    if not (mp4 or webm) or len(info.videos) != 1 or info.videos[0].mirrored:
        return None
    if (webm and info.videos[0].rotation) or find_splices(info.path).all:
        return None
    with open_input(info.path) as container:
        stream = cast("AvVideoStream", container.streams[info.videos[0].index])
        picture = _picture_codec(stream, mp4=mp4)
        sounds = [
            _sound_codec(cast("AvAudioStream", container.streams[sound.index]), mp4=mp4)
            for sound in info.audio
        ]
    if picture is None:
        return None
    codecs = ", ".join(dict.fromkeys(codec for codec in (picture, *sounds) if codec))
    return f'video/{"mp4" if mp4 else "webm"}; codecs="{codecs}"'


def _is_webm(path: Path) -> bool:
    """Whether the EBML header of a file names WebM; FFmpeg does not tell it from Matroska."""
    with path.open("rb") as file:
        head = file.read(64)
    return head.startswith(b"\x1a\x45\xdf\xa3") and b"\x42\x82\x84webm" in head


def _picture_codec(stream: AvVideoStream, *, mp4: bool) -> str | None:
    context = stream.codec_context
    if context.pix_fmt not in ("yuv420p", "yuvj420p"):
        return None
    data = bytes(context.extradata or b"")
    name = context.codec.canonical_name
    if mp4:
        # AVCDecoderConfigurationRecord (ISO 14496-15): version, profile, constraints, level.
        known = name == "h264" and len(data) > 3 and data[0] == 1
        return f"avc1.{data[1:4].hex()}" if known else None
    if name in ("vp8", "vp9"):  # these have 8 bits; VP9 is profile 0, because of `pix_fmt`
        return name
    if name == "av1" and len(data) > 3 and data[0] == 0x81:
        # AV1CodecConfigurationRecord: 3 bits of profile, 5 of level; then the tier.
        tier = "H" if data[2] & 0x80 else "M"
        return f"av01.{data[1] >> 5}.{data[1] & 31:02}{tier}.08"
    return None


def _sound_codec(stream: AvAudioStream, *, mp4: bool) -> str | None:
    name = stream.codec_context.codec.canonical_name
    if not mp4:
        return name if name in ("opus", "vorbis") else None
    if name == "aac":
        data = bytes(stream.codec_context.extradata or b"")
        kind = data[0] >> 3 if data else 2  # AudioSpecificConfig: 5 bits, and 6 more if they are 31
        if kind == 31 and len(data) > 1:
            kind = 32 + ((data[0] & 7) << 3 | data[1] >> 5)
        return f"mp4a.40.{kind}"
    return {"mp3": "mp4a.6b", "opus": "opus", "flac": "flac"}.get(name)
