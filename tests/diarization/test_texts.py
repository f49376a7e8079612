"""What is written can be read by others."""

from __future__ import annotations

import pytest

from avse.diarization.segments import Segment
from avse.diarization.texts import read_rttm, rttm, srt, vtt

SPOKEN = {
    1: [Segment(0.0, 1.5), Segment(3661.04, 3662.08)],
    2: [Segment(0.48, 2.0)],
    3: [],
}


def test_rttm_has_ten_fields_in_order_of_time() -> None:
    lines = rttm(SPOKEN, "my talk").splitlines()
    assert lines[1] == "SPEAKER my_talk 1 0.480 1.520 <NA> <NA> person2 <NA> <NA>"
    assert [len(line.split()) for line in lines] == [10, 10, 10]


def test_rttm_is_read_again() -> None:
    found = read_rttm(";; a comment\n" + rttm(SPOKEN, "talk"))
    assert set(found) == {"person1", "person2"}
    for number in (1, 2):
        for segment, given in zip(found[f"person{number}"], SPOKEN[number], strict=True):
            assert (segment.start, segment.stop) == pytest.approx((given.start, given.stop))


def test_what_is_no_rttm_is_refused() -> None:
    with pytest.raises(ValueError, match="RTTM"):
        read_rttm("SPEAKER talk 1 0.0")


@pytest.mark.parametrize(("write", "kind"), [(srt, "srt"), (vtt, "vtt")])
def test_subtitles_are_read_by_pysubs2(write: object, kind: str) -> None:
    pysubs2 = pytest.importorskip("pysubs2", reason="pysubs2 (the extra dev) is not installed")
    read = pysubs2.SSAFile.from_string(write(SPOKEN), format_=kind)  # type: ignore[operator]
    cues = [(cue.start, cue.end) for cue in read]
    assert cues == [(0, 1500), (480, 2000), (3_661_040, 3_662_080)]
    assert ["Speaker 1" in cue.text for cue in read] == [True, False, True]


def test_nobody_speaks() -> None:
    assert rttm({1: []}, "talk") == ""
    assert srt({}) == ""
    assert vtt({}) == "WEBVTT\n"


def test_people_go_by_their_names() -> None:
    names = {1: "Anna & Bo", 2: None}
    assert "\nAnna & Bo\n" in srt(SPOKEN, names)
    assert "\nSpeaker 2\n" in srt(SPOKEN, names)
    assert "<v Anna &amp; Bo>Anna &amp; Bo" in vtt(SPOKEN, names)
