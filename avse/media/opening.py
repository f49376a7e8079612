"""Open media files, read packets, and decode streams; FFmpeg's errors become `MediaError`.

All readers use this module. `open_input` opens every input, because by default FFmpeg follows
playlists to other files and to the network. `read_packets` and `decode_packet` skip damaged packets
and count them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from avse.errors import MediaError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

StrPath: TypeAlias = "str | PathLike[str]"
T = TypeVar("T")

# FFmpeg's names of the formats that hold picture and sound themselves. Left out are playlists,
# descriptions of streams, devices, scripts, formats that continue in a second file, and text art.
_FORMATS = """
mov mp4 matroska webm avi mpeg mpegts mpegtsraw mpegvideo flv live_flv kux asf asf_o rm ogg nut mxf
mxf_opatom gxf dv ivf wtv nsv nuv lxf swf ty dhav ivr yuv4mpegpipe
h261 h263 h264 hevc vvc evc av1 obu m4v vc1 vc1test mjpeg mjpeg_2000 dirac cavsvideo avs2 avs3
gif apng png_pipe jpeg_pipe webp_pipe bmp_pipe tiff_pipe
wav w64 aiff caf au voc flac mp3 aac ac3 ac4 eac3 dts dtshd truehd mlp loas latm amr amrnb amrwb ape
wv tta tak shn mpc mpc8 oma dsf iff qcp gsm ilbc g722 g729 aptx sbc nistsphere ircam sox sln spdif
"""
_OPTIONS = {
    "fflags": "+genpts",  # for AVI with B-frames, which stores no presentation times
    "format_whitelist": ",".join(_FORMATS.split()),
    "protocol_whitelist": "file",
    "enable_drefs": "0",  # tracks of a MOV whose data is in another file
    "use_absolute_path": "0",
}
_URL = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # not "C:/"
_PLAYLISTS = {
    "#extm3u": "a playlist (HLS)",
    "ffconcat": "a list of files (ffconcat)",
    "[playlist]": "a playlist",
    "[reference]": "a playlist",
    "<asx": "a playlist",
    "<smil": "a playlist",
    "<mpd": "a playlist (DASH)",
    "<smoothstreamingmedia": "a playlist",
    "v=0": "a description of a stream (SDP)",
}
_LEAP_S = 2  # a longer time from one packet to the next is a splice or a gap
_MOST_HELD = 3000  # packets from one key frame to the next
# Formats without an index of key frames: seeking lands on any packet, and decoding may fail there.
_NO_INDEX = frozenset({"mpeg", "mpegts", "mpegvideo", "h264", "hevc"})
_MAX_ERRORS = 100  # consecutive errors after which a damaged file is taken to have ended
_CHECK = "check that it plays in a media player; copy or download it again if it does not"


@dataclass
class Damage:
    """Counts damaged parts of a file.

    Attributes:
        skipped: number of times that reading or decoding failed and was continued.
    """

    skipped: int = 0


def open_input(path: StrPath) -> InputContainer:
    """Open a file for reading. Other files that it refers to are not opened.

    Raises:
        MediaError: the file is missing, a folder, empty, unreadable, not a media file, or a
            playlist.
    """
    import av
    from av.error import FFmpegError

    file = Path(path)
    check_file(file)
    try:
        # "file:" keeps FFmpeg from taking "12:30.mp4" for a protocol.
        return av.open(
            f"file:{file.absolute()}", "r", container_options=_OPTIONS, metadata_errors="replace"
        )
    except PermissionError as error:
        raise MediaError(f"{file}: no permission to read it", "check its access rights") from error
    except (FFmpegError, OSError, ValueError) as error:
        raise _why_not_media(file, error) from error


def check_file(file: Path) -> None:
    """Check that a path is an ordinary file that is not empty.

    Raises:
        MediaError: the path is a URL, missing, a folder, not an ordinary file, or empty.
    """
    try:
        if not file.exists():
            refuse_url(str(file))
            raise MediaError(f"{file}: does not exist", "check the spelling and the folder")
        if file.is_dir():
            raise MediaError(
                f"{file}: is a folder, not a media file", "name a file in it, or use `avse batch`"
            )
        if not file.is_file():
            raise MediaError(f"{file}: is not an ordinary file", "save the stream to a file first")
        empty = file.stat().st_size == 0
    except (OSError, ValueError) as error:  # too long, with a NUL, or in a folder without access
        raise MediaError(f"{file}: cannot be reached: {error}", "check the path") from error
    if empty:
        raise MediaError(f"{file}: is empty (0 bytes)", "copy or download it again")


def refuse_url(text: str) -> None:
    """Refuse a URL, such as https://example.org/talk.mp4.

    Raises:
        MediaError: the text is a URL.
    """
    if _URL.match(text):
        address = re.sub(":/+", "://", text, count=1)  # `Path` removes one of the slashes
        raise MediaError(f"{address}: is a URL", "download it first, and give the file")


def _why_not_media(file: Path, error: Exception) -> MediaError:
    try:
        with file.open("rb") as handle:
            head = handle.read(4096)
    except OSError as trouble:
        return MediaError(f"{file}: cannot be read: {trouble.strerror}", "check its access rights")
    if head[4:8] == b"ftyp":
        return MediaError(
            f"{file}: was cut short: its index (moov) is missing or damaged",
            "the recording or the copy did not finish; copy it again or repair it first",
        )
    text = _as_text(head)
    if text is not None:
        for mark, what in _PLAYLISTS.items():
            if text.startswith(mark) or (mark[0] == "<" and mark in text):
                return MediaError(
                    f"{file}: is {what} and holds neither picture nor sound itself",
                    "give the recording that it names, or save the stream as one .mp4 or .mkv file",
                )
        return MediaError(f"{file}: is text, not a media file", "give a video or sound file")
    reason = getattr(error, "strerror", None) or str(error)
    return MediaError(f"{file}: is not a media file that can be read ({reason})", _CHECK)


def _as_text(head: bytes) -> str | None:
    """Decode the beginning of a file, in lower case; None if it is not text."""
    if b"\0" in head:
        return None
    text = head.decode("utf-8-sig", "replace").strip().lower()
    plain = sum(character.isprintable() or character.isspace() for character in text)
    return text if plain - text.count("\ufffd") > 0.9 * len(text) else None


def codec_name(stream: Stream) -> str | None:
    """The common name of a stream's codec, such as "av1"; None if FFmpeg does not know the codec.

    This is not the name of the decoder, such as "libdav1d"; a codec without a decoder has a name,
    too.
    """
    if stream.codec_context is not None:
        return stream.codec_context.codec.canonical_name
    import av
    from av.bitstream import BitStreamFilterContext

    with av.open(BytesIO(), "w", format="null") as nowhere:
        twin = nowhere.add_data_stream()  # PyAV gives the codec's name of data streams only
        BitStreamFilterContext("null", stream, twin)
        return twin.name


def usable_audio(container: InputContainer) -> list[AudioStream]:
    """List the audio streams that can be decoded, in file order; track numbers count these."""
    return [s for s in container.streams.audio if s.codec_context is not None]


def default_track(marked: Iterable[bool]) -> int:
    """Number of the sound track that plays by default: the first marked so, else the first.

    Args:
        marked: for each track, whether the file marks it as a default.
    """
    return next((n for n, default in enumerate(marked) if default), 0)


def is_default(stream: Stream) -> bool:
    """Whether the file marks a stream as one to play by default."""
    return bool(int(stream.disposition) & _DEFAULT)


def usable_video(container: InputContainer) -> list[VideoStream]:
    """List the video streams that can be decoded, without cover art, in file order."""
    return [
        s
        for s in container.streams.video
        if s.codec_context is not None
        and not int(s.disposition) & _NOT_MOVING
        and s.codec_context.width > 0
    ]


_DEFAULT = 0x0001  # AV_DISPOSITION_DEFAULT
_NOT_MOVING = 0x0400 | 0x0800  # AV_DISPOSITION_ATTACHED_PIC, AV_DISPOSITION_TIMED_THUMBNAILS


def time_base_of(stream: Stream) -> Fraction:
    """Seconds per tick of a stream's time stamps."""
    return stream.time_base or Fraction(1, 1_000_000)


