"""A whole batch: what is done stays done, and what fails costs no more than its own file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from avse.batch.manifest import Manifest
from avse.batch.process_pool import Limits
from avse.batch.staging import WORK
from avse.errors import OutputError, OutputExistsError, UsageError
from avse.scene.corrections import change_corrections
from avse.utils.fingerprint import sha256

from .fake import REQUEST, Told, clean, records, results, write_tree

TREE = {"a__x": "voices 2", "b__x": "voices 1", "y": "slow 0.1"}


def test_sub_folders_are_kept_and_nothing_else_is_left(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", **TREE), tmp_path / "out"
    outcome = clean(source, output)
    assert sorted(results(output)) == ["a/x.1.wav", "a/x.2.wav", "b/x.1.wav", "y.1.wav"]
    assert (outcome.summary.done, outcome.summary.outputs) == (3, 4)
    assert sorted(p.name for p in (output / WORK).iterdir()) == ["cards"]
    assert len(records(output)) == 3
    page = (output / "avse-batch.html").read_text()
    assert "a/x.mp4" in page
    assert page.count("<svg") == 4


def test_a_rerun_does_what_failed_changed_or_is_new_and_nothing_else(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "in", **TREE, bad="refuse", worse="unreadable")
    output = tmp_path / "out"
    first = clean(source, output)
    assert sorted(path.stem for path, _ in first.summary.failed) == ["bad", "worse"]
    before = {p: p.stat().st_mtime_ns for p in output.rglob("*.wav")}
    told = Told()
    assert clean(source, output, watcher=told).summary.done_before == 3
    assert sorted(told.done) == ["bad!", "worse!"]
    assert {p: p.stat().st_mtime_ns for p in output.rglob("*.wav")} == before

    write_tree(source, a__x="voices 1 changed", bad="mended", new="voices 1")
    (output / "y.1.wav").unlink()
    told = Told()
    clean(source, output, watcher=told)
    assert sorted(told.done) == ["bad", "new", "worse!", "x", "y"]

    told = Told()
    clean(source, output, watcher=told, request=replace(REQUEST, residual=False, clip="clamp"))
    assert len(told.done) == 6


def test_what_was_corrected_since_is_done_again(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", **TREE), tmp_path / "out"
    clean(source, output)
    key = sha256(source / "a" / "x.mp4")
    change_corrections(key, lambda old: replace(old, offset_ms=80.0), recording="x.mp4")
    ignoring = replace(REQUEST, settings=replace(REQUEST.settings, corrections=False))
    for request, done in ((REQUEST, ["x"]), (REQUEST, []), (ignoring, ["x", "x", "y"])):
        told = Told()
        clean(source, output, watcher=told, request=request)
        assert sorted(told.done) == done


def test_only_what_failed_before_and_everything_again(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1", bad="refuse"), tmp_path / "out"
    clean(source, output)
    write_tree(source, bad="voices 1", new="voices 1")
    told = Told()
    outcome = clean(source, output, watcher=told, retry_failed=True)
    assert (told.done, outcome.summary.left_alone) == (["bad"], 1)
    told = Told()
    clean(source, output, watcher=told, force=True)
    assert sorted(told.done) == ["bad", "new", "x"]


def test_outputs_of_others_are_not_replaced(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 2"), tmp_path / "out"
    output.mkdir()
    (output / "x.1.wav").write_text("precious")
    with pytest.raises(OutputExistsError, match="not in the manifest"):
        clean(source, output)
    (output / "x.1.wav").rename(output / "x.2.wav")  # not foreseen, but seen before it is lost
    outcome = clean(source, output)
    assert "not made from this input" in outcome.summary.failed[0][1].message
    assert results(output) == {"x.2.wav": b"precious"}
    clean(source, output, force=True)
    assert sorted(results(output)) == ["x.1.wav", "x.2.wav"]


def test_a_failed_redo_keeps_what_was_made_and_may_replace_it_later(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", x="voices 1"), tmp_path / "out"
    clean(source, output)
    write_tree(source, x="refuse")
    assert clean(source, output).summary.failed
    write_tree(source, x="voices 1 again")
    assert clean(source, output).summary.done == 1


def test_videos_that_were_made_among_the_inputs_are_no_inputs(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "in", x="voices 2")
    request = replace(REQUEST, template="{stem}.{speaker}.mp4")
    for done in (1, 0):
        outcome = clean(source, source, request=request)
        assert (outcome.summary.done, outcome.summary.total) == (done, 1)


def test_every_way_to_die_costs_its_own_file(tmp_path: Path) -> None:
    words = {"crash": "crash", "kill": "kill", "probe": "probe-crash", "slow": "slow 60"}
    source = write_tree(tmp_path / "in", **TREE, **words)
    outcome = clean(source, tmp_path / "out", limits=Limits(2, timeout_s=4))
    assert outcome.summary.done == 3
    causes = {path.stem: trouble.message for path, trouble in outcome.summary.failed}
    assert "SIGSEGV" in causes["crash"]
    assert "SIGSEGV" in causes["probe"]
    assert "killed" in causes["kill"]
    assert "longer than 4 s" in causes["slow"]


def test_the_window_is_lowered_before_a_file_is_given_up(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "in", some="hoard 1", more="hoard 0")
    told = Told()
    outcome = clean(source, tmp_path / "out", watcher=told, jobs=1)
    assert [path.stem for path, _ in outcome.summary.failed] == ["more"]
    (some,) = [r for r in records(tmp_path / "out") if r.status == "done"]
    assert some.window_s == 1.0
    assert "a window of 1 s was used" in some.warnings[0]
    assert any("retrying with a window of 2 s" in warning for warning in told.warnings)


def test_the_first_failure_can_end_it(tmp_path: Path) -> None:
    words = {f"n{n}": "slow 0.5" for n in range(6)}
    source = write_tree(tmp_path / "in", bad="unreadable", **words)
    outcome = clean(source, tmp_path / "out", fail_fast=True)
    assert (len(outcome.summary.failed), outcome.summary.not_begun) == (1, 6)
    assert outcome.summary.halted


def test_a_full_disk_ends_it_and_leaves_no_piece(tmp_path: Path) -> None:
    words = {f"n{n}": "voices 1" for n in range(3)}
    source = write_tree(tmp_path / "in", full="full and a lot to do first", **words)
    outcome = clean(source, tmp_path / "out", jobs=1)
    assert "disk is full" in outcome.summary.halted
    assert (outcome.summary.done, outcome.summary.not_begun) == (0, 3)
    assert results(tmp_path / "out") == {}
    write_tree(source, full="voices 1")
    assert clean(source, tmp_path / "out").summary.done == 4


def test_too_small_a_disk_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_tree(tmp_path / "in", **TREE)
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(OutputError, match=r"has 1\.0 kB left"):
        clean(source, tmp_path / "out")
    assert results(tmp_path / "out") == {}


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "in", **TREE, bad="unreadable")
    outcome = clean(source, tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    assert outcome.outlook.todo == 4
    assert outcome.outlook.estimate.basis == "trial"
    assert clean(source, tmp_path / "out").outlook.estimate.basis == "rule"
    assert (
        clean(source, tmp_path / "out", dry_run=True, force=True).outlook.estimate.basis
        == "records"
    )
    assert sum(item.trouble is not None for item in outcome.plan.todo) == 1


def test_a_second_run_refuses(tmp_path: Path) -> None:
    source, output = write_tree(tmp_path / "in", **TREE), tmp_path / "out"
    with Manifest(output / "avse-batch.jsonl"), pytest.raises(UsageError, match="another run"):
        clean(source, output)


def test_shards_do_it_all_and_know_of_each_other(tmp_path: Path) -> None:
    words = {f"n{n}": "voices 1" for n in range(12)}
    source, output = write_tree(tmp_path / "in", **words), tmp_path / "out"
    done = [clean(source, output, shard=(n, 2)).summary.done for n in (1, 2)]
    assert sum(done) == 12
    assert min(done) > 0
    assert clean(source, output).summary.done_before == 12


NAMES = [
    "with space",
    'it\'s "quoted" $(no) `no` %s {stem}',
    "new\nline",
    "ünïcödé 語 \U0001f600",
    "-o",
    "[a-z]*?",
    "l" * 246,
]


def test_any_name(tmp_path: Path) -> None:
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name in NAMES:
        (source / f"{name}.mp4").write_text("voices 1")
    (source / os.fsdecode(b"\xff\xfe.mp4")).write_text("voices 1")
    outcome = clean(source, output)
    assert not outcome.summary.failed
    assert {f"{name}.1.wav" for name in NAMES} < set(results(output))
    assert clean(source, output).summary.done_before == len(NAMES) + 1
    given = [str(source / f"{name}.mp4") for name in NAMES]
    assert clean(source, tmp_path / "given", inputs=given).summary.done == len(NAMES)


def test_a_name_too_long_for_its_outputs_fails_alone(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "in", x="voices 1", **{"m" * 250: "voices 1"})
    outcome = clean(source, tmp_path / "out")
    assert outcome.summary.done == 1
    ((_, trouble),) = outcome.summary.failed
    assert "too long" in trouble.message
