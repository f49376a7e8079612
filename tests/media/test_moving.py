"""Sound moved against the picture: no packet lost, none encoded again."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from avse.errors import NoAudioError, OutputError, OutputExistsError
from avse.media import move_sound, probe

from .media_files import Picture, Sound, lag
from .remuxed import packets, read

SOURCES = {
    "plain.mp4": (Picture(), Sound()),
    "b-frames.mp4": (Picture(options={"bf": "2", "preset": "fast"}), Sound()),
    "late.mkv": (Picture(), Sound("aac", start=Fraction(1, 2))),
    "old.avi": (Picture("mpeg4"), Sound("ac3", rate=44100)),
}


def late(path):
    """Seconds from a file's first frame to its first sample."""
    info = probe(path)
    return info.audio[0].start - info.video.start


@pytest.mark.parametrize("earlier", [Fraction(24, 100), Fraction(-24, 100)])
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("name", SOURCES)
def test_every_packet_is_kept_and_only_times_change(media, name, ending, earlier):
    source = media(name, *SOURCES[name])
    target = source.with_name(f"out{ending}")
    assert move_sound(source, target, earlier).dropped == ()
    for kind in ("video", "audio"):
        before = [digest for _, digest in packets(source, kind)]
        assert [digest for _, digest in packets(target, kind)] == before
    old, _ = read(source)
    new, reader = read(target)
    content = lag(old[0], new[0]) / reader.sample_rate
    moved = Fraction(content).limit_denominator(10**6) + late(target) - late(source)
    assert float(moved) == pytest.approx(-float(earlier), abs=0.005)
    assert probe(target).audio[0].default >= probe(source).audio[0].default
    assert {p.name for p in source.parent.iterdir()} == {source.name, target.name}


def test_there_and_back_is_where_it_was(media):
    source = media("a.mkv", Picture(), Sound("flac"))
    there, back = source.with_name("b.mkv"), source.with_name("c.mkv")
    move_sound(source, there, Fraction(3, 10))
    move_sound(there, back, Fraction(-3, 10))
    assert late(back) == pytest.approx(late(source), abs=0.002)
    np.testing.assert_array_equal(read(back)[0], read(source)[0])


def test_chapters_move_with_the_picture(media):
    source = media("a.mkv", Picture(), Sound("flac"))
    with_chapters = source.with_name("b.mkv")
    with av.open(str(source)) as before, av.open(str(with_chapters), "w") as after:
        streams = {s.index: after.add_stream_from_template(s) for s in before.streams}
        base = Fraction(1, 1000)
        chapter = {"id": 1, "start": 200, "end": 700, "time_base": base, "metadata": {}}
        after.set_chapters([chapter])
        for packet in before.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                after.mux(packet)
    moved = source.with_name("c.mkv")
    move_sound(with_chapters, moved, Fraction(3, 10))
    with av.open(str(moved)) as container:
        (found,) = container.chapters()
        assert found["start"] * found["time_base"] == pytest.approx(0.5)
        assert found["end"] * found["time_base"] == pytest.approx(1.0)


def test_what_cannot_be_written_is_refused(media):
    source = media("a.mp4", Picture(), Sound())
    with pytest.raises(OutputError):
        move_sound(source, source.with_suffix(".avi"), Fraction(0))
    with pytest.raises(OutputError, match="itself"):
        move_sound(source, source, Fraction(0), overwrite=True)
    there = source.with_name("b.mp4")
    there.touch()
    with pytest.raises(OutputExistsError):
        move_sound(source, there, Fraction(0))
    lossless = media("d.mkv", Picture(), Sound("flac"))
    with pytest.raises(OutputError, match="flac"):
        move_sound(lossless, source.with_name("e.mov"), Fraction(0))
    silent = media("silent.mp4", Picture())
    with pytest.raises(NoAudioError):
        move_sound(silent, source.with_name("c.mp4"), Fraction(0))
