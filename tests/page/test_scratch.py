"""Folders of a page: gone with it, and those of killed programs at the next start."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from avse.errors import OutputError
from avse.page.scratch import Scratch, close_all


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def test_a_killed_program_leaves_nothing_for_long(base: Path) -> None:
    killed = "import os; from avse.page.scratch import Scratch; kept = Scratch(); os._exit(9)"
    subprocess.run([sys.executable, "-c", killed], check=False)
    (left,) = base.iterdir()
    (left / "stems").mkdir()
    (left / "stems" / "0.npz").write_bytes(b"0")
    first = Scratch()
    assert list(base.iterdir()) == [first.path]
    second = Scratch()  # what is in use stays
    assert set(base.iterdir()) == {first.path, second.path}
    first.close()
    second.close()
    assert not list(base.iterdir())


def test_it_goes_while_somebody_writes_into_it(base: Path) -> None:
    scratch, ended = Scratch(), threading.Event()

    def write() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            try:
                (scratch.path / f"{number}").write_bytes(b"0")
            except OSError:
                return

    thread = threading.Thread(target=write)
    thread.start()
    try:
        scratch.close()
        assert not scratch.path.exists()
    finally:
        ended.set()
        thread.join()


def test_all_go_before_a_hard_end(base: Path) -> None:
    kept = [Scratch(), Scratch()]
    close_all()
    assert not list(base.iterdir())
    kept[0].close()


def test_folders_of_others_and_files_stay(base: Path) -> None:
    (base / "avse-page-others").mkdir()  # without a lock
    (base / "avse-page-file").write_text("")
    Scratch().close()
    assert {path.name for path in base.iterdir()} == {"avse-page-others", "avse-page-file"}


def test_no_folder_can_be_made(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(base / "absent"))
    with pytest.raises(OutputError):
        Scratch()
