"""What --report writes beside the outputs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from avse.scene.scene import Scene
from avse.separation.separator import OutOfSight
from avse.separation.sidecar import STATEMENT, as_text, describe
from avse.settings import Settings

from .conftest import Run


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_report_says_what_was_done(
    run: Run, duet: Path, model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    options = ("--report", "--bits", "24", "--tracks", "all.mkv", "-o", "voices/")
    ran = run("separate", duet, "-m", model, "-s", "2", *options)
    assert (ran.code, ran.err) == (0, "")
    *outputs, for_programs, for_people = map(Path, ran.out.split())
    assert [for_programs, for_people] == [
        Path("voices/duet.avse.json"),
        Path("voices/duet.avse.txt"),
    ]
    report = json.loads(for_programs.read_text(encoding="utf-8"))
    assert report["created"] == "2023-11-14T22:13:20Z"
    assert report["input"]["sha256"] == sha256(duet)
    assert [(file["name"], file["sha256"]) for file in report["outputs"]] == [
        (path.name, sha256(path)) for path in outputs
    ]
    assert report["outputs"][0]["holds"] == "Person 2"
    assert report["weights"][0] == {
        "for": "separation of voices",
        "name": model.name,
        "sha256": sha256(model),
    }
    assert (report["settings"]["model"], report["asked"]["bits"]) == (model.name, 24)
    assert [one["asked_for"] for one in report["people"]] == [False, True]
    text = for_people.read_text(encoding="utf-8")
    for needed in (sha256(duet), sha256(model), *map(sha256, outputs)):
        assert needed in text
    assert " ".join(STATEMENT.split()) in " ".join(text.split())
    for file in (for_programs, for_people):
        assert str(tmp_path) not in file.read_text(encoding="utf-8")

    before = for_programs.read_bytes(), for_people.read_bytes()
    assert run("separate", duet, "-m", model, "-s", "2", *options).code == 2  # no --force
    assert run("separate", duet, "-m", model, "-s", "2", *options, "-f").code == 0
    assert (for_programs.read_bytes(), for_people.read_bytes()) == before


def test_where_a_report_lies(run: Run, duet: Path, model: Path) -> None:
    here = ("-m", model, "--report", "--dry-run")
    ran = run("separate", duet, *here, "-s", "1", "-o", "anna.wav")
    assert ran.out.split() == ["anna.wav", "anna.avse.json", "anna.avse.txt"]
    ran = run("separate", duet, *here, "--tracks", "all.mov")
    assert ran.out.split() == ["all.mov", "all.avse.json", "all.avse.txt"]
    ran = run("enhance", duet, *here)
    assert ran.out.split() == ["duet.enhanced.wav", "duet.avse.json", "duet.avse.txt"]
    Path("anna.avse.txt").touch()
    ran = run("separate", duet, *here, "-s", "1", "-o", "anna.wav")
    assert ran.code == 2
    assert "anna.avse.txt exists" in ran.errors[0]


def test_guessed_voices_and_warnings_are_told(
    seen: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    voice = tmp_path / "a.wav"
    shutil.copy(seen.info.path, voice)
    lost = [OutOfSight(61.0, 64.5, 1.25, 0.8), OutOfSight(70.0, 71.0, 0.0, None)]
    about = describe(
        seen,
        Settings(),
        {voice: "Person 1"},
        asked={},
        sync=None,
        out_of_sight={1: lost},
        warnings=["sound is missing"],
        device="cpu",
        runtime="onnxruntime 1.23",
    )
    first, second = about["people"]
    assert first["out_of_sight"][0] == {
        "start_s": 61.0,
        "end_s": 64.5,
        "guessed_s": 1.25,
        "confidence": 0.8,
    }
    assert second["out_of_sight"] is None
    text = as_text(about)
    assert "from 1:01.0 to 1:04.5: the voice was guessed by its sound for 1.2 s" in text
    assert "from 1:10.0 to 1:11.0: no voice was taken to be theirs" in text
    assert "- sound is missing" in text
    assert f"Person 2: {second['seconds_in_sight']:.1f} s in sight; not separated" in text
    assert about["offset"] is None
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "soon")
    with pytest.raises(Exception, match="SOURCE_DATE_EPOCH"):
        describe(
            seen,
            Settings(),
            {},
            asked={},
            sync=None,
            out_of_sight={},
            warnings=[],
            device="cpu",
            runtime="onnxruntime 1.23",
        )
