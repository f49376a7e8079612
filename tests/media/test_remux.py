from __future__ import annotations

import hashlib
from fractions import Fraction

import av
import numpy as np
import pytest

from avse.errors import MediaError, OutputError, OutputExistsError
from avse.media import (
    AudioReader,
    FrameReader,
    NewTrack,
    StemWriter,
    copying,
    probe,
    quantise,
    remux,
)

from .media_files import SHARED, Picture, Sound, lag, speechlike, write_media

CHAPTERS = [
    {"id": n, "start": n * 500, "end": n * 500 + 500, "time_base": Fraction(1, 1000)}
    | {"metadata": {"title": f"part {n}"}}
    for n in range(2)
]


def packets(path, kind="video", number=0):
    """Time and digest of every packet of a stream."""
    with av.open(str(path)) as container:
        stream = [s for s in container.streams if s.type == kind][number]
        return [
            (packet.pts * stream.time_base, hashlib.md5(bytes(packet)).hexdigest())
            for packet in container.demux(stream)
            if packet.size
        ]


def read(path, track=0):
    with AudioReader(path, track=track) as reader:
        blocks = [b.samples for b in reader]
    return np.concatenate(blocks, axis=1), reader


def voice_for(path, seed=5, level=1.0):
    """A voice of the length of a file's first track, and that track."""
    track = probe(path).audio[0]
    sound, _ = read(path)
    return level * speechlike(track.channels, sound.shape[1], track.sample_rate, seed), track


def as_new(voice, track, cut=777, **more):
    return NewTrack([voice[:, :cut], voice[:, cut:]], track.sample_rate, track.channels, **more)


def instant_lag(voice, start, path, track=0):
    """Samples by which the voice comes late in a file, by the file's own clock."""
    sound, reader = read(path, track)
    assert (reader.filled, reader.trimmed, reader.skipped) == (0, 0, 0)
    return lag(voice[0], sound[0]) + round((reader.start - start) * reader.sample_rate)


SOURCES = {
    "plain.mp4": (Picture(), Sound()),
    "b-frames.mp4": (Picture(options={"bf": "2", "preset": "fast"}), Sound()),
    "ntsc.mov": (Picture(rate=Fraction(30000, 1001)), Sound("pcm_s24le", layout="5.1")),
    "uneven.mp4": (
        Picture(times=[Fraction(n, 25) + Fraction(n % 3, 100) for n in range(25)]),
        Sound("libmp3lame", rate=44100),
    ),
    "late sound.mkv": (Picture(options={"bf": "2"}), Sound("flac", start=Fraction(1, 2))),
    "late sound.mp4": (Picture(), Sound("aac", start=Fraction(1, 2))),
    "late picture.mp4": (Picture(start=Fraction(1, 2)), Sound("aac", rate=44100)),
    "old.avi": (Picture("mpeg4"), Sound("ac3", rate=44100)),
    "tape.mpg": (Picture("mpeg2video"), Sound("mp2", rate=44100)),
    "cast.ts": (Picture(), Sound("aac", rate=44100)),
    "phone.mp4": (Picture(rotation=-90), Sound(layout="mono")),
    "low.mkv": (Picture(rate=Fraction(60)), Sound("flac", rate=8000, layout="mono")),
}


@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
@pytest.mark.parametrize("name", SOURCES)
def test_picture_untouched_and_voice_in_place(media, name, ending):
    source = media(name, *SOURCES[name])
    voice, track = voice_for(source)
    target = source.with_name(f"out{ending}")
    result = remux(source, as_new(voice, track), target)
    assert result.path == target
    assert result.samples == (voice.shape[1],)
    assert (result.clipped, result.dropped, result.skipped) == (0, (), 0)
    before, after = packets(source), packets(target)
    if name == "cast.ts":  # start codes become lengths: the same picture, in other wrapping
        images = [[frame.image for frame in FrameReader(path)] for path in (source, target)]
        assert np.array_equal(*images)
    else:
        assert [digest for _, digest in before] == [digest for _, digest in after]
    tick = Fraction(1, 1000) if ending == ".mkv" else Fraction(1, 90000)
    assert max(abs(a - b) for (a, _), (b, _) in zip(before, after, strict=True)) <= tick
    exact = ending != ".mkv" or track.start % Fraction(1, 1000) == 0
    late = instant_lag(voice, track.start, target)
    assert late == 0 if exact else abs(late) <= track.sample_rate // 2000 + 1
    old, new = probe(source), probe(target)
    assert abs(old.video.start - new.video.start) <= tick
    assert (new.video.rotation, new.video.width) == (old.video.rotation, old.video.width)
    assert len(new.audio) == 1
    assert new.audio[0].default
    assert {p.name for p in source.parent.iterdir()} == {source.name, target.name}


