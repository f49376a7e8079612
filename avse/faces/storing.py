"""Lossless serialisation of the people of a recording.

safetensors holds arrays and no code; the rest is JSON in one of the arrays. Any bytes give valid
people or a `ValueError`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from avse.faces.lips import POINTS, Lips, LipSequence
from avse.faces.people import People, Person
from avse.utils.schema import build, load_json

_ABOUT = "about"
_MOST_PEOPLE = 100_000
_LARGEST = 2**31
_TIME = re.compile(r"-?[0-9]{1,40}(/[1-9][0-9]{0,39})?", re.ASCII)

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class _Told:
    """The fields of a person that are not arrays, and the first frame and length of each stretch of
    lips."""

    number: int
    first_seen: str
    seconds_on_screen: float
    box: tuple[float, float, float, float]
    still: bool
    stretches: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class _About:
    """The fields of a recording that are not arrays."""

    width: int
    height: int
    turned: int
    cuts: tuple[str, ...]
    persons: tuple[_Told, ...]


def pack(people: People, turned: int) -> bytes:
    """Serialise people before names and corrections.

    Args:
        people: of a recording.
        turned: rotation in quarter turns; see `avse.scene.scene.Scene`.
    """
    from safetensors.numpy import save

    arrays: dict[str, npt.NDArray[Any]] = {}
    persons = []
    for row, person in enumerate(people):
        stretches = person.lips.stretches
        points = [np.zeros((0, POINTS, 3), np.float32), *(one.points for one in stretches)]
        confidence = [np.zeros((0, POINTS), np.float32), *(one.confidence for one in stretches)]
        arrays |= {
            f"{row}.times": person.times,
            f"{row}.boxes": person.boxes,
            f"{row}.points": np.concatenate(points),
            f"{row}.confidence": np.concatenate(confidence),
            f"{row}.thumbnail": person.thumbnail,
        }
        if person.face is not None:
            arrays[f"{row}.face"] = person.face
        persons.append(
            _Told(
                person.number,
                str(person.first_seen),
                float(person.seconds_on_screen),
                person.box,
                bool(person.still),
                tuple((one.first, len(one.points)) for one in stretches),
            )
        )
    about = _About(
        people.width, people.height, turned, tuple(map(str, people.cuts)), tuple(persons)
    )
    text = json.dumps(asdict(about)).encode("ascii")
    arrays[_ABOUT] = np.frombuffer(text, np.uint8)
    return bytes(save({name: np.ascontiguousarray(array) for name, array in arrays.items()}))


def unpack(payload: bytes | bytearray) -> tuple[People, int]:
    """Restore people and rotation from bytes.

    Raises:
        ValueError: the bytes are not from `pack`.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(bytes(payload))
    except (SafetensorError, KeyError, TypeError) as error:
        raise ValueError(f"no arrays: {error}") from error
    text = _array(arrays, _ABOUT, np.uint8, (None,))
    about = build(_About, load_json(text.tobytes()), "what is known")
    _require(0 < about.width < _LARGEST and 0 < about.height < _LARGEST, "a picture has a size")
    _require(0 <= about.turned <= 3, "a picture is turned by 0 to 3 quarters")
    _require(0 < len(about.persons) <= _MOST_PEOPLE, "somebody is there")
    numbers = [one.number for one in about.persons]
    rising = numbers == sorted(set(numbers)) and 1 <= numbers[0] <= numbers[-1] < _LARGEST
    _require(rising, "people are numbered")
    persons = tuple(_person(one, arrays, f"{row}.") for row, one in enumerate(about.persons))
    cuts = tuple(map(_time, about.cuts))
    return People(persons, about.width, about.height, cuts), about.turned


def _person(told: _Told, arrays: Arrays, prefix: str) -> Person:
    times = _array(arrays, f"{prefix}times", np.float64, (None,))
    boxes = _array(arrays, f"{prefix}boxes", np.float32, (len(times), 4))
    _require(len(times) > 0 and bool((np.diff(times) >= 0).all()), "sightings are in order")
    length = sum(frames for _, frames in told.stretches)
    points = _array(arrays, f"{prefix}points", np.float32, (length, POINTS, 3))
    confidence = _array(arrays, f"{prefix}confidence", np.float32, (length, POINTS))
    _require(not length or 0 <= confidence.min() <= confidence.max() <= 1, "confidence is 0 to 1")
    thumbnail = _array(arrays, f"{prefix}thumbnail", np.uint8, (None, None, 3))
    _require(min(thumbnail.shape) > 0 and max(thumbnail.shape) <= 4096, "a face has a picture")
    face = None
    if f"{prefix}face" in arrays:
        face = _array(arrays, f"{prefix}face", np.float32, (None,))
        _require(0 < len(face) <= 4096, "a face is described")
    stretches, at, stop = [], 0, -_LARGEST
    for first, frames in told.stretches:
        _require(frames > 0 and stop <= first and first + frames < _LARGEST, "lips are in order")
        here = slice(at, at + frames)
        stretches.append(LipSequence(first, points[here], confidence[here]))
        at, stop = at + frames, first + frames
    return Person(
        told.number,
        _time(told.first_seen),
        told.seconds_on_screen,
        told.box,
        times,
        boxes,
        Lips(tuple(stretches)),
        thumbnail,
        face=face,
        still=told.still,
    )


def _array(
    arrays: Arrays, name: str, kind: type[np.generic], shape: tuple[int | None, ...]
) -> npt.NDArray[Any]:
    """An array of that type and shape (None: any length), finite throughout."""
    array = arrays.get(name)
    _require(array is not None, f"{name} is there")
    assert array is not None
    _require(array.dtype == kind and array.ndim == len(shape), f"{name} has its type and shape")
    fits = all(want in (None, side) for want, side in zip(shape, array.shape, strict=True))
    _require(fits, f"{name} has its shape")
    _require(array.dtype == np.uint8 or bool(np.isfinite(array).all()), f"{name} is finite")
    return array


def _time(text: str) -> Fraction:
    _require(_TIME.fullmatch(text) is not None, "a time is a fraction")
    return Fraction(text)


def _require(fine: bool, what: str) -> None:
    """Raise an error unless a condition holds."""
    if not fine:
        raise ValueError(f"not so: {what}")
