"""The manifest: what is torn is mended, what is whole is kept, two do not write at once."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from avse.batch.manifest import Failure, Manifest, Output, Record, read_records, repair
from avse.errors import OutputError, UsageError
from avse.utils.file_state import Mark, mark

MARK = Mark("ab" * 32, 10, 1, 2, 3)
DONE = Record(
    "done", "/a/b.mp4", MARK, "s", "m", (Output("b.1.wav", MARK),), 1.5, 2.0, 2, 4.0, ("soft",)
)
FAILED = Record("failed", "/a/\udcff\n.mp4", None, "s", "m", error=Failure("X", "why", "how"))


def test_records_survive_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with Manifest(path) as manifest:
        manifest.append(DONE)
        manifest.append(FAILED)
    assert list(read_records(path)) == [DONE, FAILED]
    assert len(path.read_bytes().splitlines()) == 2
    with Manifest(path) as manifest:
        assert manifest.latest == {DONE.input: DONE, FAILED.input: FAILED}
        assert (manifest.repaired, manifest.unread) == (0, 0)


def test_wherever_the_last_line_is_torn_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    whole = DONE.line() + FAILED.line()
    for length in range(len(DONE.line()), len(whole) + 1):
        path.write_bytes(whole[:length])
        lost = repair(path)
        records = list(read_records(path))
        if length >= len(whole) - 1:  # nothing is missing but, perhaps, the end of the line
            assert (records, lost) == ([DONE, FAILED], 0)
        else:
            assert (records, lost) == ([DONE], length - len(DONE.line()))
        assert path.read_bytes().endswith(b"\n")
        assert repair(path) == 0


@pytest.mark.parametrize("content", [b"", b"{", b"\0" * 100])
def test_nothing_but_a_torn_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(content)
    with Manifest(path) as manifest:
        assert manifest.latest == {}
        manifest.append(DONE)
    assert list(read_records(path)) == [DONE]


def test_lines_that_are_no_records_are_left_alone_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(b"nonsense\n" + json.dumps({"version": 99}).encode() + b"\n" + DONE.line())
    with Manifest(path) as manifest:
        assert (list(manifest.latest), manifest.unread) == ([DONE.input], 2)
    assert path.read_bytes().startswith(b"nonsense\n")


def test_the_second_run_refuses_and_the_third_may(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    with (
        Manifest(path),
        pytest.raises(UsageError, match="another run is at work"),
        Manifest(path),
    ):
        pass
    with Manifest(path):
        pass


def test_a_full_disk_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.jsonl"
    with Manifest(path) as manifest:
        manifest.append(DONE)

        def full(handle: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OutputError, match="disk is full"):
                manifest.append(FAILED)
    assert list(read_records(path)) == [DONE]


def test_manifests_beside_it_are_read_and_the_newest_word_counts(tmp_path: Path) -> None:
    from dataclasses import replace

    old = replace(FAILED, input=DONE.input, finished="2026-01-01")
    new = replace(DONE, finished="2026-01-02")
    for name, record in (("own", old), ("other", new)):
        (tmp_path / name).write_bytes(record.line())
    with Manifest(tmp_path / "own", beside=[tmp_path / "other"]) as manifest:
        assert manifest.latest == {DONE.input: new}


def test_a_mark_holds_until_the_content_changes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    taken = mark(path)
    assert taken.holds(path)
    assert taken.holds(path, verify=True)
    path.chmod(0o600)  # changes its state, not its content
    assert taken.holds(path)
    path.write_bytes(b"two")
    os.utime(path, ns=(taken.mtime_ns, taken.mtime_ns))
    assert not taken.holds(path)
    path.unlink()
    assert not taken.holds(path)
