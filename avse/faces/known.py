"""Who of the people in a recording is known by name?"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from avse.faces.identity import SAME_FACE
from avse.faces.matching import assign, table
from avse.faces.people import People
from avse.faces.people_file import Known
from avse.types import FloatArray


def name_people(people: People, known: Sequence[Known]) -> People:
    """Give names to the people who are known.

    Those known by number first. Then faces, one name for one person, so that the distances of
    faces are least in all, and each below `SAME_FACE`; nobody is given a name for lack of a better.

    Args:
        people: of one recording.
        known: with descriptions in place of references.
    """
    names = {
        one.number: one.name for one in known if one.number is not None and one.reference is None
    }
    left = [one for one in known if one.name not in names.values() and one.faces]
    unnamed = [p for p in people if not set(p.numbers) & set(names) and p.face is not None]
    cost = table([[distance(p.face, one.faces) for one in left] for p in unnamed])
    for row, column in assign(cost, SAME_FACE):
        names[unnamed[row].number] = left[column].name
    persons = tuple(
        dataclasses.replace(p, name=next((names[n] for n in p.numbers if n in names), None))
        for p in people
    )
    return dataclasses.replace(people, persons=persons)


def distance(face: FloatArray | None, faces: Sequence[FloatArray]) -> float:
    """From a description to the nearest of several."""
    assert face is not None
    return min(float(np.linalg.norm(face - other)) for other in faces)
