"""Whatever else a file holds: other tracks, subtitles, chapters, tags, attachments."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from avse.errors import OutputError
from avse.media import NewTrack, probe, quantise, remux

from .media_files import Picture, Sound, speechlike, write_media
from .remuxed import as_new, instant_lag, packets, read, voice_for

CHAPTERS = [
    {"id": n, "start": n * 500, "end": n * 500 + 500, "time_base": Fraction(1, 1000)}
    | {"metadata": {"title": f"part {n}"}}
    for n in range(2)
]


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_everything_else_is_kept(media, ending):
    source = media(
        "a.mp4",
        Picture(rotation=-90),
        Sound(language="deu"),
        Sound("ac3", language="eng", title="comments"),
        metadata={"title": "Hällo", "artist": "me"},
        chapters=CHAPTERS,
    )
    voice, track = voice_for(source)
    target = source.with_name(f"out{ending}")
    remux(source, as_new(voice, track, title="Anna"), target, keep_original_audio=True)
    new = probe(target)
    german = "ger" if ending == ".mov" else "deu"
    assert [t.language for t in new.audio] == [german, german, "eng"]
    assert [t.default for t in new.audio] == [True, False, False]
    assert new.video.rotation == 90
    assert [d for _, d in packets(source, "audio", 0)] == [
        d for _, d in packets(target, "audio", 1)
    ]
    assert [d for _, d in packets(source, "audio", 1)] == [
        d for _, d in packets(target, "audio", 2)
    ]
    assert instant_lag(voice, track.start, target) == 0
    late = instant_lag(read(source)[0], track.start, target, 1)
    assert abs(late) <= (track.sample_rate // 2000 if ending == ".mkv" else 0)
    with av.open(str(target)) as container:
        tags = {key.lower(): value for key, value in container.metadata.items()}
        assert (tags["title"], tags["artist"]) == ("Hällo", "me")
        times = [
            (c["start"] * c["time_base"], c["metadata"]["title"]) for c in container.chapters()
        ]
    assert times == [(0, "part 0"), (Fraction(1, 2), "part 1")]


def test_attachments_and_covers(media, tmp_path):
    source = media("a.mkv", Picture(), Sound("flac"), attachment=("f.ttf", "font/ttf", b"abcd"))
    voice, track = voice_for(source)
    remux(source, as_new(voice, track), tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        (attachment,) = [s for s in container.streams if s.type == "attachment"]
        assert (attachment.name, attachment.data) == ("f.ttf", b"abcd")
    result = remux(source, as_new(voice, track), tmp_path / "out.mp4")
    assert len(result.dropped) == 1
    assert "f.ttf" in result.dropped[0]


def _with_subtitles(path):
    """Three lines of SubRip beside a picture and a voice."""
    text = path.with_suffix(".srt")
    text.write_text(
        "".join(f"{n}\n00:00:00,{n}00 --> 00:00:00,{n}90\nline {n}\n\n" for n in range(1, 4))
    )
    film = write_media(path.with_name("film.mkv"), Picture(), Sound("flac"))
    with av.open(str(film)) as a, av.open(str(text)) as b, av.open(str(path), "w") as output:
        places = {}
        for container in (a, b):
            for stream in container.streams:
                copy = output.add_stream_from_template(stream)
                copy.metadata.update(stream.metadata)
                places[id(container), stream.index] = copy
        for container in (a, b):
            for packet in container.demux():
                if packet.dts is not None:
                    packet.stream = places[id(container), packet.stream.index]
                    output.mux(packet)
    return path


def test_subtitles(tmp_path):
    source = _with_subtitles(tmp_path / "a.mkv")
    voice, track = voice_for(source)
    remux(source, as_new(voice, track), tmp_path / "out.mkv")
    assert packets(source, "subtitle") == packets(tmp_path / "out.mkv", "subtitle")
    assert len(packets(source, "subtitle")) == 3
    with pytest.raises(OutputError, match="subtitle") as caught:
        remux(source, as_new(voice, track), tmp_path / "out.mp4")
    assert caught.value.hint
    result = remux(source, as_new(voice, track), tmp_path / "out.mp4", drop_unsupported=True)
    assert "subtitle" in result.dropped[0]


def test_several_voices(media):
    source = media("a.mp4", Picture(), Sound())
    first, track = voice_for(source, seed=1)
    second, _ = voice_for(source, seed=2)
    target = source.with_name("out.mkv")
    stems = [as_new(first, track, title="Anna"), as_new(second, track, cut=31000, title="Ben")]
    remux(source, stems, target)
    assert instant_lag(first, track.start, target, 0) == 0
    assert instant_lag(second, track.start, target, 1) == 0
    assert [t.default for t in probe(target).audio] == [True, False]


def test_the_chosen_track_is_replaced(media):
    source = media("a.mkv", Picture(), Sound("flac"), Sound("flac", rate=8000, layout="mono"))
    voice = speechlike(1, 8000, 8000)
    target = source.with_name("out.mkv")
    remux(source, NewTrack([voice], 8000, 1), target, track=1)
    assert [t.sample_rate for t in probe(target).audio] == [48000, 8000]
    assert np.array_equal(read(target, 1)[0], quantise(voice, 16))
    with pytest.raises(ValueError, match="no sound track 2"):
        remux(source, NewTrack([voice], 8000, 1), source.with_name("b.mkv"), track=2)
