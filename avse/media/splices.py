"""Find splices: jumps of a file's clock over a time in which nothing was recorded.

Recordings that were joined, paused or damaged continue at a time stamp minutes or hours later, and
no stream holds anything in between. The two sides of such a jump are played one after the other.
So playing times, and the memory for a recording, do not grow with such gaps.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from avse.media.opening import (
    Damage,
    StrPath,
    open_input,
    read_packets,
    time_base_of,
    usable_audio,
    usable_video,
)
from avse.media.probe import AudioStream, MediaInfo, VideoStream

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

LONGEST_HOLE_S = 30
"""A longer hole, during which no stream has a packet, is a splice. In a shorter one, a slide may
stay on the screen, or a call may be silent."""

# If the file is longer than this plus ten times its material, short holes are splices, too.
_HOLES_S = 600
_JOINED_S = 1.0  # packets of a stream that are no further apart belong to one run
_Described = TypeVar("_Described", AudioStream, VideoStream)
_UNTIMED = frozenset({"wav", "w64", "flac", "mp3", "aac", "ac3", "eac3", "aiff", "au", "amr"})


@dataclass(frozen=True)
class Splice:
    """A jump of the clock.

    Attributes:
        place: the middle of the hole, as a stored time; later packets are moved.
        jumped: seconds by which packets after it are played earlier than stored: the sum of this
            jump and those before it.
        at: the playing time at which it lies.
    """

    place: Fraction
    jumped: Fraction
    at: Fraction


@dataclass(frozen=True)
class Splices:
    """The jumps of a file's clock.

    Attributes:
        all: the splices in the order of time; most files have none.
        end: playing time of the end of the last packet; None if packets have no times.
    """

    all: tuple[Splice, ...] = ()
    end: Fraction | None = None

    def jumped(self, stored: Fraction) -> Fraction:
        """Seconds by which a packet with the time stamp `stored` is played earlier."""
        number = bisect_left(self.all, stored, key=lambda splice: splice.place)
        return self.all[number - 1].jumped if number else Fraction(0)

    def played(self, stored: Fraction) -> Fraction:
        """Convert a time stamp to a playing time, both in seconds."""
        return stored - self.jumped(stored) if self.all else stored

    def stored(self, played: Fraction) -> Fraction:
        """Convert a playing time to a time stamp, both in seconds."""
        number = sum(played >= splice.at for splice in self.all)
        return played + (self.all[number - 1].jumped if number else 0)

    def apply(self, info: MediaInfo) -> MediaInfo:
        """Convert the times and durations in a `MediaInfo` to playing times.

        The duration in the header is ignored if it exceeds the end of the last packet by
        `LONGEST_HOLE_S` or more; damaged headers state months.
        """
        start, end = self.played(info.start), self.end
        if info.duration is not None:
            claimed = self.played(info.start + info.duration)
            end = claimed if end is None or claimed < end + LONGEST_HOLE_S else end
        return replace(
            info,
            start=start,
            duration=None if end is None else end - start,
            video=None if info.video is None else self.moved_stream(info.video),
            videos=tuple(self.moved_stream(video) for video in info.videos),
            audio=tuple(self.moved_stream(audio) for audio in info.audio),
        )

    def moved_stream(self, stream: _Described) -> _Described:
        """Convert the start and duration of a sound track or picture to playing times."""
        if not self.all:
            return stream
        start, length = self.played(stream.start), stream.duration
        if length is not None:
            length = self.played(stream.start + length) - start
        return replace(stream, start=start, duration=length)

    def moved(self, packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
        """Convert the time stamps of packets to playing times.

        If the clock of a stream is set back, its packets continue after the last one.
        """
        going_on: dict[int, _GoingOn] = {}
        for packet in packets:
            later = 0
            if packet.dts is not None:
                stream = going_on.setdefault(packet.stream_index, _GoingOn())
                time = self._moved_ticks(packet.dts, packet.time_base)
                second = round(1 / packet.time_base)
                later = stream.later(time, packet.duration or 1, second)
                packet.dts = time + later
            if packet.pts is not None:  # a jump may lie between decoding and presentation
                packet.pts = self._moved_ticks(packet.pts, packet.time_base) + later
            yield packet

    def _moved_ticks(self, time: int, base: Fraction) -> int:
        return time - round(self.jumped(time * base) / base)

    def describe(self, begin: Fraction) -> str:
        """Describe the splices in words. There has to be at least one.

        Args:
            begin: the playing time at which the file begins.
        """
        first, count = self.all[0], len(self.all)
        times = "" if count == 1 else f"{count} times, first "
        return (
            f"the clock of the recording jumps {times}by {float(first.jumped):,.0f} s at "
            f"{float(first.at - begin):.1f} s, with nothing in between: the parts are joined"
        )


class _GoingOn:
    """Shifts the packets of a stream whose clock is set back, as the readers do. In ticks."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.shift = self.before = 0

    def later(self, time: int, length: int, second: int) -> int:
        """Ticks by which a packet is shifted.

        Args:
            time: its decoding time.
            length: its duration.
            second: ticks per second.
        """
        if self.last is not None:
            if time + self.shift < self.last - second:
                self.before, self.shift = self.shift, self.last + length - time
            elif abs(time + self.before - self.last) <= second < time + self.shift - self.last:
                self.shift = self.before  # a single time stamp was damaged
        self.last = time + self.shift
        return self.shift


