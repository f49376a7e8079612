"""People by name: --people, --remember, {person}."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import avse.scene.face_analysis
import avse.scene.scene
from avse.faces import recognition
from avse.scene.scene import Scene

from .conftest import Run

BY_NUMBER = "[anna]\nnumber = 2\n"
with_extra = pytest.mark.skipif(
    not recognition.available(), reason='needs pip install "avse[identity]"'
)


@pytest.fixture
def quick(short: Path, seen: Scene, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The short duet, whose faces are found at once; each has a description of its own."""
    persons = tuple(
        dataclasses.replace(person, face=np.eye(128, dtype=np.float32)[person.number])
        for person in seen.people
    )
    people = dataclasses.replace(seen.people, persons=persons)
    monkeypatch.setattr(avse.scene.face_analysis, "find_people", lambda *_, **__: people)
    monkeypatch.setattr(avse.scene.scene, "open_backend", lambda *_, **__: None)
    return short


class Network:
    name = recognition.DlibRecogniser.name

    def describe(self, image: Any, face: Any) -> Any:
        raise AssertionError("the faces are described already")


@pytest.fixture
def extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the extra were installed."""
    monkeypatch.setattr(recognition, "available", lambda: True)
    monkeypatch.setattr(avse.scene.face_analysis, "open_recogniser", Network)


@pytest.fixture
def no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recognition, "_weights", lambda: None)


def people_file(text: str) -> Path:
    path = Path("people.toml")
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.usefixtures("no_extra")
def test_names_stand_in_the_table_and_the_json(run: Run, quick: Path) -> None:
    people = people_file(BY_NUMBER)
    ran = run("inspect", quick, "--people", people, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert [p["name"] for p in json.loads(ran.out)["people"]] == [None, "anna"]
    ran = run("inspect", quick, "--people", people)
    assert ran.out.splitlines()[-1].split()[:2] == ["2", "anna"]


@pytest.mark.usefixtures("no_extra")
def test_a_name_chooses_a_voice_and_names_its_file(run: Run, quick: Path, model: Path) -> None:
    people = people_file(BY_NUMBER)
    asked = ("separate", quick, "-m", model, "--people", people, "--dry-run")
    ran = run(*asked, "--speaker", "anna", "--json")
    (stem,) = json.loads(ran.out)["stems"]
    assert (stem["speaker"], stem["name"], stem["path"]) == (2, "anna", "short.2.wav")
    assert run(*asked, "--speaker", "anna, 1").out.split() == ["short.1.wav", "short.2.wav"]
    ran = run(*asked, "--name", "{stem}-{person}.flac")
    assert ran.out.split() == ["short-1.flac", "short-anna.flac"]
    assert run(*asked, "--speaker", "anna", "-o", "x.wav").out.split() == ["x.wav"]


@pytest.mark.usefixtures("no_extra")
def test_several_names_do_not_fit_into_one_file(run: Run, quick: Path, model: Path) -> None:
    people = people_file(BY_NUMBER)
    ran = run("separate", quick, "--people", people, "-s", "anna,1", "-o", "x.wav", "-m", model)
    assert ran.code == 2


@pytest.mark.usefixtures("no_extra")
def test_enhance_says_who_was_there(run: Run, quick: Path, model: Path) -> None:
    people = people_file(BY_NUMBER)
    ran = run("enhance", quick, "-m", model, "--people", people, "--dry-run", "--json")
    assert json.loads(ran.out)["people"] == [None, "anna"]


@pytest.mark.usefixtures("no_extra")
def test_a_name_that_nobody_has_is_told_before_any_work(run: Run, quick: Path) -> None:
    people = people_file(BY_NUMBER)
    ran = run("separate", quick, "--people", people, "-s", "ben", "-m", "none.safetensors")
    assert ran.code == 2
    assert "anna" in ran.errors[-1]


@pytest.mark.usefixtures("no_extra")
def test_a_person_who_is_not_there_is_told(run: Run, quick: Path, model: Path) -> None:
    people = people_file("[ben]\nnumber = 9\n" + BY_NUMBER)
    ran = run("separate", quick, "--people", people, "-s", "ben", "-m", model)
    assert ran.code == 2
    assert "1, 2 (anna)" in ran.errors[-1]


@pytest.mark.usefixtures("no_extra")
def test_faces_are_not_known_again_without_the_extra(run: Run, quick: Path) -> None:
    people = people_file('[anna]\nreference = "anna.jpg"\n')
    for asked in (("--people", people), ("--remember", "new.toml")):
        ran = run("inspect", quick, *asked)
        assert (ran.code, ran.out) == (3, "")
        assert 'pip install "avse[identity]"' in ran.err
    assert not Path("new.toml").exists()


@pytest.mark.usefixtures("extra")
def test_who_is_remembered_is_found_again(run: Run, quick: Path, model: Path) -> None:
    ran = run("inspect", quick, "--remember", "people.toml")
    assert ran.code == 0
    path = Path("people.toml")
    assert path.stat().st_mode & 0o077 == 0
    text = "# ours\n" + path.read_text(encoding="utf-8").replace("short-2", "Anna B.")
    path.write_text(text, encoding="utf-8")
    ran = run("inspect", quick, "--people", path, "--json")
    assert [p["name"] for p in json.loads(ran.out)["people"]] == ["short-1", "Anna B."]
    ran = run("separate", quick, "-m", model, "--people", path, "-s", "Anna B.", "-n")
    assert ran.out.split() == ["short.2.wav"]
    # Nobody is remembered twice, and what the user wrote stays.
    ran = run("inspect", quick, "--remember", path)
    assert "nobody new" in ran.err
    assert path.read_text(encoding="utf-8") == text


@pytest.mark.usefixtures("extra")
def test_a_name_given_by_number_is_kept_with_the_face(run: Run, quick: Path) -> None:
    path = people_file(BY_NUMBER)
    assert run("inspect", quick, "--remember", path).code == 0
    assert path.read_text(encoding="utf-8").startswith(BY_NUMBER)
    ran = run("inspect", quick, "--people", path, "--json")
    assert [p["name"] for p in json.loads(ran.out)["people"]] == ["short-1", "anna"]


@pytest.mark.parametrize(
    "asked",
    [
        ("--remember", "people.txt"),
        ("--remember", "a.toml", "--people", "b.toml"),
        ("--remember", "a.toml", "--people", "a.toml"),
    ],
)
@pytest.mark.usefixtures("extra")
def test_what_cannot_be_remembered_in_is_refused(
    run: Run, quick: Path, asked: tuple[str, ...]
) -> None:
    assert run("inspect", quick, *asked).code == 2


@with_extra
def test_the_people_of_the_duet_are_known_by_their_faces(run: Run, short: Path) -> None:
    assert run("inspect", short, "--remember", "people.toml").code == 0
    ran = run("inspect", short, "--people", "people.toml", "--json")
    assert [p["name"] for p in json.loads(ran.out)["people"]] == ["short-1", "short-2"]