@pytest.mark.parametrize("ending", [".mkv", ".mov"])
def test_lossless_containers_hold_the_voice_exactly(media, ending):
    source = media("a.mov", Picture(), Sound("pcm_s24le"))
    voice, track = voice_for(source)
    target = source.with_name(f"out{ending}")
    result = remux(source, as_new(voice, track), target)
    assert result.codecs == ({".mkv": "flac", ".mov": "pcm"}[ending],)
    assert np.array_equal(read(target)[0], quantise(voice, 24))


@pytest.mark.parametrize(
    ("codec", "ending"),
    [
        ("aac", ".mkv"),
        ("opus", ".mkv"),
        ("alac", ".mkv"),
        ("pcm", ".mkv"),
        ("flac", ".mp4"),
        ("alac", ".mp4"),
        ("alac", ".mov"),
        ("opus", ".mp4"),
    ],
)
@pytest.mark.parametrize("rate", [44100, 48000])
def test_codecs(media, codec, ending, rate):
    source = media("a.mkv", Picture(), Sound("flac", rate=rate))
    voice, track = voice_for(source)
    target = source.with_name(f"out{ending}")
    assert remux(source, as_new(voice, track), target, codec=codec).codecs == (codec,)
    sound, reader = read(target)
    if codec in ("alac", "pcm", "flac"):
        assert np.array_equal(sound, quantise(voice, 16))
    if reader.sample_rate == rate:
        assert instant_lag(voice, track.start, target) == 0
    else:
        assert (codec, reader.sample_rate) == ("opus", 48000)
        assert abs(sound.shape[1] - voice.shape[1] * 48000 / 44100) < 1000


def test_webm(media):
    source = media("a.webm", Picture("libvpx"), Sound("libopus"))
    voice, track = voice_for(source)
    target = source.with_name("out.webm")
    assert remux(source, as_new(voice, track), target).codecs == ("opus",)
    assert instant_lag(voice, track.start, target) == 0
    with pytest.raises(OutputError, match="vp8") as caught:
        remux(source, as_new(voice, track), source.with_name("out.mp4"))
    assert ".mkv" in caught.value.hint
    with pytest.raises(OutputError, match="aac"):
        remux(source, as_new(voice, track), source.with_name("out2.webm"), codec="aac")


def test_from_a_file(media):
    source = media("a.mp4", Picture(), Sound())
    voice, track = voice_for(source)
    stem = source.with_name("stem.wav")
    with StemWriter(stem, sample_rate=48000, channels=2, source=track) as writer:
        writer.write(voice)
    remux(source, NewTrack(stem), source.with_name("out.mkv"))
    assert instant_lag(voice, track.start, source.with_name("out.mkv")) == 0


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


def test_a_silent_film_gets_a_voice(media):
    source = media("a.mp4", Picture())
    voice = speechlike(1, 16000, 16000)
    remux(source, NewTrack([voice], 16000, 1), source.with_name("out.mp4"))
    assert instant_lag(voice, 0, source.with_name("out.mp4")) == 0


@pytest.mark.parametrize("count", [0, 1, 1023, 1024, 1025, 4001])
@pytest.mark.parametrize("ending", [".mp4", ".mkv", ".mov"])
def test_lengths(media, count, ending):
    source = media("a.mov", Picture(), Sound("pcm_s16le"))
    voice = speechlike(2, count, 48000)
    target = source.with_name(f"out{ending}")
    assert remux(source, NewTrack([voice], 48000, 2), target).samples == (count,)
    if count:
        sound, _ = read(target)
        assert 0 <= sound.shape[1] - count < (1 if ending != ".mp4" else 1024)
    assert len(packets(target)) == 25


def test_too_loud_is_counted(media):
    source = media("a.mkv", Picture(), Sound("flac"))
    voice, track = voice_for(source, level=3)
    result = remux(source, as_new(voice, track), source.with_name("out.mkv"))
    assert result.clipped == int((np.abs(voice) > 1).sum()) > 0


