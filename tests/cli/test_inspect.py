from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from avse.media import copy_beginning

from .conftest import DUET, Run


def test_json_is_one_object_of_the_promised_shape(run: Run, duet: Path) -> None:
    ran = run("inspect", duet, "--json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert list(found)[:3] == ["input", "duration_s", "people"]
    assert found["input"] == str(duet)
    assert found["duration_s"] == pytest.approx(1.5, abs=0.2)
    left, right = found["people"]
    for number, person in enumerate((left, right), 1):
        assert list(person) == [
            *("number", "first_seen_s", "seconds_on_screen", "box", "still_picture")
        ]
        assert person["number"] == number
        assert person["still_picture"] is False
        assert person["first_seen_s"] == 0
        assert person["seconds_on_screen"] == pytest.approx(1.5, abs=0.2)
        assert [type(side) for side in person["box"]] == [int] * 4
    assert left["box"][0] < 320 < right["box"][0]


def test_a_user_sees_streams_and_people(program: Run) -> None:
    ran = program("inspect", DUET, "--sheet", "who is who.png")
    assert (ran.code, ran.err) == (0, "avse: the faces are in who is who.png\n")
    assert "640x360, 25 frames/s" in ran.out
    assert "48000 Hz, mono" in ran.out
    assert [line.split()[0] for line in ran.out.splitlines()[-2:]] == ["1", "2"]
    with av.open("who is who.png") as sheet:
        picture = next(sheet.decode(video=0))
    assert picture.width > 640
    assert picture.height > 270 + picture.width * 360 / 640 * 0.9  # a frame with numbers, tiles
    assert [path.name for path in Path().iterdir()] == ["who is who.png"]


def _two_pictures(path: Path, first: Path, second: Path) -> None:
    """The pictures of two recordings in one file, the sound of the second, and a time code."""
    with av.open(str(first)) as a, av.open(str(second)) as b, av.open(str(path), "w") as output:
        packets = []
        for source, streams in ((a, a.streams.video), (b, b.streams)):
            copies = {s.index: output.add_stream_from_template(s, opaque=True) for s in streams}
            for packet in source.demux(*streams):
                if packet.dts is not None:
                    packet.stream = copies[packet.stream_index]
                    packets.append(packet)
        sound = next(stream for stream in output.streams if stream.type == "audio")
        sound.metadata.update({"language": "ger", "title": "on\x1b[2Jstage"})
        output.mux(packets)


def test_every_stream_is_shown_and_a_picture_chosen(
    run: Run, recordings: dict[str, Path], short: Path
) -> None:
    _two_pictures(Path("two.mkv"), recordings["faceless"], short)
    found = json.loads(run("inspect", "two.mkv", "--picture", "1", "--json").out)
    assert [picture["codec"] for picture in found["pictures"]] == ["mpeg4", "h264"]
    assert [picture["width"] for picture in found["pictures"]] == [96, 640]
    assert [sound["language"] for sound in found["sounds"]] == ["ger"]
    assert len(found["people"]) == 2
    assert run("inspect", "two.mkv", "--picture", "1", "--sheet", "two.png").code == 0
    assert run("inspect", short, "--sheet", "one.png").code == 0
    assert Path("two.png").read_bytes() == Path("one.png").read_bytes()
    ran = run("inspect", "two.mkv")
    assert ran.out.splitlines()[-1] == "nobody in sight"
    rows = [line.split() for line in ran.out.splitlines()[3:6]]
    assert [row[:3] for row in rows] == [
        ["picture", "0", "mpeg4"],
        ["picture", "1", "h264"],
        ["sound", "0", "aac"],
    ]
    assert 'ger, "on\\x1b[2Jstage"' in ran.out
    refused = run("inspect", "two.mkv", "--picture", "2")
    assert (refused.code, "choose 0 to 1" in refused.err) == (1, True)


def test_codecs_go_by_their_common_names(run: Run, tmp_path: Path) -> None:
    with av.open("a.mkv", "w") as file:
        stream = file.add_stream(
            "libsvtav1" if "libsvtav1" in av.codecs_available else "libaom-av1"
        )
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for _ in range(3):
            file.mux(stream.encode(av.VideoFrame(64, 64, "yuv420p")))
        file.mux(stream.encode(None))
    found = json.loads(run("inspect", "a.mkv", "--json").out)
    assert found["pictures"][0]["codec"] == "av1"


def test_several_inputs_are_listed_one_after_the_other(
    run: Run, recordings: dict[str, Path]
) -> None:
    silent, empty, sound = (recordings[name] for name in ("silent", "empty", "pictureless"))
    ran = run("inspect", silent, empty, sound)
    assert (ran.code, ran.out.count("nobody in sight"), ran.out.count("\n\n\n")) == (1, 2, 0)
    assert f"error: {empty}: is empty" in ran.err
    lines = run("inspect", silent, sound, "--json").out.splitlines()
    assert [json.loads(line)["input"] for line in lines] == [str(silent), str(sound)]
    assert run("inspect", silent, sound, "--sheet", "a.png").code == 2


def test_too_short_is_not_the_same_as_nobody(run: Run, tmp_path: Path) -> None:
    copy_beginning(DUET, tmp_path / "blink.mp4", seconds=0.3)
    (note,) = run("inspect", tmp_path / "blink.mp4").errors
    assert "the picture is too short to find a face in" in note
    (note,) = run("inspect", DUET, "--start", "6.399").errors[:1]
    assert "there are no pictures in the part" in note


def test_a_sheet_is_not_overwritten(run: Run, duet: Path) -> None:
    Path("faces.png").write_text("mine", encoding="utf-8")
    ran = run("inspect", duet, "--sheet", "faces.png")
    assert (ran.code, ran.out) == (2, "")
    assert "--force" in ran.err
    assert run("inspect", duet, "--sheet", "faces.png", "-f", "-q").err == ""
    assert Path("faces.png").read_bytes().startswith(b"\x89PNG")


def test_a_sheet_is_a_png(run: Run, duet: Path) -> None:
    ran = run("inspect", duet, "--sheet", "faces.jpg")
    assert ran.code == 2
    assert ".png" in ran.errors[1]


@pytest.mark.parametrize("kind", ["faceless", "pictureless"])
def test_nobody_in_sight_is_a_finding_not_a_failure(
    run: Run, recordings: dict[str, Path], kind: str
) -> None:
    ran = run("inspect", recordings[kind], "--json")
    assert ran.code == 0
    found = json.loads(ran.out)
    assert found["people"] == []
    assert found["duration_s"] == pytest.approx(1, abs=0.1)
    (note,) = ran.errors
    assert note.startswith(f"avse: {recordings[kind].name}: ")


def test_the_report_says_so_too(run: Run, recordings: dict[str, Path]) -> None:
    ran = run("inspect", recordings["pictureless"], "--sheet", "faces.png")
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "nobody in sight"
    assert "faces.png was not written" in ran.err
    assert [path.name for path in Path().iterdir()] == []


def test_a_recording_without_sound_can_be_inspected(run: Run, recordings: dict[str, Path]) -> None:
    assert run("inspect", recordings["silent"]).code == 0


def test_two_numbers_are_one_person_by_the_users_word(program: Run, short: Path) -> None:
    ran = program("inspect", short, "--same", "1=2", "--json")
    assert ran.code == 0
    (person,) = json.loads(ran.out)["people"]
    assert (person["number"], person["same"]) == (1, [1, 2])
    wrong = program("inspect", short, "--same", "1=7")
    assert wrong.code == 2
    assert "there is no person 7" in wrong.err
    senseless = program("inspect", short, "--same", "anna=2")
    assert senseless.code == 2
    assert "--same 'anna=2' does not join two numbers" in senseless.err
