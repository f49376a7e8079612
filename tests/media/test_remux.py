"""The picture is copied as it is, and the voice lies where the old sound lay."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avse.errors import OutputError
from avse.media import FrameReader, NewTrack, StemWriter, probe, quantise, remux

from .media_files import SHARED, Picture, Sound, speechlike
from .remuxed import as_new, instant_lag, packets, read, voice_for

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
