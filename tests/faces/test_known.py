from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from avse.errors import InputError, MissingExtraError, UsageError
from avse.faces.detect import Box, Detection
from avse.faces.identity import SAME_FACE
from avse.faces.known import name_people
from avse.faces.lips import LipSequence
from avse.faces.people import People, Person
from avse.faces.people_file import Known
from avse.faces.references import describe_references

from .film import face


def vector(*values: float) -> np.ndarray:
    return np.array([*values, *([0.0] * (4 - len(values)))], np.float32)


def person(number: int, description: np.ndarray | None) -> Person:
    return Person(
        number=number,
        first_seen=Fraction(0),
        seconds_on_screen=1.0,
        box=(0, 0, 1, 1),
        times=np.zeros(1),
        boxes=np.zeros((1, 4), np.float32),
        lips=LipSequence(0, np.zeros((0, 43, 3), np.float32), np.zeros((0, 43), np.float32)),
        thumbnail=np.zeros((2, 2, 3), np.uint8),
        face=description,
    )


def names(known: list[Known], *faces: np.ndarray | None) -> list[str | None]:
    people = People(tuple(person(k + 1, f) for k, f in enumerate(faces)), 640, 360)
    return [p.name for p in name_people(people, known)]


def test_a_number_gives_a_name():
    known = [Known("anna", number=2), Known("ben", number=7)]
    assert names(known, None, None) == [None, "anna"]


def test_a_face_gives_a_name():
    known = [Known("anna", faces=(vector(0, 1), vector(1))), Known("ben", faces=(vector(0, 0, 1),))]
    assert names(known, vector(0, 0.1, 1), vector(0.9), None) == ["ben", "anna", None]


def test_nobody_is_named_for_lack_of_a_better():
    known = [Known("anna", faces=(vector(1),))]
    assert names(known, vector(1 - SAME_FACE - 0.01)) == [None]
    assert names(known, vector(1 - SAME_FACE + 0.01)) == ["anna"]


def test_a_name_is_one_persons_the_nearest():
    known = [Known("anna", faces=(vector(1),))]
    assert names(known, vector(0.8), vector(0.95)) == [None, "anna"]


def test_who_has_a_number_is_not_looked_for():
    known = [Known("anna", number=1), Known("ben", faces=(vector(1),))]
    assert names(known, vector(1), vector(0.9)) == ["anna", "ben"]


class OneFace:
    """A backend to which every picture shows as many faces as it is high."""

    name = "one"
    close_px = None

    def detect(self, images):
        return [[Detection(Box(8 * k, 0, 8, 8), 0.9) for k in range(len(images[0]))]]

    def landmarks(self, image, boxes):
        return [face(box, (1, 2, 3), Fraction(0)) for box in boxes]


class ByWidth:
    name = "width"

    def describe(self, image, face):
        return vector(image.shape[1])


def picture(path: Path, width: int, height: int) -> Path:
    Image.new("RGB", (width, height)).save(path)
    return path


def test_a_picture_is_a_reference(tmp_path):
    known = [Known("anna", reference=picture(tmp_path / "anna.png", 5, 1))]
    (anna,) = describe_references(known, OneFace(), ByWidth())
    assert (anna.name, anna.reference) == ("anna", None)
    assert np.array_equal(anna.faces[0], vector(5))


@pytest.mark.parametrize("height", [2, 3])
def test_a_picture_of_several_is_none(tmp_path, height):
    known = [Known("anna", reference=picture(tmp_path / "anna.png", 5, height))]
    with pytest.raises(InputError, match=f"{height} faces"):
        describe_references(known, OneFace(), ByWidth())


def test_a_reference_has_to_be_there(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        describe_references([Known("anna", reference=tmp_path / "a.png")], OneFace(), ByWidth())


def test_another_networks_description_is_refused():
    with pytest.raises(UsageError, match="not width"):
        describe_references([Known("anna", faces=(vector(1),), network="x")], OneFace(), ByWidth())


@pytest.mark.parametrize(
    "known", [Known("anna", faces=(vector(1),)), Known("anna", reference=Path("anna.jpg"))]
)
def test_without_a_network_faces_are_not_known(known):
    with pytest.raises(MissingExtraError) as caught:
        describe_references([known], OneFace(), None)
    assert "avse[identity]" in caught.value.hint
    by_number = [Known("ben", number=1)]
    assert describe_references(by_number, OneFace(), None) == by_number


def test_a_description_of_another_size_is_damaged():
    known = [Known("anna", faces=(np.ones(5, np.float32),), network=ByWidth.name)]
    with pytest.raises(UsageError, match="is not 128 numbers"):
        describe_references(known, OneFace(), ByWidth())
