"""`avse cache`, and --no-cache."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avse import cache as caching

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
    assert "Comparing sound" not in again.err
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
