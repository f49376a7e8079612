"""Who speaks when, as editing programs read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from avse.diarization.segments import Segment
from avse.diarization.timelines import edl, otio
from avse.media.timecode import Timecode

NTSC = Fraction(30_000, 1001)
CODES = [
    Timecode(Fraction(25)),
    Timecode(Fraction(25), first=90_000),
    Timecode(Fraction(24_000, 1001)),
    Timecode(NTSC, drop=True),
    Timecode(NTSC, drop=True, first=107_892),
    Timecode(2 * NTSC, drop=True),
]
NAMED = {
    "Anna": [Segment(0.0, 1.52), Segment(58.98, 61.04), Segment(700.0, 700.001)],
    "Person 2": [Segment(0.48, 2.0)],
    "Person 3": [],
}


def read_with_library(text: str, adapter: str, **more: Any) -> Any:
    library = pytest.importorskip("opentimelineio", reason="opentimelineio is not installed")
    if adapter not in library.adapters.available_adapter_names():
        pytest.skip(f"the adapter {adapter} is not installed")
    return library.adapters.read_from_string(text, adapter, **more)


def kept_in(given: Any, again: Any) -> Iterator[bool]:
    """Whether each value of one tree is in the other, which may hold more."""
    if isinstance(given, dict):
        yield given.keys() <= again.keys()
        for key in given:
            yield from kept_in(given[key], again[key])
    elif isinstance(given, list):
        yield len(given) == len(again)
        for one, other in zip(given, again, strict=True):
            yield from kept_in(one, other)
    else:
        yield given == again


def clips_of(track: Any) -> list[Any]:
    return [one for one in track if type(one).__name__ == "Clip"]


@pytest.mark.parametrize("code", CODES)
def test_opentimelineio_reads_the_timeline(code: Timecode) -> None:
    text = otio(NAMED, code, name="talk", url="my%20talk.mp4", duration_s=710.0)
    timeline = read_with_library(text, "otio_json")
    assert timeline.name == "talk"
    picture, *voices = timeline.tracks
    assert (picture.kind, len(clips_of(picture))) == ("Video", 1)
    assert picture.duration().to_seconds() == pytest.approx(710.0, abs=0.5 / code.rate)
    assert [(track.name, track.kind) for track in voices] == [(name, "Audio") for name in NAMED]
    frame = 1 / float(code.rate)
    for track, segments in zip(voices, NAMED.values(), strict=True):
        for clip, segment in zip(clips_of(track), segments, strict=True):
            assert clip.name == track.name
            assert clip.media_reference.target_url == "my%20talk.mp4"
            place = clip.range_in_parent()
            assert place.start_time.to_seconds() == pytest.approx(segment.start, abs=frame)
            assert place.end_time_exclusive().to_seconds() == pytest.approx(
                segment.stop, abs=1.01 * frame
            )
            assert place.duration.value >= 1
            first = clip.source_range.start_time.value - code.first
            assert first == place.start_time.value
            whole, part = clip.available_range(), clip.source_range
            assert whole.start_time <= part.start_time
            assert part.end_time_exclusive() <= whole.end_time_exclusive()
    assert all(kept_in(json.loads(text), json.loads(timeline.to_json_string())))


def test_the_timeline_without_the_library() -> None:
    code = Timecode(Fraction(25), first=50)
    given = json.loads(otio({"Anna": NAMED["Anna"]}, code, name="t", url="t", duration_s=710))
    _, voice = given["tracks"]["children"]
    kinds = [one["OTIO_SCHEMA"] for one in voice["children"]]
    assert kinds == ["Clip.2", "Gap.1", "Clip.2", "Gap.1", "Clip.2"]
    lengths = [one["source_range"]["duration"]["value"] for one in voice["children"]]
    assert lengths == [38, 1474 - 38, 1526 - 1474, 17_500 - 1526, 1]
    assert voice["children"][2]["source_range"]["start_time"]["value"] == 1474 + 50


def test_an_edl_to_the_letter() -> None:
    code = Timecode(NTSC, drop=True)
    text, left_out = edl(NAMED, code, title="my talk", clip="my talk.mp4")
    assert left_out == 0
    assert text.splitlines()[:10] == [
        "TITLE: my talk",
        "FCM: DROP FRAME",
        "",
        "001  MYTALK   A     C        00:00:00;00 00:00:01;16 00:00:00;00 00:00:01;16",
        "* FROM CLIP NAME: my talk.mp4",
        "* COMMENT: Anna",
        "",
        "002  MYTALK   A2    C        00:00:00;14 00:00:02;00 00:00:00;14 00:00:02;00",
        "* FROM CLIP NAME: my talk.mp4",
        "* COMMENT: Person 2",
    ]
    assert "003  MYTALK   A     C        00:00:58;28 00:01:01;01" in text
    assert "FCM: NON-DROP FRAME" in edl(NAMED, CODES[0], title="t", clip="t")[0]


@pytest.mark.parametrize("code", CODES)
def test_a_reader_of_edl_finds_every_event(code: Timecode) -> None:
    text, _ = edl(NAMED, code, title="talk", clip="talk.mp4")
    timeline = read_with_library(text, "cmx_3600", rate=float(code.rate))
    found = [clip for track in timeline.tracks for clip in clips_of(track)]
    assert len(found) == 4
    places = sorted(clip.source_range.start_time.value - code.first for clip in found)
    wanted = [s.start for segments in NAMED.values() for s in segments]
    assert places == sorted(round(start * code.rate) for start in wanted)


@pytest.mark.parametrize("code", [CODES[3], CODES[5]])
def test_timecode_is_that_of_the_library(code: Timecode) -> None:
    library = pytest.importorskip("opentimelineio", reason="opentimelineio is not installed")
    rng = np.random.default_rng(0)
    for frame in rng.integers(0, 20 * 3600 * 30, 300).tolist():
        time = library.opentime.RationalTime(frame, float(code.rate))
        shown = library.opentime.to_timecode(time, float(code.rate), drop_frame=True)
        assert code.text(frame) == shown


def test_more_people_than_an_edl_has_channels() -> None:
    code = Timecode(Fraction(25))
    turns = {f"Person {n}": [Segment(n, n + 1.5)] for n in range(1, 7)}
    text, left_out = edl(turns, code, title="t", clip="t.mp4")
    assert left_out == 0
    assert {line.split()[2] for line in text.splitlines() if line[:3].isdigit()} == {"A", "A2"}
    at_once = {f"Person {n}": [Segment(0.1 * n, 9)] for n in range(1, 7)}
    text, left_out = edl(at_once, code, title="t", clip="t.mp4")
    assert left_out == 2
    channels = [line.split()[2] for line in text.splitlines() if line[:3].isdigit()]
    assert channels == ["A", "A2", "A3", "A4"]


def test_nobody_speaks() -> None:
    text, _ = edl({"Anna": []}, CODES[0], title="日本", clip="日本.mp4")
    assert text.splitlines() == ["TITLE: 日本", "FCM: NON-DROP FRAME"]
    given = json.loads(otio({"Anna": []}, CODES[0], name="t", url="t", duration_s=1))
    assert given["tracks"]["children"][1]["children"] == []
