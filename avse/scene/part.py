"""The part of a recording to process: --start and --end."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from avse.errors import UsageError
from avse.utils.clock import clock, read_clock

if TYPE_CHECKING:
    from avse.media import MediaInfo
    from avse.settings import Settings

_ROUNDED_S = Fraction(1, 20)
"""Lengths are shown to a tenth of a second, so an --end this close to the end means the end."""


@dataclass(frozen=True)
class Part:
    """A part of a recording, or the whole.

    Attributes:
        start, stop: limits in seconds on the container's clock; None for the beginning or the end.
    """

    start: Fraction | None = None
    stop: Fraction | None = None

    @property
    def is_whole(self) -> bool:
        """Whether the part is the whole recording."""
        return self.start is None and self.stop is None

    def holds(self, time: Fraction) -> bool:
        """Whether the part contains a time."""
        early = self.start is not None and time < self.start
        return not early and (self.stop is None or time < self.stop)

    def begin(self, of: Fraction) -> Fraction:
        """First time of the part in a file or track that begins at `begin`."""
        return of if self.start is None else max(self.start, of)

    def length(self, begin: Fraction, duration: Fraction | None) -> Fraction | None:
        """Length of the part in a file or track, in seconds; None if unknown.

        Args:
            begin: beginning of the file or track.
            duration: its duration; None if unknown.
        """
        stop = None if duration is None else begin + duration
        if stop is None or self.stop is not None:
            stop = self.stop if stop is None else min(stop, self.stop or stop)
        return None if stop is None else max(Fraction(0), stop - self.begin(begin))


WHOLE = Part()


def find_part(info: MediaInfo, settings: Settings) -> Part:
    """Find the part of a recording that the settings select.

    Raises:
        UsageError: the part is outside of the recording, or empty.
    """
    if settings.start is None and settings.end is None:
        return WHOLE
    start = None if settings.start is None else read_clock(settings.start)
    end = None if settings.end is None else read_clock(settings.end)
    wrong = _what_is_wrong(start, end, info.duration)
    if wrong is not None:
        length = None if info.duration is None else clock(info.duration, None)
        known = "of unknown length" if length is None else f"{length} long"
        raise UsageError(
            f"{info.path.name}: {wrong}; the recording is {known}",
            "choose --start and --end from 0:00 on, the end after the start"
            if length is None
            else f"choose --start and --end from 0:00 to {length}, the end after the start",
        )
    return Part(
        None if start is None else info.start + start, None if end is None else info.start + end
    )


def check_order(settings: Settings) -> None:
    """Check the order of start and end.

    Raises:
        UsageError: the part starts before the beginning, or ends before it starts.
    """
    start = None if settings.start is None else read_clock(settings.start)
    end = None if settings.end is None else read_clock(settings.end)
    wrong = _what_is_wrong(start, end, None)
    if wrong is not None:
        raise UsageError(wrong, "choose --start and --end from 0:00 on, the end after the start")


def _what_is_wrong(
    start: Fraction | None, end: Fraction | None, length: Fraction | None
) -> str | None:
    if start is not None and start < 0:
        return f"the part starts at {clock(start, None)}, before the beginning"
    if start is not None and length is not None and start >= length:
        return f"the part starts at {clock(start, None)}, after the end"
    if end is not None and end <= (start or 0):
        return f"the part ends at {clock(end, None)}, but starts at {clock(start or 0, None)}"
    if end is not None and length is not None and end > length + _ROUNDED_S:
        return f"the part ends at {clock(end, None)}, after the end"
    return None