def seconds(ticks: int | None, stream: Stream) -> Fraction | None:
    """Convert a time stamp of a stream to seconds on the container's clock."""
    return None if ticks is None else ticks * time_base_of(stream)


def read_packets(
    container: InputContainer, streams: list[Stream], damage: Damage
) -> Iterator[Packet[Stream]]:
    """Read the packets of some streams, flushing packets last.

    After an error, reading goes on with the next packet, up to `_MAX_ERRORS` errors in a row.

    Args:
        container: the file.
        streams: the streams whose packets are read.
        damage: counts the errors.
    """
    from av.error import FFmpegError

    errors = 0
    while errors < _MAX_ERRORS:
        try:
            for packet in container.demux(tuple(streams)):
                errors = 0
                yield packet
            return
        except (FFmpegError, OSError):
            errors += 1
            damage.skipped += errors == 1


def decode_packet(packet: Packet[Stream], damage: Damage) -> list[AudioFrame] | list[VideoFrame]:
    """Decode the frames of a packet; a damaged packet gives none, and is counted in `damage`."""
    from av.error import FFmpegError

    try:
        return cast("list[AudioFrame] | list[VideoFrame]", packet.decode())
    except EOFError:
        return []
    except (FFmpegError, ValueError):
        damage.skipped += 1
        return []