def test_long_voices_are_taken_as_the_picture_goes(media, monkeypatch):
    """Blocks are asked for as the copy gets there, not all at once."""
    source = media("a.mkv", Picture(frames=250), Sound("flac", seconds=Fraction(10)))
    taken = []

    def blocks():
        for n in range(100):
            taken.append(n)
            yield np.zeros((2, 4800), np.float32)

    reached = []

    original = copying.Copier.copies

    def copies(self, packet):
        reached.append((packet.pts * packet.time_base, len(taken)))
        return original(self, packet)

    monkeypatch.setattr(copying.Copier, "copies", copies)
    remux(source, NewTrack(blocks(), 48000, 2), source.with_name("out.mkv"))
    assert all(count <= time * 10 + 5 for time, count in reached)
    assert len(taken) == 100


def test_a_damaged_source_is_still_copied(media):
    source = media("a.mkv", Picture(frames=100, options={"g": "10"}), Sound("flac"))
    data = source.read_bytes()
    source.write_bytes(data[: len(data) * 2 // 3])
    voice, track = voice_for(source)
    remux(source, as_new(voice, track), source.with_name("out.mp4"))
    assert 0 < len(packets(source.with_name("out.mp4"))) < 100


def test_a_failing_voice_leaves_nothing(media):
    source = media("a.mp4", Picture(), Sound())

    def blocks():
        yield np.zeros((2, 30000), np.float32)
        raise KeyboardInterrupt

    for ending in (".mp4", ".mkv"):
        with pytest.raises(KeyboardInterrupt):
            remux(source, NewTrack(blocks(), 48000, 2), source.with_name(f"out{ending}"))
        assert [p.name for p in source.parent.iterdir()] == ["a.mp4"]


def test_refusals(media, tmp_path):
    source = media("a.mp4", Picture(), Sound())
    track = NewTrack([np.zeros((2, 10), np.float32)], 48000, 2)
    for name in ("out.avi", "out.mpg", "out", "out.wav"):
        with pytest.raises(OutputError) as caught:
            remux(source, track, tmp_path / name)
        assert ".mkv" in caught.value.hint
    with pytest.raises(OutputError, match="does not exist"):
        remux(source, track, tmp_path / "no" / "out.mp4")
    with pytest.raises(OutputExistsError):
        remux(source, track, source)
    with pytest.raises(OutputError, match="source itself"):
        remux(source, track, source, overwrite=True)
    with pytest.raises(OutputError, match="do not take"):
        remux(source, track, tmp_path / "out.mp4", codec="pcm")
    with pytest.raises(MediaError):
        remux(tmp_path / "missing.mp4", track, tmp_path / "out.mp4")
    with pytest.raises(MediaError):
        remux(source, NewTrack(tmp_path / "missing.wav"), tmp_path / "out.mp4")
    with pytest.raises(ValueError, match="at least one"):
        remux(source, [], tmp_path / "out.mp4")
    with pytest.raises(ValueError, match="sample_rate"):
        remux(source, NewTrack([]), tmp_path / "out.mp4")
    with pytest.raises(ValueError, match="expected"):
        remux(source, NewTrack([np.zeros((1, 5), np.float32)], 48000, 2), tmp_path / "out.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_names(media):
    source = media("a.mp4", Picture(), Sound())
    voice, track = voice_for(source)
    for name in ("Ünï cödé 漢字.mp4", "12:30 take.mkv", "%03d.mov"):
        remux(source, as_new(voice, track), source.with_name(name))
        assert instant_lag(voice, track.start, source.with_name(name)) == 0


@pytest.mark.skipif(not SHARED.exists(), reason="no folder of real recordings beside the project")
@pytest.mark.parametrize("name", ["media/comedy.mp4", "grid/valid/s26/bgbsza.mpg"])
@pytest.mark.parametrize("ending", [".mp4", ".mkv"])
def test_real_recordings(tmp_path, name, ending):
    source = SHARED / name
    voice, track = voice_for(source)
    target = tmp_path / f"out{ending}"
    remux(source, as_new(voice, track), target)
    assert packets(source) == packets(target)
    assert instant_lag(voice, track.start, target) == 0
