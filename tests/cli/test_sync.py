from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from avse.media import move_sound
from avse.utils.shipped import shipped

from .conftest import DUET, Run

pytestmark = pytest.mark.skipif(not shipped(), reason="no weights are shipped")

LATE_MS = 300


@pytest.fixture
def late(tmp_path: Path) -> Path:
    """The duet, its sound later than it was."""
    path = tmp_path / "late.mp4"
    move_sound(DUET, path, Fraction(-LATE_MS, 1000))
    return path


def offset(run: Run, path: Path, *more: str) -> dict[str, Any]:
    ran = run("sync", path, "--json", *more)
    assert ran.code == 0
    found: dict[str, Any] = json.loads(ran.out)
    return found


def test_a_late_sound_is_found_and_put_right(run: Run, late: Path) -> None:
    before = offset(run, late, "--over-time")
    assert list(before) == [
        *(
            "input",
            "people",
            "offset_ms",
            "confidence",
            "drift",
            "verified",
            "out_of_step",
            "over_time",
        )
    ]
    assert before["offset_ms"] == pytest.approx(LATE_MS, abs=40)
    assert [person["number"] for person in before["people"]] == [1, 2]
    assert set(before["people"][0]) == {"number", "offset_ms", "confidence"}
    assert [round(window["start_s"]) for window in before["over_time"]] == [0, 5]
    ran = run("sync", late, "--fix", "-o", "fixed.mp4")
    assert (ran.code, ran.out) == (0, "fixed.mp4\n")
    assert "ms late" in ran.err
    after = offset(run, Path("fixed.mp4"))
    assert abs(after["offset_ms"]) <= 40
    assert after["out_of_step"] is False


def test_the_example_is_in_step(run: Run) -> None:
    """Within a video frame."""
    assert abs(offset(run, DUET)["offset_ms"]) <= 40


def test_a_user_sees_who_says_what(run: Run) -> None:
    ran = run("sync", DUET, "--over-time")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("duet.mp4: ")
    assert [line.split()[0] for line in ran.out.splitlines()[3:5]] == ["1", "2"]
    assert "from s" in ran.out


@pytest.mark.parametrize(
    "options", [("--fix",), ("-o", "x.mp4"), ("--fix", "-o", "taken.mp4")], ids=" ".join
)
def test_what_cannot_be_meant_is_refused_before_any_work(
    run: Run, options: tuple[str, ...]
) -> None:
    Path("taken.mp4").touch()
    ran = run("sync", DUET, *options)
    assert (ran.code, ran.out) == (2, "")
    assert ran.errors[1].startswith("hint: ")


def test_what_is_not_known_is_not_fixed(run: Run, duet: Path, model: Path) -> None:
    """Weights that have learnt nothing, and a second and a half."""
    ran = run("sync", duet, "-m", model, "--fix", "-o", "fixed.mp4")
    assert (ran.code, ran.out) == (1, "")
    assert "not known" in ran.err
    assert not Path("fixed.mp4").exists()
