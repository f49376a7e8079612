"""A file of people: their names, and how they are recognised.

    [anna]
    number = 1                     # person 1 of any recording

    [ben]
    reference = "ben.jpg"          # a picture or a recording of this person alone

    [cleo]
    reference = "talk.mp4"
    number = 3                     # person 3 of that recording

    [[dora.faces]]                 # written by `avse inspect --remember`
    from = "talk.mp4"
    network = "dlib-resnet-v1"
    description = "..."            # 128 numbers of 16 bits, in base64

A description of a face is biometric data: the file allows anyone to recognise the person.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avse.errors import InputError, UsageError
from avse.utils.paths import user_path
from avse.utils.schema import load_toml

if TYPE_CHECKING:
    from avse.faces.people import Person
    from avse.types import FloatArray

_KEYS = {"number", "reference", "faces"}
_NOT_IN_NAMES = frozenset('/\\,"\0')
_TAKEN = ("all", "residual", ".", "..")


@dataclass(frozen=True)
class Known:
    """An entry in a file of people.

    Attributes:
        name: of the person.
        number: the person's number in `reference`, or in every recording without a reference.
        reference: a picture or a recording of the person.
        faces: (128,) descriptions of the person's face.
        network: name of the network that made the descriptions.
    """

    name: str
    number: int | None = None
    reference: Path | None = None
    faces: tuple[FloatArray, ...] = field(default=(), repr=False)
    network: str | None = None

    @property
    def by_face(self) -> bool:
        """Whether a face recognition network is needed to recognise the person."""
        return bool(self.faces) or self.reference is not None


def read_people(path: Path) -> list[Known]:
    """Read a file of people.

    Raises:
        InputError: the file cannot be read, or is not TOML.
        UsageError: an entry is invalid, or two people have the same number.
    """
    table = _load(path)
    known = [_read_one(path, name, about) for name, about in table.items()]
    numbers = [one.number for one in known if one.number is not None and one.reference is None]
    twice = next((n for n in numbers if numbers.count(n) > 1), None)
    if twice is not None:
        raise UsageError(f"{path.name}: two people have number {twice}", "a number is one person's")
    return known


def check_name(name: str) -> str:
    """Check that a name is not a number, and can be part of a file name.

    Raises:
        UsageError: it is not allowed.
    """
    wrong = (
        not name.strip()
        or name != name.strip()
        or name.isdecimal()
        or name.startswith(("@", "-"))
        or name in _TAKEN
        or any(c in _NOT_IN_NAMES or not c.isprintable() for c in name)
    )
    if wrong:
        raise UsageError(
            f"{name!r} cannot be the name of a person",
            "use letters, digits and spaces, and not only digits",
        )
    return name


def new_name(recording: Path, number: int, taken: Iterable[str]) -> str:
    """Make an unused name for a person from the name of the recording and the person's number."""
    stem = "".join("_" if c in _NOT_IN_NAMES or not c.isprintable() else c for c in recording.stem)
    name = f"{stem.strip().lstrip('@-') or 'person'}-{number}"
    others = set(taken)
    return next(n for k in range(len(others) + 1) if (n := name + "'" * k) not in others)


def entry(name: str, person: Person, network: str, recording: Path) -> str:
    """Make the text that is appended to a file of people, so that a person is recognised.

    Args:
        name: of the person.
        person: the person; `face` is not None.
        network: name of the network that described the face.
        recording: the recording of the face.
    """
    assert person.face is not None
    description = base64.b64encode(person.face.astype("<f2").tobytes()).decode("ascii")
    lines = [
        f"[[{_quoted(name)}.faces]]",
        f"from = {_quoted(os.fsencode(recording.name).decode('utf-8', 'backslashreplace'))}",
        f"network = {_quoted(network)}",
        f"description = {_quoted(description)}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a basic string of TOML: no DEL gets here


def _load(path: Path) -> dict[str, Any]:
    try:
        return load_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"the file of people {path} cannot be read: {error.strerror}", "check --people"
        ) from error
    except ValueError as error:  # TOML or UTF-8
        raise InputError(f"{path} is not TOML: {error}", "see docs/identity.md") from error


def _read_one(path: Path, name: str, about: object) -> Known:
    check_name(name)
    where = f"{path.name}, {name}"
    if not isinstance(about, Mapping):
        raise UsageError(f"{where}: not a table", f"such as: [{name}], then number = 1")
    unknown = set(about) - _KEYS
    if unknown or not about:
        what = f"unknown key {min(unknown)!r}" if unknown else "nothing to know them by"
        raise UsageError(f"{where}: {what}", f"give one of {', '.join(sorted(_KEYS))}")
    number, reference = about.get("number"), about.get("reference")
    if number is not None and (type(number) is not int or number < 1):
        raise UsageError(f"{where}: {number!r} is not a number", "people count from 1")
    if reference is not None and not isinstance(reference, str):
        raise UsageError(f"{where}: reference is not the name of a file", "put it into quotes")
    if number is not None and reference is None and "faces" in about:
        number = None  # the number was given before the person was remembered
    faces, networks = _read_faces(where, about.get("faces", []))
    return Known(
        name,
        number,
        None if reference is None else path.parent / user_path(reference),
        faces,
        networks.pop() if networks else None,
    )


def _read_faces(where: str, faces: object) -> tuple[tuple[FloatArray, ...], set[str]]:
    found: list[FloatArray] = []
    networks: set[str] = set()
    try:
        if not isinstance(faces, list):
            raise TypeError
        for face in faces:
            raw = base64.b64decode(face["description"], validate=True)
            values = np.frombuffer(raw, "<f2").astype(np.float32)
            if not values.size or not np.isfinite(values).all():
                raise ValueError
            found.append(values)
            networks.add(str(face["network"]))
        if len({len(values) for values in found}) > 1 or len(networks) > 1:
            raise ValueError
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise UsageError(
            f"{where}: a description of a face is damaged",
            "delete its [[faces]], and remember the person again",
        ) from error
    return tuple(found), networks
