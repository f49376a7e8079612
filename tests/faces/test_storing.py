"""People as bytes: not a bit is lost, and other bytes are refused."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from avse.faces.lips import POINTS, Lips, LipSequence
from avse.faces.people import People, Person
from avse.faces.storing import pack, unpack


def stretch(generator: np.random.Generator, first: int, frames: int) -> LipSequence:
    points = generator.standard_normal((frames, POINTS, 3)).astype(np.float32)
    return LipSequence(first, points, generator.random((frames, POINTS), np.float32))


def somebody(number: int, stretches: tuple[tuple[int, int], ...], **fields: Any) -> Person:
    generator = np.random.default_rng(number)
    frames = 7 * number
    return Person(
        number,
        Fraction(-1, 3),
        float(generator.random()),
        (0.1, 1 / 3, 40.0, 50.0),
        np.sort(generator.random(frames)),
        generator.random((frames, 4), np.float32),
        Lips(tuple(stretch(generator, *one) for one in stretches)),
        generator.integers(0, 256, (9, 8, 3)).astype(np.uint8),
        **fields,
    )


PEOPLE = People(
    (
        somebody(1, ((-3, 5), (40, 1)), face=np.linspace(0, 1, 128, dtype=np.float32)),
        somebody(2, (), still=True),
    ),
    1280,
    720,
    (Fraction(1, 3), Fraction(10)),
)


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same to the bit, type and shape."""
    if dataclasses.is_dataclass(one):
        names = [field.name for field in dataclasses.fields(one)]
        return type(one) is type(other) and all(
            same(getattr(one, name), getattr(other, name)) for name in names
        )
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, np.ndarray):
        alike = (one.dtype, one.shape) == (other.dtype, other.shape)
        return alike and one.tobytes() == other.tobytes()
    return type(one) is type(other) and one == other


def test_people_come_back_to_the_bit() -> None:
    people, turned = unpack(pack(PEOPLE, 3))
    assert turned == 3
    assert same(people, PEOPLE)
    people.persons[0].thumbnail[0] = 0  # as writable as they were
    assert not same(people, PEOPLE)


def changed(**tables: Any) -> bytes:
    """The bytes, with something else told of the recording or of person 1, or other arrays."""
    arrays = load(pack(PEOPLE, 0))
    about = json.loads(arrays["about"].tobytes())
    about |= tables.get("about", {})
    about["persons"] = tables.get("persons", about["persons"])
    about["persons"][:1] = [about["persons"][0] | tables.get("first", {})]
    arrays["about"] = np.frombuffer(json.dumps(about).encode(), np.uint8)
    arrays |= tables.get("arrays", {})
    return bytes(save({n: a for n, a in arrays.items() if n not in tables.get("without", ())}))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        pack(PEOPLE, 0)[:-1],
        bytes(save({"weights": np.zeros(3)})),
        changed(about={"width": 0}),
        changed(about={"turned": 4}),
        changed(about={"cuts": ["1/0"]}),
        changed(about={"cuts": ["9" * 5000]}),
        changed(about={"more": 1}),
        changed(first={"number": 2}),
        changed(first={"stretches": [[0, 6]], "still": "no"}),
        changed(first={"stretches": [[0, 7]]}),
        changed(first={"stretches": [[0, 4], [2, 2]]}),
        changed(first={"stretches": [[2**62, 6]]}),
        changed(without=("0.boxes",)),
        changed(arrays={"0.boxes": np.zeros((7, 4), np.float64)}),
        changed(arrays={"0.boxes": np.zeros((6, 4), np.float32)}),
        changed(arrays={"0.times": np.linspace(1, 0, 7)}),
        changed(arrays={"0.times": np.full(7, np.nan)}),
        changed(arrays={"0.confidence": np.full((6, POINTS), 2, np.float32)}),
        changed(arrays={"0.thumbnail": np.zeros((0, 8, 3), np.uint8)}),
        changed(arrays={"0.face": np.zeros((128, 1), np.float32)}),
    ],
)
def test_other_bytes_are_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        unpack(payload)


def test_the_change_of_nothing_is_taken() -> None:
    assert same(unpack(changed())[0], PEOPLE)
