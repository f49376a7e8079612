"""`avse separate --transcribe`: subtitles beside the voices, with real commands as recognisers."""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import avse.separation.separator
from avse.media import move_sound, probe
from avse.scene.scene import Scene

from .conftest import Run

pysubs2 = pytest.importorskip("pysubs2", reason="pysubs2 (the extra dev) is not installed")

# "Hears" the rate, channels and bytes a sample of what it is given.
FORMAT = """
import sys, wave
with wave.open(sys.argv[1]) as sound:
    print(*sound.getparams()[2::-1])
"""
WORDS = shlex.join([sys.executable, "-c", FORMAT])
NOTHING = shlex.join([sys.executable, "-c", ""])
BROKEN = shlex.join([sys.executable, "-c", "raise SystemExit('no microphone')"])
OPEN = ("--no-gate", "--no-sync")
"""A network that has learnt nothing would leave nothing to hear."""


def cues(path: str | Path) -> list[tuple[float, float, str]]:
    return [(c.start / 1000, c.end / 1000, c.plaintext) for c in pysubs2.load(str(path))]


def names() -> list[str]:
    return sorted(str(path) for path in Path().rglob("*") if path.is_file())


def test_every_voice_has_subtitles_beside_it(run: Run, duet: Path, model: Path) -> None:
    ran = run("separate", duet, "-m", model, *OPEN, "--transcribe", WORDS, "--residual")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.split() == [
        "duet.1.wav", "duet.2.wav", "duet.residual.wav", "duet.1.srt", "duet.2.srt",
    ]  # fmt: skip
    assert names() == sorted(ran.out.split())
    for name in ("duet.1.srt", "duet.2.srt"):
        ((start, stop, text),) = cues(name)
        assert text == "16000 2 1"
        assert 0 <= start < stop <= 1.6


def test_json_names_them(run: Run, duet: Path, model: Path) -> None:
    common = ("separate", duet, "-m", model, *OPEN, "--transcribe", WORDS, "--json")
    template = ("--name", "voice {speaker} of {stem}.flac", "-o", "a")
    planned = json.loads(run(*common, *template, "--dry-run").out)
    assert names() == []
    made = json.loads(run(*common, *template).out)
    paths = [f"a/voice {n} of duet.srt" for n in (1, 2)]
    assert [stem["subtitles"] for stem in made["stems"]] == paths
    assert [stem["subtitles"] for stem in planned["stems"]] == paths
    assert all(cues(path) for path in paths)


def test_a_video_of_one_voice_has_the_words_of_that_voice(
    run: Run, duet: Path, model: Path
) -> None:
    options = ("--speaker", "1", "--keep-original-audio", "-o", "anna.mp4")
    ran = run("separate", duet, "-m", model, *OPEN, *options, "--transcribe", WORDS)
    assert ran.out.split() == ["anna.mp4", "anna.srt"]
    assert [text for _, _, text in cues("anna.srt")] == ["16000 2 1"]


@pytest.mark.parametrize("output", ["late.wav", "late.mp4", "late.mkv"])
def test_times_are_those_that_a_player_shows(
    run: Run,
    duet: Path,
    seen: Scene,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
) -> None:
    late = duet.with_name("late.mp4")
    move_sound(duet, late, Fraction(-3, 4))

    def look(path: Path, *_: Any, **__: Any) -> Scene:
        info = probe(path)
        return dataclasses.replace(seen, info=info, audio=info.audio[0], origin=info.audio[0].start)

    common = ("-m", model, *OPEN, "--transcribe", WORDS, "-s", "1")
    assert run("separate", duet, *common, "-o", "plain.wav").code == 0
    monkeypatch.setattr(avse.separation.separator, "look", look)
    assert run("separate", late, *common, "-o", output).code == 0
    (plain,), (moved,) = cues("plain.srt"), cues("late.srt")
    assert moved[0] - plain[0] == pytest.approx(0.75, abs=0.05)


def test_a_voice_without_words_has_an_empty_file(run: Run, duet: Path, model: Path) -> None:
    ran = run("separate", duet, "-m", model, *OPEN, "-s", "2", "--transcribe", NOTHING)
    assert (ran.code, ran.out) == (0, "duet.2.wav\nduet.2.srt\n")
    assert ran.errors == [
        "avse: warning: no speech was recognised in duet.2.wav: duet.2.srt is empty"
    ]
    assert Path("duet.2.srt").read_bytes() == b""


@pytest.mark.parametrize("speaker", ["2", "all", "@1s:0.74,0.33"])
def test_subtitles_that_exist_are_not_replaced(
    run: Run, duet: Path, model: Path, speaker: str
) -> None:
    Path("duet.2.srt").write_text("mine", encoding="utf-8")
    common = ("separate", duet, "-m", model, *OPEN, "-s", speaker, "--transcribe", WORDS)
    ran = run(*common)
    assert (ran.code, ran.out) == (2, "")
    assert "duet.2.srt exists already" in ran.err
    assert names() == ["duet.2.srt"]
    assert Path("duet.2.srt").read_text(encoding="utf-8") == "mine"
    assert run(*common, "--force").code == 0
    assert cues("duet.2.srt")


def test_a_recogniser_that_fails_leaves_the_voices(run: Run, duet: Path, model: Path) -> None:
    ran = run("separate", duet, "-m", model, *OPEN, "--transcribe", BROKEN)
    assert (ran.code, ran.out.split()) == (1, ["duet.1.wav", "duet.2.wav"])
    assert "duet.1.wav: the recogniser" in ran.err
    assert "no microphone" in ran.err
    assert names() == ["duet.1.wav", "duet.2.wav"]
    ran = run("separate", duet, "-m", model, *OPEN, "--transcribe", BROKEN, "--json", "-f")
    assert ran.code == 1
    assert [stem["subtitles"] for stem in json.loads(ran.out)["stems"]] == [None, None]


@pytest.mark.parametrize(
    ("recogniser", "code", "says"),
    [
        ("no-such-program {}", 3, "'no-such-program' is not installed"),
        ("faster-whisper:tiny", 3, "avse[transcribe]"),
        (" ", 2, "--transcribe is empty"),
    ],
)
def test_what_is_not_there_is_missed_before_the_work(
    run: Run,
    short: Path,
    monkeypatch: pytest.MonkeyPatch,
    recogniser: str,
    code: int,
    says: str,
) -> None:
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    monkeypatch.setattr(avse.separation.separator, "look", None)  # would fail if it were called
    ran = run("separate", short, "--transcribe", recogniser)
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err


def test_without_pysubs2_nothing_begins(
    run: Run, short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pysubs2", None)
    monkeypatch.setattr(avse.separation.separator, "look", None)
    ran = run("separate", short, "--transcribe", WORDS)
    assert (ran.code, ran.out) == (3, "")
    assert "avse[transcribe]" in ran.err
