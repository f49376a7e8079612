"""What `avse evaluate` promises: shapes, streams, exit codes, refusals."""

from __future__ import annotations

import html
import json
import re
import shlex
import sys
from importlib import metadata
from pathlib import Path

import pytest

from avse.evaluation.sounds import read_sound, write_sound

from ..evaluation.conftest import fill, make_test_set
from .conftest import Run

QUICK = ("--metrics", "si-sdr,si-sdri,stoi", "--no-ceilings", "-j", "1")
FOLDERS = ("--estimates", "estimates", "--references", "references", "--mixtures", "mixtures")


@pytest.fixture
def here() -> Path:
    """The current folder, with estimates, references and mixtures in it."""
    fill(Path(), count=2)
    return Path()


def test_folders(run: Run, here: Path) -> None:
    ran = run("evaluate", *FOLDERS, *QUICK)
    assert ran.code == 0
    paths = ["evaluation/report.html", "evaluation/items.csv", "evaluation/results.json"]
    assert ran.out.splitlines() == paths
    assert all((here / path).is_file() for path in paths)
    assert any("si-sdri" in line for line in ran.errors)
    assert json.loads((here / paths[2]).read_text())["counts"]["items"] == 4
    assert run("evaluate", *FOLDERS, *QUICK, "-o", "quiet", "-q").err == ""


def test_json(run: Run, here: Path) -> None:
    ran = run("evaluate", *FOLDERS, *QUICK, "--json", "-o", "out")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found["files"]["report"] == "out/report.html"
    summary = found["summary"]["estimate"]["si-sdr"]
    assert set(summary) == {"scored", "undefined", "median", "mean", "low", "high", "reasons"}
    assert list(found["metrics"]) == ["si-sdr", "si-sdri", "stoi"]
    assert "items" not in found


def test_the_command_in_the_report_can_be_pasted(run: Run, program: Run, here: Path) -> None:
    (here / "estimates").rename(here / "it's & mine")
    words = ["evaluate", "--estimates", "it's & mine", *FOLDERS[2:], *QUICK, "-o"]
    assert run(*words, "one").code == 0
    assert program(*words, "two").code == 0
    for folder in ("one", "two"):
        page = Path(folder, "report.html").read_text()
        (shown,) = re.findall("<pre>(.*)</pre>", page)
        assert shlex.split(html.unescape(shown)) == ["avse", *words, folder]


def test_two_processes(run: Run, here: Path) -> None:
    assert run("evaluate", *FOLDERS, *QUICK, "-o", "one").code == 0
    assert run("evaluate", *FOLDERS, *QUICK, "-o", "two", "-j", "2").code == 0
    one, two = (json.loads(Path(o, "results.json").read_text()) for o in ("one", "two"))
    assert [item["name"] for item in one["items"]] == [item["name"] for item in two["items"]]
    for x, y in zip(one["items"], two["items"], strict=True):
        for system, scores in x["scores"].items():
            assert scores == pytest.approx(y["scores"][system])


def test_what_has_no_partner_fails(run: Run, here: Path) -> None:
    (here / "estimates" / "talk0.1.wav").rename(here / "estimates" / "other.wav")
    ran = run("evaluate", *FOLDERS, *QUICK)
    assert ran.code == 1
    assert len(ran.out.splitlines()) == 3
    assert "avse: error: talk0.1: has no estimate" in ran.errors
    assert "avse: error: other: has no reference" in ran.errors


def test_lengths(run: Run, here: Path) -> None:
    path = here / "estimates" / "talk0.1.wav"
    sound, rate = read_sound(path)
    write_sound(path, sound[:-7], rate)
    ran = run("evaluate", *FOLDERS, *QUICK, "--json")
    assert json.loads(ran.out)["summary"]["estimate"]["si-sdr"]["undefined"] == 1
    ran = run("evaluate", *FOLDERS, *QUICK, "--json", "--trim", "-f")
    assert json.loads(ran.out)["summary"]["estimate"]["si-sdr"]["undefined"] == 0


