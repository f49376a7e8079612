"""Read timed text from the output of a recogniser, and write SubRip, with pysubs2."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from avse.errors import AvseError, MissingExtraError
from avse.scene.naming import StemKey

_CLOCK = r"(?:\d+:)?\d{1,2}:\d{2}[.,]\d{1,3}"
_TIMES = re.compile(rf"^\s*{_CLOCK}\s*-->\s*{_CLOCK}", re.MULTILINE)
# The output format of the command lines of Whisper and whisper.cpp.
_BRACKETED = re.compile(rf"^\[({_CLOCK})\s*-->\s*({_CLOCK})\][^\S\n]*(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Cue:
    """A piece of text with its start and end in seconds."""

    start: float
    stop: float
    text: str


@dataclass
class SubtitleFiles:
    """The result of writing subtitles.

    Attributes:
        paths: stem -> file of its subtitles.
        warnings: warnings for the user.
        failure: the error because of which some files are missing, if any.
    """

    paths: dict[StemKey, Path] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failure: AvseError | None = None


def need_pysubs2() -> Any:
    """Import pysubs2.

    Raises:
        MissingExtraError: pysubs2 is not installed.
    """
    try:
        return import_module("pysubs2")
    except ImportError as error:
        raise MissingExtraError(
            "pysubs2, which reads and writes subtitles, is not installed",
            'pip install "avse[transcribe]"',
        ) from error


def read_cues(text: str) -> list[Cue] | None:
    """Read the cues of SubRip, WebVTT, or lines such as "[00:00.000 --> 00:02.500] hello".

    Args:
        text: the output of a recogniser.

    Returns:
        Cues in order of time, without empty ones; None if the text has no times.

    Raises:
        MissingExtraError: the text has times, but pysubs2 is not installed.
    """
    text = text.replace("\r\n", "\n").lstrip("\ufeff\n ")
    if _BRACKETED.search(text):
        found = [f"{a} --> {b}\n{said}\n" for a, b, said in _BRACKETED.findall(text)]
        text = "\n".join(["WEBVTT\n", *found])
    web = text.startswith("WEBVTT")
    if not web and not _TIMES.search(text):
        return None
    events = need_pysubs2().SSAFile.from_string(text, format_="vtt" if web else "srt")
    cues = [
        Cue(event.start / 1000, event.end / 1000, tidy(html.unescape(event.plaintext)))
        for event in events
    ]
    return sorted((cue for cue in cues if cue.text), key=lambda cue: cue.start)


def as_srt(cues: Iterable[Cue]) -> str:
    """Format cues as SubRip; "" if there are none.

    Raises:
        MissingExtraError: pysubs2 is not installed.
    """
    return _written(cues, "srt")


def as_talk(said: Mapping[str, Sequence[Cue]], kind: str) -> str:
    """Format the cues of several people as one file.

    Args:
        said: name of each person -> their cues.
        kind: "srt", with names before the words if there are several people; or "vtt", with names
            as the voices of WebVTT.

    Raises:
        MissingExtraError: pysubs2 is not installed.
    """

    def text(name: str, words: str) -> str:
        if kind == "vtt":
            name, words = (html.escape(one, quote=False) for one in (name, words))
            return f"<v {name}>{words}"
        return f"{name}: {words}" if len(said) > 1 else words

    cues = [Cue(c.start, c.stop, text(name, c.text)) for name, own in said.items() for c in own]
    return _written(sorted(cues, key=lambda cue: cue.start), kind)


def _written(cues: Iterable[Cue], kind: str) -> str:
    pysubs2 = need_pysubs2()
    written = pysubs2.SSAFile()
    for cue in cues:
        event = pysubs2.SSAEvent(start=round(cue.start * 1000), end=round(cue.stop * 1000))
        # pysubs2 would read braces as the mark-up of another format and remove them.
        event.plaintext = tidy(cue.text).replace("{", "(").replace("}", ")")
        written.append(event)
    return str(written.to_string(kind))


def tidy(text: str) -> str:
    """Replace every sequence of white space in a text by one space."""
    return " ".join(text.split())
