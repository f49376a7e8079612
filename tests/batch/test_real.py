"""The real thing, through the program: people, voices, broken files, a report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from avse.batch.manifest import read_records
from avse.media import copy_beginning
from tests.cli.conftest import model  # noqa: F401  a tiny network
from tests.cli.recordings import record

from .fake import results
from .program import DUET, avse


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("batch") / "in"
    for name, seconds in (("a/x", 1.5), ("b/x", 1.2), ("b/it's new\nhere", 1.0)):
        path = folder / f"{name}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        copy_beginning(DUET, path, seconds=seconds)
    record(folder / "faceless.mp4")
    record(folder / "silent.mp4", sound=False)
    (folder / "text.mp4").write_text("no video")
    (folder / "empty.mkv").touch()
    (folder / "torn.mp4").write_bytes((folder / "a" / "x.mp4").read_bytes()[:60000])
    return folder


def test_a_tree_with_broken_files_whatever_the_number_of_jobs(
    tree: Path,
    model: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    two = avse("batch", tree, "-o", tmp_path / "two", "-m", model, "-j", 2)
    assert two.returncode == 1, two.stderr
    made = results(tmp_path / "two")
    names = [f"{x}.{n}.wav" for x in ("a/x", "b/it's new\nhere", "b/x") for n in (1, 2)]
    assert sorted(made) == sorted(names)
    assert len(two.stdout.splitlines()) == 6
    for name in ("faceless", "silent", "text", "empty", "torn"):
        assert f"{name}.m" in two.stderr
    assert "Traceback" not in two.stderr

    one = avse(
        *("batch", tree, "-o", tmp_path / "one", "-m", model, "-j", 1),
        *("--json", "--progress", "json"),
    )
    assert one.returncode == 1
    assert results(tmp_path / "one") == made
    summary = json.loads(one.stdout)
    assert (summary["done"], len(summary["failed"])) == (3, 5)
    events = [json.loads(line)["event"] for line in one.stderr.splitlines()]
    assert {"planned", "began", "stage", "ended", "summary"} <= set(events)

    page = (tmp_path / "two" / "avse-batch.html").read_text()
    assert page.count("data:image/jpeg") == 6
    done = [r for r in read_records(tmp_path / "two" / "avse-batch.jsonl") if r is not None]
    assert sorted(r.people for r in done if r.people is not None) == [2, 2, 2]


def test_enhance_to_video_and_a_plan(tree: Path, model: Path, tmp_path: Path) -> None:  # noqa: F811
    wanted = ("--verb", "enhance", "--name", "{stem}.mp4", "-m", model, "-j", 1)
    plan = avse("batch", tree / "a", "-o", tmp_path / "out", *wanted, "-n")
    assert plan.returncode == 0
    assert str(tmp_path / "out" / "x.mp4") in plan.stdout
    webm = avse(
        "batch", tree / "a", "-o", tmp_path / "out", "--name", "{stem}.webm", *wanted[-4:], "-n"
    )
    assert (webm.returncode, "WebM cannot hold its picture" in webm.stdout) == (1, True)
    assert "(from a trial)" in plan.stderr
    assert not (tmp_path / "out").exists()
    ran = avse("batch", tree / "a", "-o", tmp_path / "out", *wanted)
    assert (ran.returncode, ran.stdout) == (0, f"{tmp_path / 'out' / 'x.mp4'}\n")


def test_weights_that_are_not_there(tree: Path, tmp_path: Path) -> None:
    ran = avse("batch", tree, "-o", tmp_path / "out", "-m", "no-such-model")
    assert (ran.returncode, ran.stdout) == (3, "")
    assert not (tmp_path / "out").exists()
