"""`avse who`: results on stdout, files that others read, refusals before the work."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from avse.diarization import who
from avse.diarization.texts import read_rttm
from avse.scene import scene

from .conftest import Run


@pytest.fixture
def duet(duet: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Whoever asks who speaks sees the people at once too."""
    monkeypatch.setattr(who, "look", scene.look)
    return duet


def test_json_files_and_table_agree(run: Run, duet: Path, model: Path) -> None:
    ran = run(
        "who", duet, "-m", model, "--json", "--frames", "--rttm", "a.rttm", "--srt", "a.srt",
        "--vtt", "a.vtt",
    )  # fmt: skip
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert list(found) == ["input", "sound", "sync", "frames", "people"]
    assert found["sound"] is True
    assert found["frames"]["rate_hz"] == 25
    assert [person["number"] for person in found["people"]] == [1, 2]
    spoken = read_rttm(Path("a.rttm").read_text(encoding="utf-8"))
    for person in found["people"]:
        assert list(person) == [
            "number", "seconds_on_screen", "seconds_speaking", "segments", "dubbed", "probability",
        ]  # fmt: skip
        told = [(s["start_s"], s["end_s"]) for s in person["segments"]]
        written = spoken.get(f"person{person['number']}", [])
        assert told == [pytest.approx((s.start, s.stop), abs=2e-3) for s in written]
        assert all(value is None or 0 <= value <= 1 for value in person["probability"])
    assert Path("a.vtt").read_text(encoding="utf-8").startswith("WEBVTT")
    plain = run("who", duet, "-m", model)
    assert plain.code == 0
    heads = ["person", "in", "sight", "speaks", "times"]
    assert plain.out.splitlines()[0].split() == heads
    asked = run("who", duet, "-m", model, "--dubbing")
    assert asked.out.splitlines()[0].split() == [*heads, "dubbed"]


def test_nothing_is_overwritten(run: Run, duet: Path, model: Path) -> None:
    Path("a.srt").write_text("mine", encoding="utf-8")
    ran = run("who", duet, "-m", model, "--srt", "a.srt")
    assert (ran.code, ran.out) == (2, "")
    assert Path("a.srt").read_text(encoding="utf-8") == "mine"
    assert run("who", duet, "-m", model, "--srt", "a.srt", "--force").code == 0


def test_two_files_on_one_path_are_refused(run: Run, duet: Path) -> None:
    assert run("who", duet, "--srt", "a.txt", "--vtt", "a.txt").code == 2


def test_frames_need_json(run: Run, duet: Path) -> None:
    assert "--json" in run("who", duet, "--frames").err


def test_a_preview_without_moviepy_says_what_to_install(
    run: Run, duet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "moviepy", None)
    ran = run("who", duet, "--preview", "seen.mp4")
    assert ran.code == 3
    assert "avse[preview]" in ran.err
    assert not Path("seen.mp4").exists()
    # It is told first: the recording has not been looked for.
    assert "avse[preview]" in run("who", "no-such.mp4", "--preview", "seen.mp4").err


def test_what_can_be_written_without_moviepy_is_written(
    run: Run, duet: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "moviepy", None)
    ran = run("who", duet, "-m", model, "--preview", "seen.mp4", "--srt", "a.srt")
    assert ran.code == 3
    assert "moviepy" in ran.errors[0]
    assert "avse[preview]" in ran.errors[1]
    assert ran.out
    assert sorted(path.name for path in Path().iterdir()) == ["a.srt"]


def test_rttm_names_a_recording_as_the_system_does(run: Run, duet: Path, model: Path) -> None:
    name = os.fsencode(duet.parent) + b"/caf\xe9.mp4"
    os.rename(duet, name)  # noqa: PTH104
    ran = run("who", os.fsdecode(name), "-m", model, "--rttm", "a.rttm", "--srt", "a.srt")
    assert ran.code == 0
    rows = Path("a.rttm").read_bytes().splitlines()
    assert all(row.split()[1] == b"caf\xe9" for row in rows)


@pytest.mark.parametrize(("kind", "code"), [("missing", 1), ("text", 1), ("faceless", 1)])
def test_bad_inputs(run: Run, recordings: dict[str, Path], kind: str, code: int) -> None:
    ran = run("who", recordings[kind])
    assert (ran.code, ran.out) == (code, "")
    assert len(ran.errors) == 2


def test_files_for_editing_programs_by_their_endings(run: Run, duet: Path, model: Path) -> None:
    Path("edit").mkdir()
    ran = run("who", duet, "-m", model, "-o", "edit/a.otio", "-o", "b.edl", "-o", "c.srt", "--json")
    assert (ran.code, ran.err) == (0, "")
    people = json.loads(ran.out)["people"]
    timeline = json.loads(Path("edit/a.otio").read_text(encoding="utf-8"))
    picture, *voices = timeline["tracks"]["children"]
    assert [voice["name"] for voice in voices] == ["Person 1", "Person 2"]
    reference = picture["children"][0]["media_references"]["DEFAULT_MEDIA"]
    assert (Path("edit") / reference["target_url"]).resolve() == duet.resolve()
    for voice, person in zip(voices, people, strict=True):
        spoken = [one for one in voice["children"] if one["OTIO_SCHEMA"] == "Clip.2"]
        assert len(spoken) == len(person["segments"])
    events = [line for line in Path("b.edl").read_text().splitlines() if line[:3].isdigit()]
    assert len(events) == sum(len(person["segments"]) for person in people)
    assert Path("c.srt").exists()


@pytest.mark.parametrize("name", ["a.txt", "a", "a.mp4"])
def test_other_endings_are_refused_before_any_work(run: Run, duet: Path, name: str) -> None:
    ran = run("who", duet, "-m", "nowhere", "-o", name)
    assert ran.code == 2
    assert ".otio" in ran.errors[1]
    assert run("who", duet, "-m", "nowhere", "-o", "a.srt", "--srt", "a.srt").code == 2