def find_splices(path: StrPath) -> Splices:
    """Find the splices of a file from the time stamps of all its packets, without decoding.

    The results for the last few files are cached.

    Raises:
        MediaError: the file cannot be read.
    """
    try:
        state = Path(path).stat()
    except (OSError, ValueError):
        state = None
    key = None if state is None else (state.st_size, state.st_mtime_ns, state.st_ino)
    return _find_splices(str(path), key)


@lru_cache(maxsize=8)
def _find_splices(path: str, _state: object) -> Splices:
    with open_input(path) as container:
        if container.format.name in _UNTIMED:
            return Splices()
        runs = _runs(container)
        found = splices_of(runs)
        if found.end is None or not usable_audio(container):  # pictures alone may be a time lapse
            return found
        material_s = sum(end - start for stream in runs for start, end in stream)
        begin = min(start for stream in runs for start, _ in stream)
        if found.end - _exact(begin) > _HOLES_S + 10 * material_s:
            return splices_of(runs, longest_s=_JOINED_S)
        return found


def splices_of(
    runs: Sequence[Sequence[tuple[float, float]]], *, longest_s: float = LONGEST_HOLE_S
) -> Splices:
    """Find the splices between runs of packets.

    Args:
        runs: for each stream, (start, end) in seconds of its runs of packets without a gap.
        longest_s: a longer hole, in seconds, is a splice.
    """
    never = float("-inf")
    found: list[Splice] = []
    jumped = Fraction(0)
    last = [max((start for start, _ in stream), default=never) for stream in runs]
    stopped = [never] * len(runs)
    covered = never
    for start, end, number in sorted(
        (start, end, number) for number, stream in enumerate(runs) for start, end in stream
    ):
        if covered > never and start - covered > longest_s:
            # The jump is measured from the streams that continue after the hole.
            stops = [stop for stop, later in zip(stopped, last, strict=True) if later >= start]
            before = max(stops)
            jumped += _exact(start - (before if before > never else covered))
            found.append(Splice(_exact((covered + start) / 2), jumped, _exact(start) - jumped))
        covered = max(covered, end)
        stopped[number] = max(stopped[number], end)
    return Splices(tuple(found), None if covered == never else _exact(covered) - jumped)


def _exact(seconds: float) -> Fraction:
    return Fraction(round(seconds * 10**6), 10**6)


def _runs(container: InputContainer) -> list[list[tuple[float, float]]]:
    """Find the runs of packets of each sound track and moving picture; they are not sorted."""
    streams: list[Stream] = [*usable_audio(container), *usable_video(container)]
    found = {stream.index: _Runs() for stream in streams}
    base = {stream.index: float(time_base_of(stream)) for stream in streams}
    if _is_indexed(streams):
        for stream in streams:
            for entry in stream.index_entries:
                found[stream.index].add(entry.timestamp * base[stream.index], 0.0)
    elif streams:
        for packet in read_packets(container, streams, Damage()):
            stamp = packet.dts if packet.pts is None else packet.pts
            if stamp is not None:
                tick = base[packet.stream_index]
                # The duration of a picture does not count: the next one may come an hour later.
                sound = packet.stream.type == "audio"
                length = (packet.duration or 0) * tick if sound else 0.0
                found[packet.stream_index].add(stamp * tick, length)
    return [one.finished() for one in found.values()]


def _is_indexed(streams: Sequence[Stream]) -> bool:
    """Whether the container has an index of every packet, as MP4 has."""
    return bool(streams) and all(s.frames and s.frames == len(s.index_entries) for s in streams)


class _Runs:
    """Joins packets of one stream to runs."""

    def __init__(self) -> None:
        self.closed: list[tuple[float, float]] = []
        self.start = self.end = self.last = 0.0
        self.step = _JOINED_S  # the smallest distance so far: the length of the last packet
        self.empty = True

    def add(self, time: float, length: float) -> None:
        """Add the next packet, in the order of the file; `time` and `length` are in seconds."""
        if self.empty or not self.start - _JOINED_S <= time <= self.end + _JOINED_S:
            self._close()
            self.start = self.end = time
            self.empty = False
        elif not length and time > self.last:
            self.step = min(self.step, time - self.last)
        self.last = time
        self.start, self.end = min(self.start, time), max(self.end, time + length)

    def finished(self) -> list[tuple[float, float]]:
        """Return (start, end) of every run, in seconds."""
        self._close()
        self.empty = True
        return self.closed

    def _close(self) -> None:
        if not self.empty:
            # A run of several pictures ends a step after the last; that of one picture is empty.
            end = self.end + (self.step if self.step < _JOINED_S else 0.0)
            self.closed.append((self.start, end))
