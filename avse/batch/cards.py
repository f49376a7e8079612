"""What the report shows of a recording: faces, and the sound before and after, made by the worker.

A card is a small JSON file. It is no part of the result: one that is missing costs its pictures.
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

from avse.part import find_part
from avse.records import build, load_json
from avse.settings import Settings

if TYPE_CHECKING:
    from avse.faces.people import Person
    from avse.job import Done

_POINTS = 240
_SIDE = 72
_MOST_FACES = 12


@dataclass(frozen=True)
class Card:
    """Pictures of a recording.

    Attributes:
        faces: (number, seconds in sight, JPEG in base64) of each person.
        before: peak of the original in each stretch of time, 0..1.
        after: name of an output -> the same.
    """

    faces: list[tuple[int, float, str]]
    before: list[float]
    after: dict[str, list[float]]


def write_card(path: Path, source: Path, settings: Settings, done: Done) -> None:
    """Make the card of a recording.

    Args:
        path: where to write it.
        source: the recording.
        settings: for the sound track, and the part, that were worked on.
        done: what came of it.
    """
    card = Card(
        faces=[
            (person.number, round(person.seconds_on_screen, 2), _face(person))
            for person in done.people[:_MOST_FACES]
        ],
        before=peaks(source, settings),
        after={output.name: peaks(output) for output in done.paths},
    )
    path.write_text(json.dumps(asdict(card)), encoding="ascii")


def read_card(path: Path) -> Card | None:
    """A card, or None if it is missing or damaged."""
    try:
        return build(Card, load_json(path.read_text(encoding="ascii")), "the card")
    except (OSError, ValueError):
        return None


def peaks(path: Path, settings: Settings | None = None) -> list[float]:
    """Peak in each of about 240 stretches of a sound track, read in constant memory.

    Args:
        path: a recording.
        settings: for the track and the part; None for the track that plays by default, which is
            the voice in a video that was written, and all of it.
    """
    from avse.media import AudioReader, probe

    settings = settings or Settings()
    part = find_part(probe(path), settings)
    highest: list[float] = []
    with AudioReader(
        path, track=settings.track, block_s=0.05, start=part.start, stop=part.stop
    ) as sound:
        for block in sound:
            if block.samples.size:
                highest.append(float(np.abs(block.samples).max()))
    return [round(min(1.0, peak), 3) for peak in thinned(highest, _POINTS)]


def thinned(values: list[float], count: int) -> list[float]:
    """At most `count` maxima of stretches of the values."""
    if len(values) <= count:
        return values
    edges = np.linspace(0, len(values), count + 1).astype(int)
    return [max(values[a:b]) for a, b in pairwise(edges)]


def _face(person: Person) -> str:
    from PIL import Image

    picture = Image.fromarray(person.thumbnail)
    picture.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80)
    return base64.b64encode(file.getvalue()).decode("ascii")
