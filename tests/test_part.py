"""A part of a recording: what is refused, whose numbers hold, and which times are told."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import avse
from avse.errors import NoFaceError, UnknownSpeakerError, UsageError
from avse.media import AudioReader, MediaInfo, probe
from avse.scene.part import Part, find_part
from avse.scene.speakers import read_point
from avse.separation.separator import Separation
from avse.settings import Settings
from tests.conftest import TINY
from tests.looped import loop
from tests.test_separation import Everything

START, END = 20, 22


@pytest.fixture(scope="module")
def long(duet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example five times over, 33 s."""
    return loop(duet, tmp_path_factory.mktemp("long") / "long.mp4", 5)


@pytest.fixture(scope="module")
def info(long: Path) -> MediaInfo:
    return probe(long)


@pytest.fixture(scope="module")
def part(long: Path) -> Separation:
    """Everybody gets the whole mixture of two seconds."""
    network = Everything(TINY).eval()
    return avse.separate(
        long, network=network, gate=False, sync=False, start="0:20", end=END, window_s=1.0
    )


@pytest.mark.parametrize(
    ("start", "end", "says"),
    [
        ("1:00", None, "the part starts at 1:00, after the end"),
        (32.64, None, "after the end"),
        (None, "0:40.5", "the part ends at 0:40.5, after the end"),
        (20, 10, "the part ends at 0:10, but starts at 0:20"),
        (20, 20, "the part ends at 0:20, but starts at 0:20"),
        (None, 0, "the part ends at 0:00, but starts at 0:00"),
        (-1, 5, "the part starts at -0:01, before the beginning"),
        (None, -1, "the part ends at -0:01"),
    ],
)
def test_a_part_that_is_not_there_is_refused_with_the_length(
    info: MediaInfo, start: float | str | None, end: float | str | None, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        find_part(info, Settings(start=start, end=end))
    length = "0:32.64"
    assert caught.value.message.startswith("long.mp4: ")
    assert says in caught.value.message
    assert caught.value.message.endswith(f"the recording is {length} long")
    assert length in caught.value.hint


def test_a_part_counts_on_the_clock_of_the_file(info: MediaInfo) -> None:
    late = dataclasses.replace(info, start=Fraction(1, 2))
    assert find_part(late, Settings(start=1, end="0:32.6")) == Part(
        Fraction(3, 2), Fraction(331, 10)
    )
    assert find_part(late, Settings()) == Part()
    unknown = dataclasses.replace(info, duration=None)
    assert find_part(unknown, Settings(end=10**6)).stop == 10**6
    with pytest.raises(UsageError, match="of unknown length"):
        find_part(unknown, Settings(start=-1))


def test_lengths_of_parts() -> None:
    assert Part().length(Fraction(1), Fraction(5)) == 5
    assert Part(Fraction(2)).length(Fraction(1), Fraction(5)) == 4
    assert Part(Fraction(2), Fraction(3)).length(Fraction(1), None) == 1
    assert Part(Fraction(2), Fraction(9)).length(Fraction(4), Fraction(1)) == 1
    assert Part(Fraction(2), Fraction(3)).length(Fraction(4), Fraction(1)) == 0
    assert Part(Fraction(2)).length(Fraction(1), None) is None


def test_settings_take_seconds_and_clock_times() -> None:
    assert Settings(start="1:02:03.5") == Settings(start=3723.5)
    with pytest.raises(UsageError, match="not a time"):
        Settings(end="soon")


def test_voices_are_those_of_the_part_to_the_sample(part: Separation, long: Path) -> None:
    assert [person.number for person in part.people] == [1, 2]
    voices = part.voices()
    assert voices.shape == (2, 1, (END - START) * part.sample_rate)
    with AudioReader(long) as reader:
        whole = np.concatenate([block.samples for block in reader], axis=-1)
    want = whole[:, START * part.sample_rate : END * part.sample_rate]
    assert np.abs(voices[0] - want).max() < 0.01  # AAC draws noise anew
    assert part.notes == []


def test_times_are_those_of_the_recording(part: Separation) -> None:
    scene = part.scene
    assert scene.playing_time(Fraction(0)) == START
    assert [round(scene.playing_time(p.first_seen)) for p in scene.people] == [START, START]
    assert all(person.seconds_on_screen <= END - START for person in scene.people)
    assert [p.number for p in scene.choose("@0:20.5:0.74,0.33")] == [2]
    with pytest.raises(UnknownSpeakerError, match=r"0:01 lies outside of the part"):
        scene.choose("@1:0.74,0.33")


def test_a_part_without_sound_is_refused(tmp_path: Path, long: Path) -> None:
    import av

    short = tmp_path / "short.mp4"
    with av.open(str(long)) as old, av.open(str(short), "w") as new:
        copies = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.size and (packet.stream.type == "video" or packet.pts < 48000):
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    with pytest.raises(UsageError, match=r"nothing in the part from 0:20 on"):
        avse.separate(short, network=Everything(TINY).eval(), start=20)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("@0:12.5:0.33,1.40", "0.33,1.40: the second number is a share of the height and must lie"),
        ("@5:640,0.4", "640,0.4: the first number is a share of the width and must lie in 0 to 1"),
        ("@5:0.1,x", "0.1,x: the second number"),
        ("@5:0.1", "needs a time and two numbers"),
        ("@0.1,0.2", "needs a time and two numbers"),
        ("@0:75:0.1,0.2", "'0:75' is not a time: seconds after minutes go up to 59"),
        ("@-1:0.1,0.2", "cannot be negative"),
        ("@:0.1,0.2", "'' is not a time"),
        ("anna", "'anna' names no speaker"),
    ],
)
def test_a_wrong_point_says_what_is_wrong_with_it(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_point(text)
    assert says in caught.value.message
    assert caught.value.hint


def test_points_take_clock_times() -> None:
    assert read_point("@12.5s:0.33,0.40") == read_point("@0:12.5:.33,0.4") == (12.5, 0.33, 0.4)
    assert read_point("@1:02:03.5:1,0") == (3723.5, 1.0, 0.0)


def test_nobody_in_the_part(tmp_path: Path) -> None:
    from tests.cli.recordings import record

    record(tmp_path / "a.mp4")
    with pytest.raises(NoFaceError):
        avse.separate(tmp_path / "a.mp4", network=Everything(TINY).eval(), start=0.5)
