"""Convert face tracks to people."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from avse.faces.face_settings import FaceSettings
from avse.faces.matching import number
from avse.faces.people import People, Person
from avse.faces.rejoin import Track
from avse.faces.sightings import Sightings
from avse.faces.stillness import LEAST_MOTION, is_still


def people_of(
    tracks: Sequence[Track],
    cuts: Sequence[Fraction],
    size: tuple[int, int],
    settings: FaceSettings | None = None,
) -> People:
    """Convert tracks to people; tracks that are too short or too uncertain are dropped.

    Args:
        tracks: joined tracks, one for each person, see `avse.faces.rejoin.rejoin`.
        cuts: times at which shots begin.
        size: width and height of the source picture in pixels.
        settings: see `FaceSettings`.
    """
    settings = settings or FaceSettings()
    kept = [track for track in tracks if is_somebody(track, settings)]
    order = number(
        [(track.first_seen, track.first_box) for track in kept], cuts, settings.simultaneous_s
    )
    persons = [
        person_of(kept[index], place + 1, size, settings) for place, index in enumerate(order)
    ]
    return People(tuple(persons), *size, tuple(cuts))


def is_somebody(track: Track, settings: FaceSettings) -> bool:
    """Whether lips are visible for long enough, and the score is high enough, for a person."""
    readable = Sightings.joined(track.sightings).readable().seconds(settings.max_gap_s)
    sure = track.hinted or track.score >= settings.min_score
    return readable >= settings.min_seconds and sure


def person_of(
    track: Track, number: int, size: tuple[int, int], settings: FaceSettings | None = None
) -> Person:
    """Convert a track to a person.

    Args:
        track: the joined track.
        number: number of the person.
        size: width and height of the source picture in pixels.
        settings: see `FaceSettings`.
    """
    settings = settings or FaceSettings()
    whole = Sightings.joined(track.sightings)
    x, y, w, h = (float(value) for value in np.median(whole.boxes, axis=0))
    thumbnail = track.thumbnail
    if thumbnail is None:
        thumbnail = np.zeros((settings.thumbnail, settings.thumbnail, 3), np.uint8)
    lips = whole.lips()
    width, height = size
    return Person(
        number,
        track.first_seen,
        whole.seconds(settings.max_gap_s),
        (x, y, w, h),
        whole.times.copy(),
        whole.boxes / np.array([width, height, width, height], np.float32),
        lips,
        thumbnail,
        face=track.portrait.face,
        still=is_still(lips, whole.readable().pose, settings.least_motion or LEAST_MOTION),
    )
