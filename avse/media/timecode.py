"""Timecode (SMPTE ST 12-1): the frames of a recording counted as editing programs count them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from avse.media.opening import StrPath, open_input
from avse.media.probe import VideoStream

_RATES = tuple(
    Fraction(rate, slower)
    for slower in (1001, 1000)
    for rate in (24_000, 25_000, 30_000, 48_000, 50_000, 60_000)
    if slower == 1000 or rate % 25_000
)
_NEAR = Fraction(1, 20)  # phones record at about 30 frames a second
_WRITTEN = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.,])(\d\d)", re.ASCII)


@dataclass(frozen=True)
class Timecode:
    """How frames of a recording are counted.

    Attributes:
        rate: frames per second: one of those that timecode is defined for.
        drop: whether numbers are left out so that 29.97 and 59.94 frames a second keep step with
            the clock.
        first: number of the frame with which the recording begins.
        exact: whether the picture has that rate, evenly; else times are right, frames are not its.
    """

    rate: Fraction
    drop: bool = False
    first: int = 0
    exact: bool = True

    @property
    def nominal(self) -> int:
        """Frame numbers in a second of timecode."""
        return round(self.rate)

    def frame(self, seconds: float) -> int:
        """Number of the frame at a playing time."""
        return self.first + round(seconds * self.rate)

    def text(self, frame: int) -> str:
        """A frame as HH:MM:SS:FF, with ; before FF where numbers are dropped; a day at most."""
        per_second = self.nominal
        if self.drop:
            dropped = per_second // 15  # a minute, but for every tenth
            minute = 60 * per_second - dropped
            tens, rest = divmod(frame, 10 * minute + dropped)
            frame += 9 * dropped * tens
            if rest >= dropped:
                frame += dropped * ((rest - dropped) // minute)
        seconds, frames = divmod(frame, per_second)
        minutes, second = divmod(seconds, 60)
        hours, minute = divmod(minutes, 60)
        point = ";" if self.drop else ":"
        return f"{hours % 24:02d}:{minute:02d}:{second:02d}{point}{frames:02d}"


def timecode_of(path: StrPath, video: VideoStream) -> Timecode:
    """How the frames of a recording are counted.

    At 29.97 and 59.94 frames a second numbers are dropped, unless the timecode in the file says
    otherwise. Other rates than those of timecode, and variable ones, are counted at the nearest of
    those, or at 25 a second.

    Raises:
        MediaError: the file cannot be read.
    """
    begin, even = _look(path, video.index)
    average, uneven = video.average_rate or Fraction(25), video.variable_frame_rate
    if even and abs(even - average) < _NEAR * average:
        average, uneven = even, False  # a frame that is missing moves no other
    rate = min(_RATES, key=lambda one: abs(one - average))
    if abs(rate - average) > _NEAR * rate:
        rate = Fraction(25)
    exact = abs(rate - average) < rate / 2500 and not uneven
    drop = rate.denominator == 1001 and round(rate) % 30 == 0
    if begin is None:
        return Timecode(rate, drop, 0, exact)
    hours, minutes, seconds, frames = (int(begin[n]) for n in (1, 2, 3, 5))
    drop = drop and begin[4] != ":"
    nominal = round(rate)
    first = (3600 * hours + 60 * minutes + seconds) * nominal + frames
    if drop:
        whole = 60 * hours + minutes
        first -= nominal // 15 * (whole - whole // 10)
    return Timecode(rate, drop, first, exact)


def _look(path: StrPath, index: int) -> tuple[re.Match[str] | None, Fraction | None]:
    """The timecode that a file says it begins with, and the pace on which all its frames lie."""
    with open_input(path) as container:
        tags = [*(stream.metadata for stream in container.streams), container.metadata]
        even = getattr(container.streams[index], "base_rate", None)
    known = ({key.lower(): value for key, value in one.items()} for one in tags)
    written = next((one["timecode"].strip() for one in known if "timecode" in one), "")
    return _WRITTEN.fullmatch(written), even
