from __future__ import annotations

import sys

import pytest

from avse.errors import MissingExtraError
from avse.transcription.subtitles import Cue, as_srt, as_talk, need_pysubs2, read_cues

pytest.importorskip("pysubs2", reason="pysubs2 (the extra dev) is not installed")

CUES = [Cue(1.0, 2.5, "bin blue at"), Cue(3661.0, 3662.0, "F two & now")]
SRT = (
    "1\n00:00:01,000 --> 00:00:02,500\nbin blue\nat\n\n"
    "2\n01:01:01,000 --> 01:01:02,000\n<i>F two</i> & now\n"
)
VTT = (
    "WEBVTT\n\nfirst\n00:01.000 --> 00:02.500 align:start\n<v Anna>bin blue at\n\n"
    "01:01:01.000 --> 01:01:02.000\nF two &amp; now\n"
)
WHISPER = "[00:01.000 --> 00:02.500]  bin blue at\n[01:01:01.000 --> 01:01:02.000]  F two & now\n"
WHISPER_CPP = (
    "\n[00:00:01.000 --> 00:00:02.500]   bin blue at\n"
    "[01:01:01.000 --> 01:01:02.000]   F two & now\n\n"
)


@pytest.mark.parametrize("text", [SRT, VTT, WHISPER, WHISPER_CPP, "\ufeff" + SRT])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_what_recognisers_print_is_read(text: str, ends: str) -> None:
    assert read_cues(text.replace("\n", ends)) == CUES


@pytest.mark.parametrize("text", ["", "bin blue", "at 12:30 he said --> go", "a\n1\nb\n"])
def test_plain_text_has_no_times(text: str) -> None:
    assert read_cues(text) is None


def test_subtitles_without_a_cue_have_times_all_the_same() -> None:
    assert read_cues("WEBVTT\n") == []
    assert read_cues("1\n00:00:01,000 --> 00:00:02,500\n \n") == []


def test_subtitles_are_written_as_they_are_read() -> None:
    assert read_cues(as_srt(CUES)) == CUES
    assert as_srt([]) == ""


def test_nothing_is_taken_for_mark_up_and_lost() -> None:
    written = as_srt([Cue(0.0, 1.0, "a {laughs}  b\nc")])
    assert read_cues(written) == [Cue(0.0, 1.0, "a (laughs) b c")]


def test_without_pysubs2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pysubs2", None)
    with pytest.raises(MissingExtraError, match="pysubs2") as caught:
        need_pysubs2()
    assert "avse[transcribe]" in caught.value.hint
    assert read_cues("bin blue") is None
    with pytest.raises(MissingExtraError):
        read_cues(SRT)


def test_what_several_people_say_is_one_file() -> None:
    said = {"Anna": CUES, "B <b>": [Cue(2.0, 3.0, "a < b {c}")]}
    three = [(1.0, "bin blue at"), (2.0, "a < b (c)"), (3661.0, "F two & now")]
    names = ("Anna", "B <b>", "Anna")
    srt = as_talk(said, "srt")
    assert [line for line in srt.splitlines() if ":" in line and "-->" not in line] == [
        f"{name}: {text}" for name, (_, text) in zip(names, three, strict=True)
    ]
    vtt = as_talk(said, "vtt")
    assert "<v B &lt;b&gt;>a &lt; b (c)" in vtt
    assert [(cue.start, cue.text) for cue in read_cues(vtt) or ()] == three
    assert as_talk({"Anna": CUES}, "srt") == as_srt(CUES)
    assert as_talk({}, "vtt").strip() == "WEBVTT"
