"""Copy a part of a file: the packets between two times, with time stamps from the cut on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from avse.media.opening import (
    CannotSkipError,
    Damage,
    StrPath,
    open_input,
    packets_near,
    read_packets,
    seek_near,
)
from avse.media.splices import Splices

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

_RUN_UP_S = Fraction(1, 10)  # of sound copied before the start: decoders need the packets before
_BEGINNING = Fraction(-(10**9))
_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC


@dataclass(frozen=True)
class Cut:
    """The part of a file that is copied; times are playing times in seconds on its clock.

    Attributes:
        start, stop: of the part; None for the beginning and the end of the file.
        picture: time of the first key frame that is copied.
        sound: time of the first sound that is copied.
        zero: the time that becomes time 0 of the copy.
    """

    start: Fraction | None
    stop: Fraction | None
    picture: Fraction = _BEGINNING
    sound: Fraction = _BEGINNING
    zero: Fraction = Fraction(0)

    @property
    def is_cut(self) -> bool:
        """Whether anything is left out."""
        return self.start is not None or self.stop is not None


def find_cut(
    source: StrPath,
    splices: Splices,
    picture: int | None,
    start: Fraction | None,
    stop: Fraction | None,
    kind: str,
) -> Cut:
    """Find where to cut a file.

    MP4 and MOV can hide what comes before time 0 by an edit list; there, time 0 is the time of the
    picture that is shown at the start. It is not the start itself, because FFmpeg would then move
    the next picture to 0. Matroska and WebM have no time before 0; there, time 0 is the time of the
    key frame.

    Args:
        source: the file.
        splices: the splices of the file.
        picture: index of its moving picture, None if it has none.
        start, stop: see `Cut`.
        kind: FFmpeg's name of the container to write.

    Raises:
        MediaError: the file cannot be read.
    """
    if start is None:
        return Cut(None, stop)
    key, shown = (start, start) if picture is None else _pictures(source, splices, picture, start)
    if kind in ("mp4", "mov"):
        return Cut(start, stop, key, start - _RUN_UP_S, shown)
    return Cut(start, stop, key, key, key)


def _pictures(
    source: StrPath, splices: Splices, index: int, time: Fraction
) -> tuple[Fraction, Fraction]:
    """Times of the last key frame before a time, and of the picture that is shown at this time.

    If there is none, both are the time itself.
    """
    for sought in (True, False):
        with open_input(source) as container, contextlib.suppress(CannotSkipError):
            stream = container.streams[index]
            if sought and not seek_near(container, stream, splices.stored(time)):
                continue
            times: list[Fraction] = []
            packets = splices.moved(read_packets(container, [stream], Damage()))
            for packet in packets_near(packets, time, sought=sought):
                if packet.pts is None or (packet.dts or packet.pts) * packet.time_base > time:
                    break
                times.append(packet.pts * packet.time_base)
            if times and times[0] <= time:
                return times[0], max(shown for shown in times if shown <= time)
    return time, time


def cut_packets(
    container: InputContainer,
    splices: Splices,
    streams: Sequence[Stream],
    damage: Damage,
    cut: Cut,
) -> Iterator[Packet[Any]]:
    """Yield the packets of a part, with times relative to `cut.zero`, without flushing packets.

    Args:
        container: the source, at its beginning.
        splices: the splices of the source.
        streams: the streams whose packets are copied.
        damage: counts errors.
        cut: from `find_cut`.
    """
    running = {s.index for s in streams if s.type in ("video", "audio") and not _is_cover(s)}
    moving = next((s for s in streams if s.index in running), None)
    if cut.start is not None and moving is not None:
        seek_near(container, moving, splices.stored(min(cut.picture, cut.sound)))
    begun: set[int] = set()
    late: dict[int, list[Packet[Any]]] = {}
    for packet in splices.moved(read_packets(container, list(streams), damage)):
        index, stamp = packet.stream_index, packet.dts if packet.pts is None else packet.pts
        if _is_cover(packet.stream) and packet.size:
            packet.pts = packet.dts = 0
            yield packet
        elif stamp is not None and (index in running or packet.stream.type == "subtitle"):
            time = stamp * packet.time_base
            if not _has_begun(packet, time, cut, index in begun):
                continue
            begun.add(index)
            if cut.stop is None or time < cut.stop:
                # Pictures after the stop are needed if a later packet is shown before the stop.
                yield from late.pop(index, [])
                yield _moved(packet, cut)
                continue
            late.setdefault(index, []).append(_moved(packet, cut))
            decoded = stamp if packet.dts is None else packet.dts + _ticks(cut.zero, packet)
            if decoded * packet.time_base >= cut.stop or packet.stream.type != "video":
                running.discard(index)
                if not running:
                    return


def cut_chapters(chapters: Sequence[Any], cut: Cut) -> list[Any]:
    """Cut chapters to a part; chapters outside it are left out.

    Args:
        chapters: from PyAV.
        cut: from `find_cut`.
    """
    kept = []
    for chapter in chapters:
        base = chapter["time_base"] or Fraction(1)
        begin = cut.zero if cut.start is None else cut.start
        first = max(chapter["start"] * base, begin)
        last = chapter["end"] * base if cut.stop is None else min(chapter["end"] * base, cut.stop)
        if last > first:
            ticks = (round((time - cut.zero) / base) for time in (first, last))
            kept.append({**chapter, **dict(zip(("start", "end"), ticks, strict=True))})
    return kept


def _has_begun(packet: Packet[Any], time: Fraction, cut: Cut, before: bool) -> bool:
    """Whether a packet lies at or after the beginning of the copied part of its stream."""
    if packet.stream.type == "video":
        return time >= cut.picture and (before or packet.is_keyframe)
    return time >= (cut.sound if packet.stream.type == "audio" else max(cut.zero, cut.picture))


def _moved(packet: Packet[Any], cut: Cut) -> Packet[Any]:
    ticks = _ticks(cut.zero, packet)
    packet.dts = None if packet.dts is None else packet.dts - ticks
    packet.pts = None if packet.pts is None else packet.pts - ticks
    return packet


def _ticks(time: Fraction, packet: Packet[Any]) -> int:
    return round(time / packet.time_base)


def _is_cover(stream: Stream) -> bool:
    return bool(int(stream.disposition) & _ATTACHED_PICTURE)
