"""Diarization for editing programs: OpenTimelineIO and EDL (CMX 3600).

OpenTimelineIO is written without its library, which has 3 MB and no wheels for some of the Python
versions of avse; the format is a page of JSON. A test reads the result with the library.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from avse.diarization.segments import Segment
from avse.media.probe import MediaInfo, VideoStream
from avse.media.timecode import Timecode, timecode_of

CHANNELS = ("A", "A2", "A3", "A4")
"""The sound channels of an EDL."""

Named = Mapping[str, Sequence[Segment]]
"""Name of each person -> their segments, in playing time."""


def timeline(
    path: Path, named: Named, info: MediaInfo, video: VideoStream
) -> tuple[str, list[str]]:
    """Make a file for editing programs.

    Args:
        path: path of the file; its ending is .otio or .edl.
        named: see `Named`.
        info: the recording.
        video: its picture, whose frames are counted.

    Returns:
        Content of the file, and warnings for the user.

    Raises:
        MediaError: the recording cannot be read.
    """
    timecode, warnings = timecode_of(info.path, video), []
    if not timecode.exact:
        warnings.append(
            f"{path.name} counts {float(timecode.rate):.5g} frames a second, at which the picture "
            "does not run evenly: times are right, frames may be off by one"
        )
    stem = info.path.stem
    if path.suffix.lower() == ".edl":
        text, left_out = edl(named, timecode, title=stem, clip=info.path.name)
        if left_out:
            warnings.append(
                f"{path.name} lacks {left_out} stretches of speech: an EDL has four sound "
                "channels, and more people speak at once; .otio has no such limit"
            )
        return text, warnings
    last = max((segment.stop for theirs in named.values() for segment in theirs), default=0.0)
    duration_s = max(last, 0.0 if info.duration is None else float(info.duration))
    url = _url(info.path, path.parent)
    return otio(named, timecode, name=stem, url=url, duration_s=duration_s), warnings


def otio(named: Named, timecode: Timecode, *, name: str, url: str, duration_s: float) -> str:
    """Make an OpenTimelineIO timeline (JSON): the recording, and a track of each person's speech.

    Clips have the same times on the timeline as in the recording.

    Args:
        named: see `Named`.
        timecode: of the recording.
        name: of the timeline.
        url: of the recording, absolute or relative to the timeline's folder.
        duration_s: of the recording, in seconds.
    """
    last = timecode.frame(duration_s)

    def spot(frame: int) -> dict[str, Any]:
        return {"OTIO_SCHEMA": "RationalTime.1", "rate": float(timecode.rate), "value": frame}

    def stretch(start: int, stop: int) -> dict[str, Any]:
        length = spot(stop - start)
        return {"OTIO_SCHEMA": "TimeRange.1", "start_time": spot(start), "duration": length}

    def item(schema: str, name: str, **more: Any) -> dict[str, Any]:
        common = {"name": name, "enabled": True, "effects": [], "markers": [], "metadata": {}}
        return {"OTIO_SCHEMA": schema, **common, "source_range": None, **more}

    def clip(name: str, start: int, stop: int) -> dict[str, Any]:
        media = {
            "OTIO_SCHEMA": "ExternalReference.1",
            "name": "",
            "metadata": {},
            "available_range": stretch(timecode.first, last),
            "available_image_bounds": None,
            "target_url": url,
        }
        return item(
            "Clip.2",
            name,
            source_range=stretch(start, stop),
            media_references={"DEFAULT_MEDIA": media},
            active_media_reference_key="DEFAULT_MEDIA",
        )

    def track(name: str, kind: str, children: list[dict[str, Any]]) -> dict[str, Any]:
        return item("Track.1", name, kind=kind, children=children)

    tracks = [track("Recording", "Video", [clip(name, timecode.first, last)])]
    for person, segments in named.items():
        children = []
        at = timecode.first
        for start, stop in _frames(segments, timecode):
            if start > at:
                children.append(item("Gap.1", "", source_range=stretch(0, start - at)))
            children.append(clip(person, start, stop))
            at = stop
        tracks.append(track(person, "Audio", children))
    timeline = {
        "OTIO_SCHEMA": "Timeline.1",
        "name": name,
        "metadata": {},
        "global_start_time": spot(timecode.first),
        "tracks": item("Stack.1", "tracks", children=tracks),
    }
    return json.dumps(timeline, indent=2, ensure_ascii=False) + "\n"


def edl(named: Named, timecode: Timecode, *, title: str, clip: str) -> tuple[str, int]:
    """Make an edit decision list (CMX 3600): an event for each segment, the person as its comment.

    Source and record times are the same. Up to four people who speak have a sound channel each.
    With more people, each event is on the first free channel.

    Args:
        named: see `Named`.
        timecode: of the recording.
        title: of the list.
        clip: name of the recording.

    Returns:
        The list, and the number of segments that are left out, because no channel is free.
    """
    speak = [person for person, segments in named.items() if segments]
    own = dict(zip(speak, CHANNELS, strict=False)) if len(speak) <= len(CHANNELS) else {}
    busy = dict.fromkeys(CHANNELS, timecode.first)  # channel -> the frame from which it is free
    reel = re.sub(r"[^A-Z0-9]", "", title.upper())[:8] or "AX"
    lines = [f"TITLE: {_line(title)}", f"FCM: {'' if timecode.drop else 'NON-'}DROP FRAME"]
    events = sorted(
        (*frames, person) for person in speak for frames in _frames(named[person], timecode)
    )
    number = left_out = 0
    for start, stop, person in events:
        channel = own.get(person) or next((c for c in CHANNELS if busy[c] <= start), None)
        if channel is None:
            left_out += 1
            continue
        busy[channel] = stop
        number += 1
        times = f"{timecode.text(start)} {timecode.text(stop)}"
        lines += [
            "",
            f"{number:03d}  {reel:<8} {channel:<5} C        {times} {times}",
            f"* FROM CLIP NAME: {_line(clip)}",
            f"* COMMENT: {_line(person)}",
        ]
    return "\n".join(lines) + "\n", left_out


def _url(source: Path, folder: Path) -> str:
    """The relative URL of a file for a folder; an absolute one if it is on another drive."""
    try:
        return quote(Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix())
    except ValueError:  # on another drive
        return source.resolve().as_uri()


def _frames(segments: Sequence[Segment], timecode: Timecode) -> list[tuple[int, int]]:
    """First frame of each segment and the frame after its last; not overlapping, not empty."""
    found: list[tuple[int, int]] = []
    at = timecode.first
    for segment in segments:
        start = max(at, timecode.frame(segment.start))
        at = max(start + 1, timecode.frame(segment.stop))
        found.append((start, at))
    return found


def _line(text: str) -> str:
    return " ".join(text.split())
