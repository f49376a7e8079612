"""Face descriptions from reference pictures and recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avse.errors import InputError, MissingExtraError, UsageError
from avse.faces.detect import FaceBackend, Image
from avse.faces.people_file import Known
from avse.faces.recognition import EXTRA_HINT, SIZE, Recogniser
from avse.faces.track import find_people
from avse.media import read_frames
from avse.types import FloatArray

_SIDE = 1280
"""Longer side of reference pictures in pixels; larger ones are scaled down."""


def describe_references(
    known: Sequence[Known], backend: FaceBackend, recogniser: Recogniser | None
) -> list[Known]:
    """Replace references by descriptions of the faces in them.

    Args:
        known: the result of `avse.faces.people_file.read_people`.
        backend: the face backend.
        recogniser: the face recognition network, if there is one.

    Raises:
        MissingExtraError: an entry needs face recognition, and there is no network for it.
        InputError: a reference cannot be read, or does not show exactly one face.
        UsageError: a description was made by another network, or a person does not exist.
    """
    if recogniser is None:
        by_face = next((one for one in known if one.by_face), None)
        if by_face is not None:
            raise MissingExtraError(
                f"to find {by_face.name} by the face takes a face recognition network", EXTRA_HINT
            )
        return list(known)
    described = []
    for one in known:
        if one.faces and one.network != recogniser.name:
            raise UsageError(
                f"{one.name} was described by the network {one.network}, not {recogniser.name}",
                "delete the [[faces]], and remember the person again",
            )
        if any(face.shape != (SIZE,) for face in one.faces):
            raise UsageError(
                f"a description of the face of {one.name} is damaged: it is not {SIZE} numbers",
                "delete the [[faces]], and remember the person again",
            )
        if one.reference is not None:
            face = _face_in(one.reference, one.number, backend, recogniser)
            one = dataclasses.replace(one, number=None, reference=None, faces=(*one.faces, face))
        described.append(one)
    return described


def _face_in(
    path: Path, number: int | None, backend: FaceBackend, recogniser: Recogniser
) -> FloatArray:
    if not path.is_file():
        raise InputError(
            f"the reference {path} does not exist", "it counts from the file of people"
        )
    picture = _picture(path)
    if picture is not None:
        found = backend.detect([picture])[0]
        faces = backend.landmarks(picture, [item.box for item in found])
        described = [recogniser.describe(picture, face) for face in faces if face is not None]
    else:
        people = find_people(
            read_frames(path, max_side=_SIDE, rough=True), backend, recogniser=recogniser
        )
        if number is not None:
            person = people.numbered(number)
            if person is None or person.face is None:
                raise UsageError(
                    f"there is no person {number} in {path.name} whose face can be described",
                    "run `avse inspect` to see who is there",
                )
            return person.face
        described = [person.face for person in people if person.face is not None]
    if len(described) != 1:
        raise InputError(
            f"the reference {path.name} shows {len(described) or 'no'} faces",
            "give a picture with one face, or a recording and the number of a person in it",
        )
    return described[0]


def _picture(path: Path) -> Image | None:
    """Read a picture, (h, w, 3) RGB, upright, at most 1280 pixels; None if it is not a picture."""
    from PIL import Image as Pictures
    from PIL import ImageOps, UnidentifiedImageError

    try:
        with Pictures.open(path) as file:
            upright = ImageOps.exif_transpose(file).convert("RGB")
    except UnidentifiedImageError:
        return None
    except OSError as error:
        raise InputError(f"the reference {path} cannot be read: {error}", "try another") from error
    upright.thumbnail((_SIDE, _SIDE))
    return np.asarray(upright, np.uint8)
