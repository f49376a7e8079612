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
# What the command lines of Whisper and whisper.cpp print.
_BRACKETED = re.compile(rf"^\[({_CLOCK})\s*-->\s*({_CLOCK})\][^\S\n]*(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Cue:
    """A piece of text with its start and end in seconds."""

    start: float
    stop: float
    text: str


@dataclass
class SubtitleFiles:
    """Subtitles that were written or will be.

    Attributes:
        paths: the file of each voice, by its number.
        warnings: warnings for the user, as text.
        failure: reason why some are missing, if any are.
    """

    paths: dict[StemKey, Path] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failure: AvseError | None = None


def need_pysubs2() -> Any:
    """The package.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return import_module("pysubs2")
    except ImportError as error:
        raise MissingExtraError(
            "pysubs2, which reads and writes subtitles, is not installed",
            'pip install "avse[transcribe]"',
        ) from error


def read_cues(text: str) -> list[Cue] | None:
    """The cues of SubRip, of WebVTT, or of lines such as "[00:00.000 --> 00:02.500] hello".

    Args:
        text: as a recogniser printed it.

    Returns:
        Cues in order of time, the empty ones left out; None if the text has no times.

    Raises:
        MissingExtraError: it has times, but pysubs2 is not installed.
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
    """SubRip; nothing at all if there are no cues.

    Raises:
        MissingExtraError: pysubs2 is not installed.
    """
    return _written(cues, "srt")


def as_talk(said: Mapping[str, Sequence[Cue]], kind: str) -> str:
    """What several people say, in one file.

    Args:
        said: name of each person -> their cues.
        kind: "srt", where names stand before the words of more than one person, or "vtt", where
            names are the voices of WebVTT.

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
    """Text with one space wherever there is any."""
    return " ".join(text.split())
