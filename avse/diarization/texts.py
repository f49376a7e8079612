"""Diarization in the formats of other programs: RTTM, SubRip and WebVTT."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

from avse.diarization.segments import Segment
from avse.utils.clock import clock

Spoken = Mapping[int, Sequence[Segment]]
"""Number of each person -> their segments."""

Names = Mapping[int, str | None]
"""Number of each person -> their name, or None."""

_SPACES = re.compile(r"\s+")


def rttm(spoken: Spoken, recording: str) -> str:
    """Format segments as Rich Transcription Time Marked (NIST, RT-09 plan, appendix A).

    Args:
        spoken: see `Spoken`.
        recording: name of the recording; spaces, which separate fields, become underscores.
    """
    name = _SPACES.sub("_", recording.strip()) or "recording"
    return "".join(
        f"SPEAKER {name} 1 {s.start:.3f} {s.length:.3f} <NA> <NA> person{number} <NA> <NA>\n"
        for s, number in _ordered(spoken)
    )


def read_rttm(text: str) -> dict[str, list[Segment]]:
    """Read the segments of each name in an RTTM file; lines other than SPEAKER are ignored.

    Raises:
        ValueError: a SPEAKER line is invalid.
    """
    found: dict[str, list[Segment]] = {}
    for line in text.splitlines():
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            continue
        if len(fields) < 8:
            raise ValueError(f"no line of RTTM: {line!r}")
        start, length = float(fields[3]), float(fields[4])
        found.setdefault(fields[7], []).append(Segment(start, start + length))
    return found


def srt(spoken: Spoken, names: Names | None = None) -> str:
    """Format segments as SubRip: a cue for each, with the person's name or `Speaker 2`."""
    cues = [
        f"{place}\n{_clock(s.start, ',')} --> {_clock(s.stop, ',')}\n{_called(number, names)}\n"
        for place, (s, number) in enumerate(_ordered(spoken), 1)
    ]
    return "\n".join(cues)


def vtt(spoken: Spoken, names: Names | None = None) -> str:
    """Format segments as WebVTT (W3C): a cue for each, with the person as its voice."""
    lines = ["WEBVTT"]
    for s, number in _ordered(spoken):
        called = html.escape(_called(number, names), quote=False)
        lines += ["", f"{_clock(s.start, '.')} --> {_clock(s.stop, '.')}", f"<v {called}>{called}"]
    return "\n".join([*lines, ""])


def _called(number: int, names: Names | None) -> str:
    return (names or {}).get(number) or f"Speaker {number}"


def _ordered(spoken: Spoken) -> list[tuple[Segment, int]]:
    return sorted((segment, number) for number, theirs in spoken.items() for segment in theirs)


def _clock(seconds: float, point: str) -> str:
    """Format a time with two digits for each of hours, minutes and seconds."""
    return clock(seconds, 3, hours=True, point=point).zfill(len("00:00:00.000"))