def with_next(items: Iterable[T]) -> Iterator[tuple[T, T | None]]:
    """Yield each item with the next one, and the last item with None."""
    rest = iter(items)
    one = next(rest, None)
    while one is not None:
        following = next(rest, None)
        yield one, following
        one = following


def decode_stream(
    container: InputContainer,
    stream: Stream,
    damage: Damage,
    *,
    near: Fraction | None = None,
    sought: bool = False,
) -> Iterator[AudioFrame | VideoFrame]:
    """Decode the frames of a stream, from the container's current position to its end.

    Args:
        container, stream: the file, and one of its streams.
        damage: counts errors.
        near, sought: `time` and `sought` of `packets_near`; if `near` is None, every frame is
            decoded.

    Raises:
        CannotSkipError: see `packets_near`.
    """
    packets = read_packets(container, [stream], damage)
    for packet in packets if near is None else packets_near(packets, near, sought=sought):
        yield from decode_packet(packet, damage)


class CannotSkipError(Exception):
    """A time cannot be found from the time stamps; the stream has to be decoded up to it."""


def seek_near(container: InputContainer, stream: Stream, time: Fraction) -> bool:
    """Seek to a key frame at or before a time.

    Args:
        container, stream: the file, and one of its streams.
        time: in seconds on the container's clock.

    Returns:
        False if the container has no index, or seeking fails.
    """
    from av.error import FFmpegError

    if container.format.name in _NO_INDEX:
        return False
    try:
        if "matroska" in container.format.name:  # it has an index of its picture only, if any
            container.seek(int(time * 1_000_000))
        else:
            container.seek(int(time / time_base_of(stream)), stream=stream)
    except FFmpegError:
        return False
    return True


def packets_near(
    packets: Iterable[Packet[Stream]], time: Fraction, *, sought: bool
) -> Iterator[Packet[Stream]]:
    """Yield the packets of a stream from the last key frame at or before a time on.

    Args:
        packets: the packets of one stream.
        time: in seconds on the container's clock.
        sought: whether `seek_near` has found the position. If not, time stamps that leap by more
            than `_LEAP_S` are an error, because they do not tell when a frame is shown.

    Raises:
        CannotSkipError: the time cannot be found.
    """
    held: list[Packet[Stream]] = []
    last: Fraction | None = None
    rest = iter(packets)
    for packet in rest:
        held.append(packet)
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None:
            continue
        now = stamp * packet.time_base
        leapt = last is not None and not sought and abs(now - last) > _LEAP_S
        if leapt or len(held) > _MOST_HELD:
            raise CannotSkipError
        if now > time:
            break
        last = now
        if packet.is_keyframe:
            held = [packet]
    yield from held
    yield from rest
