"""--start and --end: refusals before the work, and files with the times of the recording."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import soundfile

from avse.diarization.texts import read_rttm
from avse.media import probe
from tests.looped import loop

from .conftest import DUET, Run

PART = ("--start", "0:20", "--end", "21.5s")


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example five times over, 33 s."""
    return loop(DUET, tmp_path_factory.mktemp("long") / "long.mp4", 5)


@pytest.mark.parametrize("verb", ["separate", "enhance", "inspect", "who", "sync"])
@pytest.mark.parametrize(
    ("part", "says"),
    [
        (("--start", "1:00"), "after the end; the recording is 0:32.64 long"),
        (("--start=-1",), "before the beginning; the recording is 0:32.64 long"),
        (("--start", "9", "--end", "8"), "ends at 0:08, but starts at 0:09; the recording is"),
        (("--start", "soon"), "'--start'"),
    ],
)
def test_a_part_that_is_not_there(
    run: Run, long: Path, verb: str, part: tuple[str, ...], says: str
) -> None:
    ran = run(verb, long, *part)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.errors[0]
    assert list(Path().iterdir()) == []


def test_separate_writes_the_part(run: Run, long: Path, model: Path) -> None:
    quick = ("-m", model, "--no-sync", *PART)
    ran = run("separate", long, *quick, "-s", "@0:21:0.74,0.33", "-o", "b.mp4", "--residual")
    assert (ran.code, ran.err, ran.out.split()) == (0, "", ["b.mp4", "b.residual.mp4"])
    about = probe("b.mp4")
    assert about.start == 0
    assert float(about.duration or 0) == pytest.approx(1.5, abs=0.2)
    Path("wide.toml").write_text('start = "0:20"\nend = 21.5\n')
    quick = ("-m", model, "--no-sync", "--config", "wide.toml")
    assert run("enhance", long, *quick, "-o", "a.wav").code == 0
    assert soundfile.info("a.wav").frames == 1.5 * 48000


def test_who_and_inspect_tell_times_of_the_recording(run: Run, long: Path) -> None:
    ran = run("who", long, *PART, "--json", "--rttm", "a.rttm", "--frames")
    assert ran.code == 0
    found = json.loads(ran.out)
    assert found["frames"]["first_s"] == 20
    assert [len(person["probability"]) for person in found["people"]] == [38, 38]
    spoken = read_rttm(Path("a.rttm").read_text(encoding="utf-8"))
    assert spoken
    assert all(20 <= s.start < s.stop <= 21.6 for theirs in spoken.values() for s in theirs)
    found = json.loads(run("inspect", long, *PART, "--json").out)
    assert found["part"] == {"start_s": 20.0, "end_s": 21.5}
    assert [round(person["first_seen_s"]) for person in found["people"]] == [20, 20]
