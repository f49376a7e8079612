"""Who speaks when, as a file of any of the kinds that `avse who` and the page write."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from urllib.parse import quote

from avse.activity import texts, timelines
from avse.activity.who import Activity
from avse.media.timecode import timecode_of

KINDS = ("rttm", "srt", "vtt", "otio", "edl")


def as_text(
    activity: Activity, kind: str, path: Path, source: Path, people: Collection[int] | None = None
) -> tuple[str, list[str]]:
    """The content of a file, and what the user should know of it.

    Args:
        activity: who speaks when.
        kind: one of `KINDS`.
        path: of the file, from whose folder an .otio points to the recording.
        source: the recording.
        people: the numbers of those who are in it; None for everybody.
    """
    talks = [t for t in activity.talks if people is None or t.person.number in people]
    spoken = {talk.person.number: talk.segments for talk in talks}
    if kind == "rttm":
        return texts.rttm(spoken, source.stem), []
    if kind in ("srt", "vtt"):
        return (texts.srt if kind == "srt" else texts.vtt)(spoken), []
    scene = activity.scene
    timecode = timecode_of(source, scene.video)
    named = {t.person.name or f"Person {t.person.number}": t.segments for t in talks}
    warnings = []
    if not timecode.exact:
        warnings.append(
            f"{path.name} counts {float(timecode.rate):.5g} frames a second, which the picture "
            "does not have evenly: times are right, frames may be off by one"
        )
    if kind == "edl":
        text, left_out = timelines.edl(named, timecode, title=source.stem, clip=source.name)
        if left_out:
            warnings.append(
                f"{path.name} lacks {left_out} stretches of speech: an EDL has four sound "
                "channels, and more people speak at once; .otio has no such limit"
            )
        return text, warnings
    last = max((segment.stop for theirs in named.values() for segment in theirs), default=0.0)
    duration = float(scene.info.duration or 0)
    where = _url(source, path.parent)
    text = timelines.otio(
        named, timecode, name=source.stem, url=where, duration_s=max(last, duration)
    )
    return text, warnings


def _url(source: Path, folder: Path) -> str:
    """Where a file is, as seen from a folder; absolute where there is no way from one there."""
    try:
        return quote(Path(os.path.relpath(source.resolve(), folder.resolve())).as_posix())
    except ValueError:  # on another drive
        return source.resolve().as_uri()
