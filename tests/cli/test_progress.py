from __future__ import annotations

import io

import pytest

from avse.cli.progress import Stages
from avse.cli.tables import table
from avse.cli.terminal import Terminal


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def work(terminal: Terminal) -> None:
    with Stages(terminal) as progress:
        progress("faces", 0.0, 10.0)
        progress("faces", 12.0, 10.0)
        progress("voices", 0.0, None)
        progress("voices", 1.0, 2.0)
        progress("polish", 1.0, None)


def test_a_bar_is_drawn_for_somebody_who_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    work(Terminal())
    assert "polish" in screen.getvalue()


def test_no_bar_when_quiet_or_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    work(Terminal())
    assert capsys.readouterr() == ("", "")
    screen = Screen()
    monkeypatch.setattr("sys.stderr", screen)
    work(Terminal(verbosity=-1))
    assert screen.getvalue() == ""


def test_verbose_has_a_line_for_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    work(Terminal(verbosity=1))
    lines = capsys.readouterr().err.splitlines()
    assert [line.rsplit(":", 1)[0] for line in lines] == [
        "avse: Looking for faces",
        "avse: Separating voices",
        "avse: polish",
    ]


def test_tables() -> None:
    assert table(["a", "long"], [["x", "1"], ["yyy", "22"]], right="long") == [
        "a    long",
        "x       1",
        "yyy    22",
    ]
