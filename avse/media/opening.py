"""Open a media file and decode one of its streams, turning FFmpeg's troubles into ours.

What the readers share: one place that says why a file cannot be opened, and one loop that goes on
past damaged packets and counts them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
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

# FFmpeg draws plain text as a picture; nobody who has a text file means that.
_TEXT_ART = frozenset({"tty", "bintext", "xbin", "adf", "idf"})
_LEAP_S = 2  # from one packet to the next: more is a splice, or a hole
_MOST_HELD = 3000  # packets from one key frame to the next
# No index of key frames: seeking lands on some packet, and what is decoded there may be wrong.
_NO_INDEX = frozenset({"mpeg", "mpegts", "mpegvideo", "h264", "hevc"})
_MAX_ERRORS = 100  # in a row, before a damaged file is taken to have ended
_CHECK = "check that it plays in a media player; copy or download it again if it does not"


@dataclass
class Damage:
    """What had to be left out while reading."""

    skipped: int = 0


def open_input(path: StrPath) -> InputContainer:
    """Open a file for reading.

    Raises:
        MediaError: it is missing, a folder, empty, unreadable, or not media.
    """
    import av
    from av.error import FFmpegError

    file = Path(path)
    check_file(file)
    try:
        # "file:" keeps FFmpeg from taking "12:30.mp4" for a protocol; "+genpts" gives AVI files
        # with B-frames the presentation times that the format does not store.
        container = av.open(
            f"file:{file.absolute()}",
            "r",
            container_options={"fflags": "+genpts"},
            metadata_errors="replace",
        )
    except PermissionError as error:
        raise MediaError(
            f"{file} cannot be read: no permission", "check its access rights"
        ) from error
    except (FFmpegError, OSError, ValueError) as error:
        raise _why_not_media(file, error) from error
    if container.format.name in _TEXT_ART:
        container.close()
        raise MediaError(f"{file} is text, not a media file", "give a video or sound file")
    return container


def check_file(file: Path) -> None:
    """Check that a path is a file with something in it.

    Raises:
        MediaError: it is missing, a folder, not an ordinary file, or empty.
    """
    try:
        if not file.exists():
            raise MediaError(f"{file} does not exist", "check the spelling and the folder")
        if file.is_dir():
            raise MediaError(f"{file} is a folder, not a media file", "name a file in it")
        if not file.is_file():
            raise MediaError(f"{file} is not an ordinary file", "save the stream to a file first")
        empty = file.stat().st_size == 0
    except (OSError, ValueError) as error:  # name too long, a NUL in it, no access to the folder
        raise MediaError(f"{file} cannot be reached: {error}", "check the path") from error
    if empty:
        raise MediaError(f"{file} is empty (0 bytes)", "copy or download it again")


def _why_not_media(file: Path, error: Exception) -> MediaError:
    try:
        with file.open("rb") as handle:
            head = handle.read(12)
    except OSError as trouble:
        return MediaError(f"{file} cannot be read: {trouble.strerror}", "check its access rights")
    if head[4:8] == b"ftyp":
        return MediaError(
            f"{file} was cut short: its index (moov) is missing or damaged",
            "the recording or the copy did not finish; copy it again or repair it first",
        )
    reason = getattr(error, "strerror", None) or str(error)
    return MediaError(f"{file} is not a media file that can be read ({reason})", _CHECK)


def usable_audio(container: InputContainer) -> list[AudioStream]:
    """The audio streams that can be decoded, in file order: what a track number counts."""
    return [s for s in container.streams.audio if s.codec_context is not None]


def usable_video(container: InputContainer) -> list[VideoStream]:
    """The video streams that can be decoded and are no cover art, in file order."""
    return [
        s
        for s in container.streams.video
        if s.codec_context is not None
        and not int(s.disposition) & _NOT_MOVING
        and s.codec_context.width > 0
    ]


_NOT_MOVING = 0x0400 | 0x0800  # AV_DISPOSITION_ATTACHED_PIC, AV_DISPOSITION_TIMED_THUMBNAILS


def time_base_of(stream: Stream) -> Fraction:
    """Seconds per tick of a stream's time stamps."""
    return stream.time_base or Fraction(1, 1_000_000)


def seconds(ticks: int | None, stream: Stream) -> Fraction | None:
    """A time stamp of a stream in seconds on the container's clock."""
    return None if ticks is None else ticks * time_base_of(stream)


def read_packets(
    container: InputContainer, streams: list[Stream], damage: Damage
) -> Iterator[Packet[Stream]]:
    """Every packet of some streams, going on after read errors; flushing packets come last."""
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
    """The frames of one packet; a packet that cannot be decoded is counted and gives none."""
    from av.error import FFmpegError

    try:
        return cast("list[AudioFrame] | list[VideoFrame]", packet.decode())
    except EOFError:
        return []
    except (FFmpegError, ValueError):
        damage.skipped += 1
        return []


def with_next(items: Iterable[T]) -> Iterator[tuple[T, T | None]]:
    """Each item together with the one after it, None after the last."""
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
    """Every frame of a stream, from where the container stands to its end.

    Args:
        container, stream: what is read.
        damage: what had to be left out is counted here.
        near, sought: see `packets_near`; None for every frame.

    Raises:
        CannotSkipError: see `packets_near`.
    """
    packets = read_packets(container, [stream], damage)
    for packet in packets if near is None else packets_near(packets, near, sought=sought):
        yield from decode_packet(packet, damage)


class CannotSkipError(Exception):
    """What comes before a time has to be decoded to know what comes after it."""


def seek_near(container: InputContainer, stream: Stream, time: Fraction) -> bool:
    """Go to a key frame before a time; False if the container has no index to go by."""
    from av.error import FFmpegError

    if container.format.name in _NO_INDEX:
        return False
    try:
        if "matroska" in container.format.name:  # its index is of the picture, if there is one
            container.seek(int(time * 1_000_000))
        else:
            container.seek(int(time / time_base_of(stream)), stream=stream)
    except FFmpegError:
        return False
    return True


def packets_near(
    packets: Iterable[Packet[Stream]], time: Fraction, *, sought: bool
) -> Iterator[Packet[Stream]]:
    """Packets of one stream from the last key frame at or before a time on.

    Args:
        packets: of the stream.
        time: on the container's clock.
        sought: whether the container has an index, which led here. Otherwise time stamps that
            leap on the way do not tell when a frame is shown.

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
