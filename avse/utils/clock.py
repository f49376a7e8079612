"""Read and write times in the forms that people use: 90, 1:30, 1:02:03.5."""

from __future__ import annotations

import re
from fractions import Fraction

from avse.errors import UsageError

Time = float | str | Fraction
"""Seconds, or text such as "90", "90.5s", "1:30" or "1:02:03.5"."""

_TIME = re.compile(
    r"(?P<sign>-?)(?:(?:(?P<h>\d{1,6}):)?(?P<m>\d{1,6}):)?(?P<s>\d{1,9}(?:\.\d{1,12})?)s?", re.ASCII
)
_EXAMPLES = "give seconds or a clock time, such as 90, 1:30 or 1:02:03.5"


def read_clock(time: Time) -> Fraction:
    """Convert a time to seconds, exactly as written; it may be negative.

    Raises:
        UsageError: `time` is not a time.
    """
    if isinstance(time, Fraction):
        return time
    text = time.strip() if isinstance(time, str) else f"{time:.9f}"
    found = _TIME.fullmatch(text)
    if found is None:
        raise UsageError(f"{time!r} is not a time", _EXAMPLES)
    hours, minutes, seconds = found["h"], found["m"], Fraction(found["s"])
    if hours is not None and int(minutes) > 59:
        raise UsageError(f"{time!r} is not a time: minutes after hours go up to 59", _EXAMPLES)
    if minutes is not None and seconds >= 60:
        raise UsageError(f"{time!r} is not a time: seconds after minutes go up to 59", _EXAMPLES)
    value = 3600 * int(hours or 0) + 60 * int(minutes or 0) + seconds
    return -value if found["sign"] else value


def clock(
    seconds: float | Fraction, decimals: int | None = 1, *, hours: bool = False, point: str = "."
) -> str:
    """Format a time: 2:03.4, or 1:02:03.4 from one hour on.

    Args:
        seconds: the time in seconds.
        decimals: number of decimals; None writes as many as needed, up to 3.
        hours: whether to write the hours of times below one hour, too.
        point: the decimal separator.
    """
    places = 3 if decimals is None else decimals
    whole, rest = divmod(round(abs(seconds) * 10**places), 10**places)
    tail = f"{point}{rest:0{places}d}" if places else ""
    if decimals is None:
        tail = tail.rstrip("0").rstrip(point)
    minutes, second = divmod(whole, 60)
    hour, minute = divmod(minutes, 60)
    front = f"{hour}:{minute:02d}" if hour or hours else f"{minute}"
    sign = "-" if seconds < 0 and (whole or rest) else ""
    return f"{sign}{front}:{second:02d}{tail}"
