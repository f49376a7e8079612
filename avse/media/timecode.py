"""Timecode (SMPTE ST 12-1): frame numbers of a recording, as in editing programs."""

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
_NEAR = Fraction(1, 20)  # relative: the rate of phones is only about 30 frames per second
_WRITTEN = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.,])(\d\d)", re.ASCII)


@dataclass(frozen=True)
class Timecode:
    """The numbering of a recording's frames.

    Attributes:
        rate: frames per second, one of the rates that timecode is defined for.
        drop: whether it is drop-frame timecode, in which numbers are left out so that timecode at
            29.97 and 59.94 frames per second agrees with the clock.
        first: number of the first frame of the recording.
        exact: whether the picture has this rate, evenly spaced. If not, timecodes still give the
            right time, but their frames are not those of the picture.
    """

    rate: Fraction
    drop: bool = False
    first: int = 0
    exact: bool = True

    @property
    def nominal(self) -> int:
        """Frame numbers per second of timecode."""
        return round(self.rate)

    def frame(self, seconds: float) -> int:
        """The number of the frame at a playing time in seconds."""
        return self.first + round(seconds * self.rate)

    def text(self, frame: int) -> str:
        """Format a frame number as HH:MM:SS:FF, or HH:MM:SS;FF with drop-frame; hours modulo 24."""
        per_second = self.nominal
        if self.drop:
            dropped = per_second // 15  # numbers per minute, except in every tenth minute
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
    """Choose the timecode of a recording, from its frame rate and from the timecode in the file.

    At 29.97 and 59.94 frames per second it is drop-frame, unless the timecode in the file is not.
    For other frame rates, and variable ones, the nearest timecode rate within 5 % is used, else 25
    frames per second.

    Args:
        path: the recording.
        video: its picture.

    Raises:
        MediaError: the file cannot be read.
    """
    begin, even = _look(path, video.index)
    average, uneven = video.average_rate or Fraction(25), video.variable_frame_rate
    if even and abs(even - average) < _NEAR * average:
        average, uneven = even, False  # frames are missing, the others are evenly spaced
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
    """Read the timecode at which a file begins, and the rate on whose grid all its frames lie."""
    with open_input(path) as container:
        tags = [*(stream.metadata for stream in container.streams), container.metadata]
        even = getattr(container.streams[index], "base_rate", None)
    known = ({key.lower(): value for key, value in one.items()} for one in tags)
    written = next((one["timecode"].strip() for one in known if "timecode" in one), "")
    return _WRITTEN.fullmatch(written), even
