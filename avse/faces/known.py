"""Find the names of the people in a recording, from a file of people."""

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
    """Name the people of a recording who are in a file of people.

    Names with a number are assigned first. The others are assigned by face, at most one to each
    person, so that the sum of the distances is smallest. Distances have to be below `SAME_FACE`.

    Args:
        people: the people of a recording.
        known: the entries of the file, with descriptions in place of references.
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
    """Distance from a description to the nearest one of several."""
    assert face is not None
    return min(float(np.linalg.norm(face - other)) for other in faces)
