"""Report cards, made by workers: faces, waveforms and playable sounds of a recording.

A card is a small JSON file and not part of the result: without it the report lacks its pictures.
"""

from __future__ import annotations

import base64
import io
import json
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from avse.scene.part import find_part
from avse.settings import Settings
from avse.utils.schema import build, load_json

if TYPE_CHECKING:
    from avse.faces.people import Person
    from avse.media import MediaInfo
    from avse.separation.job import Done

_POINTS = 240
_SIDE = 72
_MOST_FACES = 12

# What Chromium, Firefox and Safari play: codecs of picture and sound by the ending of the file.
_SOUNDS = {
    ".wav": {"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"},
    ".flac": {"flac"},
    ".mp3": {"mp3"},
    ".m4a": {"aac"},
    ".mp4": {"aac", "mp3", "opus", "flac"},
    ".m4v": {"aac", "mp3", "opus", "flac"},
    ".mov": {"aac", "mp3"},
    ".webm": {"opus", "vorbis"},
}
_PICTURES = {"h264", "vp8", "vp9", "av1"}


@dataclass(frozen=True)
class Face:
    """A person in the picture.

    Attributes:
        number: of the person.
        seconds: time on screen in seconds.
        jpeg: picture of the face, in base64.
        name: name in the file of people, if any.
    """

    number: int
    seconds: float
    jpeg: str
    name: str | None = None


@dataclass(frozen=True)
class Sound:
    """Sound of a recording or of an output.

    Attributes:
        peaks: peak of each stretch of time, 0..1.
        start_s: start of the processed part in the file, in playing time.
        plays: "audio" or "video" if browsers play it, else "".
        stem: content: the number of a person, "enhanced" or "residual"; "" for the original.
    """

    peaks: list[float]
    start_s: float
    plays: str
    stem: str = ""


@dataclass(frozen=True)
class Card:
    """Card of a recording for the report.

    Attributes:
        faces: all people in the picture.
        before: the original.
        after: name of an output -> its sound.
    """

    faces: list[Face]
    before: Sound
    after: dict[str, Sound]


def write_card(path: Path, source: Path, settings: Settings, done: Done) -> None:
    """Make the card of a recording.

    Args:
        path: path of the card.
        source: the recording.
        settings: give the processed sound track and part.
        done: result of the worker.
    """
    card = Card(
        faces=[
            Face(p.number, round(p.seconds_on_screen, 2), _jpeg(p), p.name)
            for p in done.people[:_MOST_FACES]
        ],
        before=listen(source, settings),
        after={
            output.name: listen(output, stem=str(stem))
            for stem, output in [*done.stems, *done.beside.items()]
        },
    )
    path.write_text(json.dumps(asdict(card)), encoding="ascii")


def read_card(path: Path) -> Card | None:
    """A card, or None if it is missing or damaged."""
    try:
        return build(Card, load_json(path.read_text(encoding="ascii")), "the card")
    except (OSError, ValueError):
        return None


def listen(path: Path, settings: Settings | None = None, *, stem: str = "") -> Sound:
    """Read a sound track for the report, in constant memory.

    Args:
        path: a recording.
        settings: for the track and the part; None for the track that plays by default, which is
            the voice in a video that was written, and all of it.
        stem: content, as in `Sound.stem`.
    """
    from avse.media import AudioReader, probe

    settings, info = settings or Settings(), probe(path)
    part = find_part(info, settings)
    highest: list[float] = []
    with AudioReader(
        path, track=settings.track, block_s=0.05, start=part.start, stop=part.stop
    ) as sound:
        begin = float(sound.start - info.start)
        for block in sound:
            if block.samples.size:
                highest.append(float(np.abs(block.samples).max()))
    peaks = [round(min(1.0, peak), 3) for peak in thinned(highest, _POINTS)]
    return Sound(peaks, round(begin, 4), how_it_plays(info, settings.track), stem)


def how_it_plays(info: MediaInfo, track: int | None = None) -> str:
    """Whether browsers play a file, and that sound track of it: "audio", "video", or "" for no.

    Args:
        info: description of the file.
        track: the requested sound track; browsers play the default one and offer no choice.
    """
    sounds = _SOUNDS.get(info.path.suffix.lower(), set())
    if not info.audio or track not in (None, info.default_track):
        return ""
    if info.audio[info.default_track].codec not in sounds:
        return ""
    if info.video is None:
        return "audio"
    return "video" if info.video.codec in _PICTURES else ""


def likely_plays(name: str) -> str:
    """The same by the name of a file alone, without reading it."""
    suffix = Path(name).suffix.lower()
    if suffix not in _SOUNDS:
        return ""
    return "video" if suffix in (".mp4", ".m4v", ".mov", ".webm") else "audio"


def thinned(values: list[float], count: int) -> list[float]:
    """At most `count` maxima of stretches of the values."""
    if len(values) <= count:
        return values
    edges = np.linspace(0, len(values), count + 1).astype(int)
    return [max(values[a:b]) for a, b in pairwise(edges)]


def _jpeg(person: Person) -> str:
    from PIL import Image

    picture = Image.fromarray(person.thumbnail)
    picture.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return base64.b64encode(file.getvalue()).decode("ascii")
