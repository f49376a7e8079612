from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from avse.errors import InputError, UsageError
from avse.faces.people_file import check_name, entry, new_name, read_people

from .faces.test_known import person


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "people.toml"


def test_people_are_known_by_number_reference_and_face(file: Path) -> None:
    file.write_text(
        '[anna]\nnumber = 2\n\n["Ben B."]\nreference = "ben.jpg"\n\n'
        '[cleo]\nreference = "/talk.mp4"\nnumber = 3\n',
        encoding="utf-8",
    )
    anna, ben, cleo = read_people(file)
    assert (anna.name, anna.number, anna.by_face) == ("anna", 2, False)
    assert (ben.name, ben.reference, ben.by_face) == ("Ben B.", file.parent / "ben.jpg", True)
    assert (cleo.reference, cleo.number) == (Path("/talk.mp4"), 3)


def test_what_is_remembered_is_read_again(file: Path) -> None:
    face = np.random.default_rng(0).normal(0, 0.1, 128).astype(np.float32)
    seen = person(1, face)
    file.write_text(
        "# mine\n[anna]\nnumber = 1\n\n"
        + entry("anna", seen, "net", Path('a "b".mp4'))
        + entry("Zoë 2", dataclasses.replace(seen, face=-face), "net", Path("b.mp4")),
        encoding="utf-8",
    )
    anna, zoe = read_people(file)
    np.testing.assert_allclose(anna.faces[0], face, atol=3e-4)
    np.testing.assert_allclose(zoe.faces[0], -face, atol=3e-4)
    assert (zoe.name, zoe.network) == ("Zoë 2", "net")
    # Once remembered, a number in one recording says nothing about the next.
    assert anna.number is None


@pytest.mark.parametrize(
    "text",
    [
        "anna = 1",
        "[anna]",
        "[anna]\nnumber = 0",
        '[anna]\nnumber = "1"',
        "[anna]\nnumber = true",
        "[anna]\nreference = 1",
        "[anna]\nage = 1",
        "[anna]\nnumber = 1\n[ben]\nnumber = 1",
        '[["anna".faces]]\nnetwork = "x"',
        '[["anna".faces]]\nnetwork = "x"\ndescription = "?"',
        '[["anna".faces]]\nnetwork = "x"\ndescription = "AHw="',  # infinity
        "[1]\nnumber = 1",
        "[all]\nnumber = 1",
        '["a/b"]\nnumber = 1',
        '["@1"]\nnumber = 1',
        '[" "]\nnumber = 1',
        '["a,b"]\nnumber = 1',
    ],
)
def test_what_has_no_meaning_is_refused(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        read_people(file)
    assert caught.value.hint


def test_what_cannot_be_read_is_an_input_error(file: Path) -> None:
    with pytest.raises(InputError):
        read_people(file)
    file.write_bytes(b"\xff[")
    with pytest.raises(InputError, match="not TOML"):
        read_people(file)


def test_a_new_name_is_a_name_and_new() -> None:
    for stem in ("talk", "a,b", "@x", "-", "12"):
        assert check_name(new_name(Path(stem).with_suffix(".mp4"), 1, []))
    assert new_name(Path("talk.mp4"), 2, ["talk-1"]) == "talk-2"
    assert new_name(Path("talk.mp4"), 2, ["talk-2"]) not in ("talk-2", "talk-1")
