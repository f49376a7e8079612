from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from .conftest import DUET, Run


def test_json_is_one_object_of_the_promised_shape(run: Run, duet: Path) -> None:
    ran = run("inspect", duet, "--json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert list(found) == ["input", "duration_s", "people"]
    assert found["input"] == str(duet)
    assert found["duration_s"] == pytest.approx(1.5, abs=0.2)
    left, right = found["people"]
    for number, person in enumerate((left, right), 1):
        assert list(person) == [
            *("number", "first_seen_s", "seconds_on_screen", "box", "still_picture")
        ]
        assert person["number"] == number
        assert person["still_picture"] is False
        assert person["first_seen_s"] == 0
        assert person["seconds_on_screen"] == pytest.approx(1.5, abs=0.2)
        assert [type(side) for side in person["box"]] == [int] * 4
    assert left["box"][0] < 320 < right["box"][0]


def test_a_user_sees_streams_and_people(program: Run) -> None:
    ran = program("inspect", DUET, "--sheet", "who is who.png")
    assert (ran.code, ran.err) == (0, "avse: the faces are in who is who.png\n")
    assert "640x360, 25 frames/s" in ran.out
    assert "48000 Hz, mono" in ran.out
    assert [line.split()[0] for line in ran.out.splitlines()[-2:]] == ["1", "2"]
    with av.open("who is who.png") as sheet:
        picture = next(sheet.decode(video=0))
    assert picture.width > 640
    assert picture.height > 270 + picture.width * 360 / 640 * 0.9  # a frame with numbers, tiles
    assert [path.name for path in Path().iterdir()] == ["who is who.png"]


def test_a_sheet_is_not_overwritten(run: Run, duet: Path) -> None:
    Path("faces.png").write_text("mine", encoding="utf-8")
    ran = run("inspect", duet, "--sheet", "faces.png")
    assert (ran.code, ran.out) == (2, "")
    assert "--force" in ran.err
    assert run("inspect", duet, "--sheet", "faces.png", "-f", "-q").err == ""
    assert Path("faces.png").read_bytes().startswith(b"\x89PNG")


def test_a_sheet_is_a_png(run: Run, duet: Path) -> None:
    ran = run("inspect", duet, "--sheet", "faces.jpg")
    assert ran.code == 2
    assert ".png" in ran.errors[1]


@pytest.mark.parametrize("kind", ["faceless", "pictureless"])
def test_nobody_in_sight_is_a_finding_not_a_failure(
    run: Run, recordings: dict[str, Path], kind: str
) -> None:
    ran = run("inspect", recordings[kind], "--json")
    assert ran.code == 0
    found = json.loads(ran.out)
    assert found["people"] == []
    assert found["duration_s"] == pytest.approx(1, abs=0.1)
    (note,) = ran.errors
    assert note.startswith(f"avse: {recordings[kind].name}: ")


def test_the_report_says_so_too(run: Run, recordings: dict[str, Path]) -> None:
    ran = run("inspect", recordings["pictureless"], "--sheet", "faces.png")
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "nobody in sight"
    assert "faces.png was not written" in ran.err
    assert [path.name for path in Path().iterdir()] == []


def test_a_recording_without_sound_can_be_inspected(run: Run, recordings: dict[str, Path]) -> None:
    assert run("inspect", recordings["silent"]).code == 0


def test_two_numbers_are_one_person_by_the_users_word(program: Run, short: Path) -> None:
    ran = program("inspect", short, "--same", "1=2", "--json")
    assert ran.code == 0
    (person,) = json.loads(ran.out)["people"]
    assert (person["number"], person["same"]) == (1, [1, 2])
    wrong = program("inspect", short, "--same", "1=7")
    assert wrong.code == 2
    assert "there is no person 7" in wrong.err
    senseless = program("inspect", short, "--same", "anna=2")
    assert senseless.code == 2
    assert "--same 'anna=2' does not join two numbers" in senseless.err
