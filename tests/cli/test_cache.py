"""`avse cache`, and --no-cache."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from avse.scene import cache as caching
from avse.scene.corrections import Anchor, Named, any_corrections, change_corrections
from avse.utils.fingerprint import sha256

from .conftest import Run


def test_show_and_clear(run: Run, short: Path, model: Path, cache_folder: Path) -> None:
    assert run("cache", "show").out == ""
    asked = ("separate", short, "-m", model, "-f")
    first = run(*asked, "-v")
    assert "Looking for faces" in first.err
    voices = {path.name: path.read_bytes() for path in Path().iterdir()}
    again = run(*asked, "-v")
    assert (again.code, again.out) == (0, first.out)
    assert "Looking for faces" not in again.err
    assert "Measuring A/V offset" not in again.err
    assert {path.name: path.read_bytes() for path in Path().iterdir()} == voices
    shown = run("cache", "show")
    assert [line.split()[0] for line in shown.out.splitlines()] == ["recording", *2 * ["short.mp4"]]
    assert shown.err.endswith(f"of 2.0 GB in {cache_folder}\n")
    told = json.loads(run("cache", "show", "--json").out)
    assert sorted(one["kind"] for one in told["entries"]) == ["faces", "sync"]
    assert told["bytes"] >= sum(one["bytes"] for one in told["entries"]) > 0
    assert "removed" in run("cache", "clear").err
    assert json.loads(run("cache", "show", "--json").out)["entries"] == []


def test_verbs_share_one_look(run: Run, short: Path, model: Path) -> None:
    looked = []
    for arguments in (
        ("inspect", short),
        ("separate", short, "-s", "2", "-m", model),
        ("enhance", short, "-m", model),
        ("who", short, "-m", model),
        ("sync", short, "-m", model),
    ):
        ran = run(*arguments, "-v")
        assert ran.code == 0
        looked.append("Looking for faces" in ran.err)
    assert looked == [True, False, False, False, False]


def test_no_cache(run: Run, short: Path, cache_folder: Path) -> None:
    assert run("inspect", short, "--no-cache").code == 0
    assert not cache_folder.exists()


def test_a_cache_that_cannot_be_written_is_told_with_v_alone(
    run: Run, short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AVSE_CACHE", str(tmp_path / "file"))
    assert run("inspect", short).err == ""
    caching._note_once.cache_clear()
    ran = run("inspect", short, "-v")
    note = f"avse: the cache in {tmp_path / 'file'} cannot be written: Not a directory"
    assert ran.errors.count(note) == 1
    assert sum("cache" in line for line in ran.errors) == 1


def test_a_wrong_size_is_a_usage_error(
    run: Run, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVSE_CACHE_GB", "big")
    for arguments in (("inspect", short), ("cache", "show")):
        ran = run(*arguments)
        assert (ran.code, ran.errors[0]) == (2, "avse: error: AVSE_CACHE_GB=big is not a size")


def test_clearing_keeps_corrections_unless_asked(run: Run, cache_folder: Path) -> None:
    set_offset("ab" * 32)
    assert "corrections" not in run("cache", "clear").err
    assert any_corrections()
    ran = run("cache", "clear", "--corrections")
    assert ran.errors[-1] == "avse: the corrections of 1 recording removed"
    assert not any_corrections()


def set_offset(key: str) -> None:
    change_corrections(key, lambda old: replace(old, offset_ms=120.0), recording="short.mp4")


def test_corrections_name_speakers_and_are_told(run: Run, short: Path, model: Path) -> None:
    ran = run("separate", short, "-m", model, "-s", "anna")
    assert (ran.code, "names no speaker" in ran.err) == (2, True)
    named = Named(Anchor(0.5, 0.25, 0.5), "anna")
    key = sha256(short)
    change_corrections(key, lambda old: replace(old, names=(named,)), recording="short.mp4")
    ran = run("inspect", short, "--json")
    assert [one["name"] for one in json.loads(ran.out)["people"]] == ["anna", None]
    assert "are used: 1 name; --no-corrections ignores them" in ran.err
    assert run("inspect", short).out.splitlines()[-2].split()[:2] == ["1", "anna"]
    asked = ("separate", short, "-m", model, "-n", "--json")
    (stem,) = json.loads(run(*asked, "-s", "anna", "--name", "{person}.wav").out)["stems"]
    assert (stem["speaker"], stem["name"], stem["path"]) == (1, "anna", "anna.wav")
    ran = run(*asked, "-s", "ben")
    assert (ran.code, ran.errors[-1]) == (2, "hint: there are: anna")
    ran = run(*asked, "-s", "anna", "--no-corrections")
    assert (ran.code, "names no speaker" in ran.err) == (2, True)
    people = Path("people.toml")
    people.write_text("[zoe]\nnumber = 2\n")
    ran = run(*asked, "-s", "anna,zoe", "--people", people)
    assert [one["name"] for one in json.loads(ran.out)["stems"]] == ["anna", "zoe"]


def test_sync_measures_whatever_is_set_by_hand(run: Run, short: Path, model: Path) -> None:
    before = run("sync", short, "-m", model).out
    set_offset(sha256(short))
    ran = run("sync", short, "-m", model)
    assert (ran.code, ran.out) == (0, before)
    assert "an offset of 120 ms is set by hand" in ran.err
    told = json.loads(run("separate", short, "-m", model, "--json").out)["sync"]
    assert (told["offset_ms"], told["set_by_hand"]) == (120.0, True)
