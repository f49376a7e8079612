"""Diarization files in all formats that `avse who` and the page write."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from avse.diarization import texts
from avse.diarization.timelines import timeline
from avse.diarization.who import Activity

KINDS = ("rttm", "srt", "vtt", "otio", "edl")


def as_text(
    activity: Activity, kind: str, path: Path, source: Path, people: Collection[int] | None = None
) -> tuple[str, list[str]]:
    """The content of a file, and messages to the user.

    Args:
        activity: the diarization.
        kind: one of `KINDS`.
        path: path of the file; an .otio refers to the recording relative to its folder.
        source: the recording.
        people: numbers of the people in the file; None for all.
    """
    talks = [t for t in activity.talks if people is None or t.person.number in people]
    spoken = {talk.person.number: talk.segments for talk in talks}
    if kind == "rttm":
        return texts.rttm(spoken, source.stem), []
    if kind in ("srt", "vtt"):
        names = {talk.person.number: talk.person.name for talk in talks}
        return (texts.srt if kind == "srt" else texts.vtt)(spoken, names), []
    named = {t.person.name or f"Person {t.person.number}": t.segments for t in talks}
    return timeline(path.with_suffix(f".{kind}"), named, activity.scene.info, activity.scene.video)
