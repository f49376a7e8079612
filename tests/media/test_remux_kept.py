"""Whatever else a file holds: other tracks, subtitles, chapters, tags, attachments."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from avse.errors import ContainerError
from avse.media import NewTrack, check_remux, move_sound, probe, quantise, remux

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


@pytest.mark.parametrize("ending", [".mp4", ".mov"])
def test_text_subtitles_are_converted_there_and_back(tmp_path, ending):
    source = _with_subtitles(tmp_path / "a.mkv")
    voice, track = voice_for(source)
    there, back = tmp_path / f"there{ending}", tmp_path / "back.mkv"
    assert remux(source, as_new(voice, track), there).dropped == ()
    assert remux(there, as_new(voice, track), back).dropped == ()
    assert [(o.kind, o.codec) for o in probe(there).others] == [("subtitle", "mov_text")]
    assert packets(back, "subtitle") == packets(source, "subtitle")
    with av.open(str(back)) as container:
        lengths = [p.duration for p in container.demux(subtitles=0) if p.size]
    assert lengths == [90, 90, 90]


def test_a_time_code_is_kept(media, tmp_path):
    source = tmp_path / "a.mov"
    plain = media("plain.mp4", Picture(), Sound())
    with av.open(str(plain)) as old, av.open(str(source), "w") as new:
        copies = {s.index: new.add_stream_from_template(s, opaque=True) for s in old.streams}
        new.metadata["timecode"] = "01:00:00:00"
        for packet in old.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream_index]
                new.mux(packet)
    assert [(o.codec, o.title) for o in probe(source).others] == [("tmcd", "01:00:00:00")]
    voice, track = voice_for(source)
    path = source
    for ending in (".mov", ".mkv", ".mp4"):
        target = tmp_path / f"out{ending}"
        assert remux(path, as_new(voice, track), target).dropped == ()
        with av.open(str(target)) as container:
            tags = {**container.metadata, **container.streams.video[0].metadata}
        assert {key.lower(): value for key, value in tags.items()}["timecode"] == "01:00:00:00"
        path = target


def _with_second_codec(path, media, tag):
    """A MOV whose second sound track claims to be in another codec."""
    source = media("two.mov", Picture(), Sound(), Sound(layout="mono"))
    data = bytearray(source.read_bytes())
    at = [data.index(b"mp4a", start) for start in _places(data, b"stsd")][-1]
    data[at : at + 4] = tag
    esds = data.index(b"esds", at)
    data[esds : esds + 4] = b"free"
    path.write_bytes(data.replace(b"frmamp4a", b"frma" + tag))
    return path


def _places(data, mark):
    at = -1
    while (at := data.find(mark, at + 1)) >= 0:
        if data.find(b"mp4a", at) in range(at, at + 20):
            yield at


@pytest.mark.parametrize("ending", [".mov", ".mp4", ".mkv"])
def test_sound_in_an_unknown_codec_is_left_out_and_said(media, tmp_path, ending):
    source = _with_second_codec(tmp_path / "a.mov", media, b"apac")
    (unknown,) = probe(source).others
    assert (unknown.kind, unknown.codec) == ("sound", None)
    voice, track = voice_for(source)
    target = tmp_path / f"out{ending}"
    result = remux(source, as_new(voice, track), target, drop_unsupported=True)
    assert result.dropped == ("audio stream 2: its codec is unknown",)
    assert len(probe(target).audio) == 1
    assert check_remux(source, ending) == result.dropped
    with pytest.raises(ContainerError, match="audio stream 2"):
        remux(source, as_new(voice, track), tmp_path / f"b{ending}")
    assert move_sound(source, tmp_path / f"moved{ending}", Fraction(0)).dropped == result.dropped


def test_sound_without_a_decoder_is_copied(media, tmp_path):
    source = _with_second_codec(tmp_path / "a.mov", media, b"mhm1")
    (coded,) = probe(source).others
    assert (coded.kind, coded.codec) == ("sound", "mpegh_3d_audio")
    voice, track = voice_for(source)
    assert remux(source, as_new(voice, track), tmp_path / "out.mov").dropped == ()
    assert probe(tmp_path / "out.mov").others == (coded,)
    assert packets(tmp_path / "out.mov", "audio", 1) == packets(source, "audio", 1)


def test_no_video_is_written_without_its_picture(media, tmp_path):
    for source, suffix, takers in (
        (media("a.mp4", Picture(), Sound()), ".webm", ".mp4, .m4v, .mov, .mkv"),
        (media("a.webm", Picture("libvpx"), Sound("libopus")), ".mp4", ".mkv, .webm"),
    ):
        voice, track = voice_for(source)
        with pytest.raises(ContainerError, match="cannot hold its picture") as caught:
            check_remux(source, suffix)
        assert caught.value.hint == f"choose {takers}"
        assert caught.value.exit_code == 2
        with pytest.raises(ContainerError, match="cannot hold its picture"):
            remux(source, as_new(voice, track), tmp_path / f"x{suffix}", drop_unsupported=True)
        assert not list(tmp_path.glob("x.*"))


def test_a_track_to_keep_is_checked_like_the_picture(media, tmp_path):
    source = media("a.mkv", Picture(), Sound("flac"))
    assert check_remux(source, ".mov") == ()
    with pytest.raises(ContainerError, match="cannot hold its sound"):
        check_remux(source, ".mov", keep_original_audio=True)


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
