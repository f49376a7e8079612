"""Find where a file's clock jumps although nothing was recorded in between.

Recordings that were joined, paused or damaged go on at a time stamp minutes or hours later. What
lies in between is not silence but nothing: such a jump is a splice, and the two sides are played
one after the other. So time and memory follow what was recorded, not the clock.
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
"""A longer stretch of no stream at all is a splice; shorter ones may be a slide that stays on, or a
call in which nobody says or shows anything."""

_HOLES_S = 600  # of short holes are believed, and more where there is a tenth of that of material
_JOINED_S = 1.0  # packets of a stream that are no further apart are one run
_Described = TypeVar("_Described", AudioStream, VideoStream)
_UNTIMED = frozenset({"wav", "w64", "flac", "mp3", "aac", "ac3", "eac3", "aiff", "au", "amr"})


@dataclass(frozen=True)
class Splice:
    """A jump of the clock.

    Attributes:
        place: a time in the middle of the hole, as stored: what is later was moved.
        jumped: seconds by which what comes after it is played earlier than it is stored, this jump
            and those before it taken together.
        at: the time, as played, at which it lies.
    """

    place: Fraction
    jumped: Fraction
    at: Fraction


@dataclass(frozen=True)
class Splices:
    """The jumps of a file's clock.

    Attributes:
        all: in the order of time; most files have none.
        end: when the last packet ends, as played, whatever the header says; None where packets
            have no times.
    """

    all: tuple[Splice, ...] = ()
    end: Fraction | None = None

    def jumped(self, stored: Fraction) -> Fraction:
        """Seconds by which something comes earlier than its time stamp says."""
        number = bisect_left(self.all, stored, key=lambda splice: splice.place)
        return self.all[number - 1].jumped if number else Fraction(0)

    def played(self, stored: Fraction) -> Fraction:
        """When something is played, by its time stamp."""
        return stored - self.jumped(stored) if self.all else stored

    def stored(self, played: Fraction) -> Fraction:
        """The time stamp of what is played at a time."""
        number = sum(played >= splice.at for splice in self.all)
        return played + (self.all[number - 1].jumped if number else 0)

    def apply(self, info: MediaInfo) -> MediaInfo:
        """What a file holds, in times as played; lengths are those of what was recorded.

        A header that claims much more than there is, months at times, is not believed.
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
        """A sound track or picture, in times as played."""
        if not self.all:
            return stream
        start, length = self.played(stream.start), stream.duration
        if length is not None:
            length = self.played(stream.start + length) - start
        return replace(stream, start=start, duration=length)

    def moved(self, packets: Iterable[Packet[Any]]) -> Iterator[Packet[Any]]:
        """Packets, with the times at which they are played; a clock that is reset goes on."""
        going_on: dict[int, _GoingOn] = {}
        for packet in packets:
            later = 0
            if packet.dts is not None:
                stream = going_on.setdefault(packet.stream_index, _GoingOn())
                time = self._moved_ticks(packet.dts, packet.time_base)
                second = round(1 / packet.time_base)
                later = stream.later(time, packet.duration or 1, second)
                packet.dts = time + later
            if packet.pts is not None:  # the jump may lie between decoding and showing
                packet.pts = self._moved_ticks(packet.pts, packet.time_base) + later
            yield packet

    def _moved_ticks(self, time: int, base: Fraction) -> int:
        return time - round(self.jumped(time * base) / base)

    def describe(self, begin: Fraction) -> str:
        """What was done about them, in words; there has to be one.

        Args:
            begin: the time, as played, at which the file begins.
        """
        first, count = self.all[0], len(self.all)
        times = "" if count == 1 else f"{count} times, first "
        return (
            f"the clock of the recording jumps {times}by {float(first.jumped):,.0f} s at "
            f"{float(first.at - begin):.1f} s, with nothing in between: the parts are joined"
        )


class _GoingOn:
    """Lets one stream go on where its clock is set back, as readers do; in ticks."""

    def __init__(self) -> None:
        self.last: int | None = None
        self.shift = self.before = 0

    def later(self, time: int, length: int, second: int) -> int:
        """By how much a packet comes later than its decoding time says."""
        if self.last is not None:
            if time + self.shift < self.last - second:
                self.before, self.shift = self.shift, self.last + length - time
            elif abs(time + self.before - self.last) <= second < time + self.shift - self.last:
                self.shift = self.before  # it was one damaged time stamp
        self.last = time + self.shift
        return self.shift


def find_splices(path: StrPath) -> Splices:
    """Look through all time stamps of a file; nothing is decoded, and what was found is kept.

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
        runs: of each stream, (start, end) in seconds of what follows one another closely.
        longest_s: a longer hole is a splice.
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
            # Where the streams that go on had stopped: one that ended before does not count.
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
    """Runs of packets of each sound track and moving picture, in no order."""
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
                # A picture that stays on until the next, an hour later, is not an hour of material.
                sound = packet.stream.type == "audio"
                length = (packet.duration or 0) * tick if sound else 0.0
                found[packet.stream_index].add(stamp * tick, length)
    return [one.finished() for one in found.values()]


def _is_indexed(streams: Sequence[Stream]) -> bool:
    """Whether the container has an index of every packet, as MP4 has: then nothing is read."""
    return bool(streams) and all(s.frames and s.frames == len(s.index_entries) for s in streams)


class _Runs:
    """Packets of one stream, put together where they follow one another."""

    def __init__(self) -> None:
        self.closed: list[tuple[float, float]] = []
        self.start = self.end = self.last = 0.0
        self.step = _JOINED_S  # the smallest so far: where a packet without a length ends
        self.empty = True

    def add(self, time: float, length: float) -> None:
        """The next packet, in the order of the file."""
        if self.empty or not self.start - _JOINED_S <= time <= self.end + _JOINED_S:
            self._close()
            self.start = self.end = time
            self.empty = False
        elif not length and time > self.last:
            self.step = min(self.step, time - self.last)
        self.last = time
        self.start, self.end = min(self.start, time), max(self.end, time + length)

    def finished(self) -> list[tuple[float, float]]:
        """(start, end) of every run, in seconds."""
        self._close()
        self.empty = True
        return self.closed

    def _close(self) -> None:
        if not self.empty:
            # One picture is a moment; that of several, the usual distance of two.
            end = self.end + (self.step if self.step < _JOINED_S else 0.0)
            self.closed.append((self.start, end))