def test_compare(run: Run, here: Path) -> None:
    assert run("evaluate", *FOLDERS, *QUICK, "-o", "one").code == 0
    ran = run("evaluate", *FOLDERS, *QUICK, "-o", "two", "--compare", "one/results.json", "--json")
    found = json.loads(ran.out)["comparison"]["metrics"]["si-sdr"]
    assert (found["paired"], found["mean_difference"]) == (4, 0)
    assert "Compared with one/results.json" in Path("two/report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "nothing to score"),
        (("--estimates", "estimates"), "nothing to score"),
        ((*FOLDERS, "--manifest", "x.jsonl"), "nothing to score"),
        ((*FOLDERS, "--network-only"), "need --manifest"),
        ((*FOLDERS, "--metrics", "si-sdr,mos"), "no metric 'mos'"),
        (("--manifest", "x.jsonl", "--curves", "colour"), "no curve 'colour'"),
        ((*FOLDERS, "-j", "0"), "--jobs"),
    ],
)
def test_usage(run: Run, here: Path, arguments: tuple[str, ...], says: str) -> None:
    ran = run("evaluate", *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert says in ran.errors[0]
    assert ran.errors[1].startswith("hint: ")
    assert not Path("evaluation").exists()


def test_nothing_is_overwritten_unasked(run: Run, here: Path) -> None:
    Path("out").mkdir()
    Path("out/items.csv").write_text("mine")
    ran = run("evaluate", *FOLDERS, *QUICK, "-o", "out")
    assert (ran.code, ran.out) == (2, "")
    assert Path("out/items.csv").read_text() == "mine"
    assert run("evaluate", *FOLDERS, *QUICK, "-o", "out", "-f").code == 0
    assert Path("out/items.csv").read_text() != "mine"


def test_inputs_that_are_not_there(run: Run, here: Path) -> None:
    assert run("evaluate", "--estimates", "none", "--references", "references").code == 1
    assert run("evaluate", "--manifest", "none.jsonl").code == 1
    assert run("evaluate", *FOLDERS, "--compare", "none.json").code == 1
    assert not Path("evaluation").exists()


def test_scores_are_kept_when_there_is_nothing_to_compare(run: Run, here: Path) -> None:
    assert run("evaluate", *FOLDERS, *QUICK, "-o", "one").code == 0
    results = json.loads(Path("one/results.json").read_text())
    Path("none.json").write_text(json.dumps({**results, "items": []}))
    ran = run("evaluate", *FOLDERS, *QUICK, "-o", "two", "--compare", "none.json")
    assert ran.code == 1
    assert "no item in common" in ran.err
    assert Path("two/report.html").is_file()


def test_missing_packages_exit_3(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pystoi", None)
    ran = run("evaluate", *FOLDERS, *QUICK)
    assert (ran.code, ran.out) == (3, "")
    assert "'pystoi'" in ran.errors[0]
    assert ran.errors[1] == 'hint: pip install "avse[metrics]"'
    ran = run("evaluate", *FOLDERS, "--metrics", "si-sdr", "--no-ceilings", "-f")
    assert ran.code == 0


def test_without_pesq_all_else_is_scored(
    run: Run, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pesq", None)
    version = metadata.version
    monkeypatch.setattr(
        metadata, "version", lambda name: version("no-such-package" if name == "pesq" else name)
    )
    ran = run("evaluate", *FOLDERS, "--no-ceilings", "-j", "1", "-o", "all")
    assert ran.code == 0
    assert [line for line in ran.errors if "PESQ is left out" in line and "avse[metrics]" in line]
    summary = json.loads(Path("all/results.json").read_text())["summary"]["estimate"]
    assert summary["pesq-wb"]["scored"] == summary["pesq-nb"]["scored"] == 0
    assert summary["stoi"]["scored"] == summary["sdr"]["scored"] == 4
    ran = run("evaluate", *FOLDERS, "--metrics", "stoi,pesq-wb", "-o", "asked")
    assert (ran.code, ran.out) == (3, "")
    assert not Path("asked").exists()


def test_missing_recogniser_exits_3(run: Run, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    ran = run("evaluate", *FOLDERS, *QUICK, "--transcriber", "faster-whisper")
    assert (ran.code, ran.out) == (3, "")
    assert "faster-whisper" in ran.errors[0]


@pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")
def test_manifest(run: Run, model: Path, tmp_path: Path) -> None:
    manifest = make_test_set(tmp_path / "set")
    ran = run(
        *("evaluate", "--manifest", manifest, "-m", model, *QUICK, "--network-only"),
        *("--keep-estimates", "--json"),
    )
    assert ran.code == 0
    found = json.loads(ran.out)
    assert found["mode"] == "network"
    assert found["counts"] == {
        "mixtures": 1,
        "items": 2,
        "scored": 2,
        "undefined": 0,
        "failed": 0,
    }
    assert sorted(p.name for p in Path("evaluation/estimates").iterdir()) == [
        "duet.1.wav",
        "duet.2.wav",
    ]
    assert run("evaluate", "--manifest", manifest, "-m", "none", "-o", "b").code == 3
    assert run("evaluate", "--manifest", manifest, "-m", model, "--trim", "-o", "c").code == 2


@pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")
@pytest.mark.parametrize("how", [(), ("--network-only", "--curves", "missing")], ids=len)
def test_what_is_missing_or_damaged_does_not_stop_the_rest(
    run: Run, model: Path, how: tuple[str, ...]
) -> None:
    make_test_set(Path("set"), "gone", "mute", "rest", "torn", "void")
    Path("set/videos/gone.mp4").unlink()
    Path("set/references/mute.2.wav").unlink()
    video = Path("set/videos/torn.mp4")
    video.write_bytes(video.read_bytes()[:1000])
    Path("set/mixtures/void.wav").write_bytes(b"")
    ran = run("evaluate", "--manifest", "set", "-m", model, *QUICK, *how)
    assert ran.code == 1
    assert ran.out.splitlines()[-1] == "evaluation/results.json"
    assert "avse: 10 voices: 2 scored, 0 not defined, 8 failed" in ran.errors
    for line in (
        "avse: error: gone.1: videos/gone.mp4 is not there",
        "avse: error: mute.2: references/mute.2.wav is not there",
    ):
        assert line in ran.errors
    assert ran.errors[-1] == "hint: the averages leave these out; see evaluation/report.html"
    results = json.loads(Path("evaluation/results.json").read_text())
    failures = {item["name"]: item["failure"] for item in results["items"]}
    assert [name for name, why in failures.items() if why is None] == ["rest.1", "rest.2"]
    assert "torn.mp4" in failures["torn.1"]
    assert "void.wav" in failures["void.2"]
    si_sdr = results["summary"]["estimate"]["si-sdr"]
    assert (si_sdr["scored"], si_sdr["undefined"]) == (2, 8)
    assert sum(si_sdr["reasons"].values()) == 8
    page = Path("evaluation/report.html").read_text()
    assert "2 scored, 0 not defined, 8 failed" in page
    assert "<td>gone.1</td>" in page
    if how:
        assert results["curves"]["missing"]["mixtures"] == 1


@pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")
def test_nothing_left_to_judge(run: Run, model: Path) -> None:
    make_test_set(Path("set"), "one", "two")
    for path in Path("set/videos").iterdir():
        path.write_bytes(b"torn")
    arguments = ("evaluate", "--manifest", "set", "-m", model, *QUICK)
    ran = run(*arguments, "--curves", "missing,size")
    assert ran.code == 1
    assert "avse: 4 voices: 0 scored, 0 not defined, 4 failed" in ran.errors
    for path in Path("set/videos").iterdir():
        path.unlink()
    ran = run(*arguments, "-o", "none")
    assert (ran.code, ran.out) == (1, "")
    error, hint = ran.errors
    assert "no mixture of set/manifest.jsonl has all its files: videos/one.mp4" in error
    assert "`avse mix`" in hint
    make_test_set(Path("sound"), video=False)
    ran = run("evaluate", "--manifest", "sound", "-m", model, *QUICK, "-o", "none")
    assert (ran.code, ran.out) == (1, "")
    assert "have no picture" in ran.errors[0]
    assert "--no-video" in ran.errors[1]
    assert not Path("none").exists()
