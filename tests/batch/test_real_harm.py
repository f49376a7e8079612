"""What can happen to a machine, while the real network separates real people."""

from __future__ import annotations

from multiprocessing import active_children
from pathlib import Path

import pytest

from avse.batch.listeners import Watcher
from avse.batch.manifest import read_records
from avse.batch.process_pool import Limits
from avse.batch.run import Batch, run
from avse.errors import OutputError
from avse.media import copy_beginning

from .fake import REQUEST, results
from .mounting import mounted, remount
from .program import DUET

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("harm") / "in"
    folder.mkdir()
    for name, seconds in (("a", 1.2), ("b", 1.1), ("c", 1.0)):
        copy_beginning(DUET, folder / f"{name}.mp4", seconds=seconds)
    return folder


@pytest.fixture(scope="module")
def calm(source: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The outputs of an undisturbed run."""
    output = tmp_path_factory.mktemp("harm") / "calm"
    assert run(batch(source, output), Watcher()).summary.done == 3
    return results(output)


def batch(source: Path, output: Path) -> Batch:
    return Batch([str(source)], output, REQUEST, Limits(1), report=False)


def done(output: Path) -> list[str]:
    records = list(read_records(output / "avse-batch.jsonl"))
    assert None not in records
    return [Path(r.input).stem for r in records if r is not None and r.status == "done"]


def test_a_worker_killed_while_it_separates_costs_its_recording(
    source: Path, calm: dict[str, bytes], tmp_path: Path
) -> None:
    class Killer(Watcher):
        def stage(
            self, worker: int, source: Path, stage: str, done_s: float, total_s: float | None
        ) -> None:
            if (source.stem, stage) == ("b", "faces"):
                for process in active_children():
                    process.kill()

    summary = run(batch(source, tmp_path / "out"), Killer()).summary
    ((failed, trouble),) = summary.failed
    assert (failed.stem, trouble.kind) == ("b", "died")
    assert "killed from outside" in trouble.message
    left = {name: made for name, made in calm.items() if not name.startswith("b.")}
    assert results(tmp_path / "out") == left
    assert run(batch(source, tmp_path / "out"), Watcher()).summary.done == 1
    assert results(tmp_path / "out") == calm


def test_a_disk_that_runs_full_holds_whole_voices_only(
    source: Path, calm: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Room for the voices of two recordings, but not for those of the third.
    size = sum(map(len, calm.values())) * 5 // 6
    with mounted(tmp_path / "out", f"size={size}") as output:
        monkeypatch.setattr("avse.batch.estimates.bytes_needed", lambda *_: 0)
        summary = run(batch(source, output), Watcher()).summary
        assert "disk is full" in summary.halted
        made = results(output)
        assert 0 < len(made) < len(calm)
        assert made.items() <= calm.items()
        assert len(done(output)) == len(made) / 2
        remount(output, "size=50m")
        assert not run(batch(source, output), Watcher()).summary.failed
        assert results(output) == calm


def test_a_read_only_folder_is_refused_before_any_work(source: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "out", "ro") as output:
        with pytest.raises(OutputError, match="no permission"):
            run(batch(source, output), Watcher())
        assert list(output.iterdir()) == []
