"""Folders of outputs that somebody else has prepared: nothing outside of them is touched."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from avse.batch.manifest import Manifest, Output, Record, read_records
from avse.batch.run import MANIFEST
from avse.batch.staging import WORK, Staging
from avse.errors import OutputError
from avse.utils.file_state import mark

from .fake import Told, clean, records, results, write_tree


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    path = tmp_path / "victim" / "x.1.wav"
    path.parent.mkdir()
    path.write_text("precious")
    return path


def note(output: Path, name: str, source: Path) -> None:
    """What a run that was killed leaves: a staged file, and where it was to go."""
    staging = Staging(output, output / MANIFEST)
    folder = staging.folder("x")
    folder.mkdir()
    staged = folder / Path(name).name
    staged.write_text("evil")
    record = Record(
        "done", str(source / "x.mp4"), mark(staged), "s", "m", (Output(name, mark(staged)),)
    )
    (folder / "commit.json").write_text(json.dumps({"record": asdict(record)}))


@pytest.mark.parametrize(
    "name",
    [
        "../victim/x.1.wav",
        "sub/../../victim/x.1.wav",
        "ABSOLUTE",
        "link/x.1.wav",
        "deep/link/x.1.wav",
    ],
)
def test_a_note_cannot_lead_out_of_the_folder(tmp_path: Path, victim: Path, name: str) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    (output / "sub").mkdir(parents=True)
    (output / "deep").mkdir()
    (output / "link").symlink_to(victim.parent)
    (output / "deep" / "link").symlink_to(victim.parent)
    note(output, str(victim) if name == "ABSOLUTE" else name, source)
    told = Told()
    outcome = clean(source, output, watcher=told)
    assert victim.read_text() == "precious"
    assert [path.name for path in victim.parent.iterdir()] == ["x.1.wav"]
    assert any("were not followed" in warning for warning in told.warnings)
    assert outcome.summary.done == 1  # the recording itself is worked on as ever
    assert sorted(p.name for p in (output / WORK).iterdir()) == ["cards"]


def test_a_note_that_stays_inside_is_followed(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    note(output, "sub/y.1.wav", source)
    told = Told()
    clean(source, output, watcher=told)
    assert results(output)["sub/y.1.wav"] == b"evil"
    assert told.warnings == []


@pytest.mark.parametrize("content", ["[" * 100_000, '{"record": 3}', "[]", "3", "\ud800", "{}"])
def test_a_note_that_is_none_is_dropped(tmp_path: Path, content: str) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    note(output, "y.1.wav", source)
    (found,) = output.glob(f"{WORK}/work-*/*/commit.json")
    found.write_text(content, encoding="utf-8", errors="surrogatepass")
    assert clean(source, output).summary.done == 1


def test_a_folder_of_work_that_is_a_link_is_not_cleared(tmp_path: Path, victim: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    root = Staging(output, output / MANIFEST).root
    precious = victim.parent / "folder" / "letter.txt"
    precious.parent.mkdir()
    precious.write_text("precious")
    for link in (root, root.parent):
        for path in (root / "logs", root):
            path.rmdir()
        if link == root.parent:
            (link / "cards").rmdir()
            link.rmdir()
        link.symlink_to(victim.parent)
        with pytest.raises(OutputError, match="is a link"):
            clean(source, output)
        assert precious.read_text() == "precious"
        link.unlink()
        Staging(output, output / MANIFEST)


@pytest.mark.parametrize("name", [MANIFEST, f".{MANIFEST}.lock"])
def test_a_manifest_that_is_a_link_is_not_written_through(tmp_path: Path, name: str) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    output.mkdir()
    letter = tmp_path / "letter.txt"
    letter.write_text("dear friend, no end of line")
    (output / name).symlink_to(letter)
    with pytest.raises(OutputError, match="is a link"):
        clean(source, output)
    assert letter.read_text() == "dear friend, no end of line"


def test_a_manifest_cannot_hide_an_input(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    clean(source, output)
    (record,) = records(output)
    path = source / "x.mp4"
    for name in (str(path), "../in/x.mp4"):
        hidden = replace(record, input="/other.mp4", outputs=(Output(name, mark(path)),))
        (output / MANIFEST).write_bytes(hidden.line())
        told = Told()
        clean(source, output, watcher=told, force=True)
        assert told.done == ["x"]


def test_a_link_out_of_the_folder_fails_its_own_recording_only(
    tmp_path: Path, victim: Path
) -> None:
    source = write_tree(tmp_path / "in", link__x="voices 1", sub__y="voices 1")
    output = tmp_path / "out"
    output.mkdir()
    (output / "link").symlink_to(victim.parent)
    outcome = clean(source, output, force=True)
    assert [path.name for path, _ in outcome.summary.failed] == ["x.mp4"]
    assert "leads out of the folder" in outcome.summary.failed[0][1].message
    assert (outcome.summary.done, victim.read_text()) == (1, "precious")


@pytest.mark.parametrize(
    "change",
    [
        {"outputs": 3},
        {"outputs": [{"path": 1, "mark": {}}]},
        {"outputs": [["a", "b"]]},
        {"outputs": [{"path": "a\0b", "mark": None}]},
        {"input": "\ud800"},
        {"input": None},
        {"input_mark": []},
        {"seconds": "long"},
        {"seconds": 10**400},
        {"media_s": [1]},
        {"people": 1.5},
        {"window_s": {}},
        {"warnings": "one"},
        {"warnings": [1]},
        {"error": "none"},
        {"error": {"kind": 1, "message": "m"}},
        {"finished": 7},
        {"status": "maybe"},
        {"status": ["done"]},
        {"version": "1"},
        {"more": 1},
    ],
    ids=str,
)
def test_records_of_wrong_types_are_no_records(tmp_path: Path, change: dict[str, object]) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    right = Record("done", "/a.mp4", mark(file), "s", "m", (Output("a.wav", mark(file)),))
    path = tmp_path / "m.jsonl"
    wrong = json.dumps({**asdict(right), **change}).encode()
    junk = (wrong, b"[" * 100_000, b"3", b"null", b'{"version": 1}', b"\xff\xfe", b"9" * 10_000)
    path.write_bytes(right.line() + b"\n".join(junk) + b"\n")
    assert list(read_records(path)) == [right, *[None] * len(junk)]
    with Manifest(path) as manifest:
        assert (list(manifest.latest), manifest.unread) == (["/a.mp4"], len(junk))
