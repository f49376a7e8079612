from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

import avse.media
from avse.errors import MediaError
from avse.media import AudioReader, FrameReader, probe
from avse.media.probe import plausible_s

from .media_files import SHARED, Picture, Sound


def test_every_public_name_is_there():
    assert all(hasattr(avse.media, name) for name in avse.media.__all__)
    assert callable(avse.media.probe)


def test_importing_loads_neither_torch_nor_a_codec():
    code = (
        "import sys, avse.media; print([m for m in ('torch', 'av', 'scipy', 'soundfile')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_says_what_a_film_holds(media):
    path = media("film.mp4", Picture(), Sound(language="deu"), Sound("ac3", layout="5.1"))
    info = probe(path)
    assert info.path == path
    assert "mp4" in info.format
    assert info.start == 0
    assert abs(info.duration - 1) < Fraction(1, 20)
    assert (info.video.codec, info.video.width, info.video.height) == ("h264", 64, 48)
    assert (info.video.rotation, info.video.average_rate) == (0, 25)
    assert not info.video.variable_frame_rate
    first, second = info.audio
    assert (first.codec, first.sample_rate, first.channels) == ("aac", 48000, 2)
    assert (first.language, first.default, first.bits_per_sample) == ("deu", True, None)
    assert first.channel_names == ("FL", "FR")
    assert (second.channels, second.language) == (6, None)
    assert not any(track.is_float for track in info.audio)


@pytest.mark.parametrize(
    "rate", [Fraction(30000, 1001), Fraction(30), Fraction(50), Fraction(60)], ids=str
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_constant_rates_are_not_variable(media, name, rate):
    video = probe(media(name, Picture(rate=rate, frames=70))).video
    assert not video.variable_frame_rate
    assert float(video.average_rate) == pytest.approx(float(rate), rel=1e-3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
def test_variable_rate(media, name):
    times = [Fraction(n, 25) + Fraction(n % 3, 100) for n in range(40)]
    video = probe(media(name, Picture(frames=40, times=times))).video
    assert video.variable_frame_rate


@pytest.mark.parametrize(
    ("degrees", "flip", "rotation", "mirrored", "size"),
    [
        (None, False, 0, False, (64, 48)),
        (-90, False, 90, False, (48, 64)),
        (180, False, 180, False, (64, 48)),
        (90, False, 270, False, (48, 64)),
        (0, True, 0, True, (64, 48)),
    ],
)
def test_rotation(media, degrees, flip, rotation, mirrored, size):
    video = probe(media("phone.mp4", Picture(rotation=degrees, hflip=flip))).video
    assert (video.rotation, video.mirrored, (video.width, video.height)) == (
        rotation,
        mirrored,
        size,
    )


def test_pixels_that_are_not_square(media):
    video = probe(media("dv.mp4", Picture(pixel_aspect=Fraction(16, 12)))).video
    assert (video.width, video.height) == (85, 48)


@pytest.mark.parametrize(
    ("name", "codec", "bits", "is_float"),
    [
        ("a.wav", "pcm_u8", 8, False),
        ("a.wav", "pcm_s16le", 16, False),
        ("a.wav", "pcm_s24le", 24, False),
        ("a.wav", "pcm_s32le", 32, False),
        ("a.wav", "pcm_f32le", 32, True),
        ("a.flac", "flac", 16, False),
        ("a.mov", "alac", 16, False),
        ("a.mp3", "libmp3lame", None, False),
        ("a.mkv", "libopus", None, False),
    ],
)
def test_depth_of_the_source(media, name, codec, bits, is_float):
    if codec in ("pcm_u8", "pcm_f32le"):
        import soundfile

        path = media("dummy.wav", None, Sound("pcm_s16le")).with_name(name)
        subtype = {"pcm_u8": "PCM_U8", "pcm_f32le": "FLOAT"}[codec]
        soundfile.write(path, np.zeros((100, 2)), 48000, subtype)
    else:
        path = media(name, None, Sound(codec))
    track = probe(path).audio[0]
    assert (track.bits_per_sample, track.is_float) == (bits, is_float)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov"])
@pytest.mark.parametrize(
    ("video", "audio"),
    [(0, Fraction(1, 2)), (Fraction(1, 2), 0), (Fraction(1, 5), Fraction(3, 10))],
)
def test_starts_agree_with_the_readers(media, name, video, audio):
    path = media(name, Picture(start=Fraction(video)), Sound("ac3", start=Fraction(audio)))
    info = probe(path)
    assert info.video.start == video
    assert abs(info.audio[0].start - audio) <= Fraction(6, 1000)  # the coder's delay of 256
    with AudioReader(path) as reader:
        assert reader.start == info.audio[0].start
    with FrameReader(path) as frames:
        assert next(frames).time == info.video.start


def test_a_clock_that_does_not_begin_at_zero_is_kept(media):
    info = probe(media("tape.mpg", Picture("mpeg2video"), Sound("mp2", rate=44100)))
    assert info.start > Fraction(1, 2)
    assert info.video.start >= info.start
    assert min(info.video.start, info.audio[0].start) == pytest.approx(info.start, abs=1e-5)


def test_no_picture_and_no_sound(media):
    assert probe(media("a.mp4", None, Sound())).video is None
    assert probe(media("b.mp4", Picture())).audio == ()


def test_cover_art_is_no_moving_picture(tmp_path):
    cover = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 99, np.uint8), "rgb24")
    for name, attached in (("a.m4a", True), ("b.mkv", False)):
        path = tmp_path / name
        with av.open(str(path), "w", format="mp4" if attached else None) as output:
            sound = output.add_stream("aac", rate=48000)
            art = output.add_stream("mjpeg", rate=25)
            art.width, art.height, art.pix_fmt = 32, 32, "yuvj420p"
            if attached:
                art.disposition = 0x400
            packets = [*art.encode(cover), *art.encode(None)]
            for at in range(0, 48000, 1000):
                frame = av.AudioFrame.from_ndarray(np.zeros((2, 1000), np.float32), "fltp")
                frame.sample_rate, frame.pts = 48000, at
                packets += sound.encode(frame)
            output.mux([*packets, *sound.encode(None)])
        info = probe(path)
        assert info.video is None, name
        assert len(info.audio) == 1


@pytest.mark.parametrize(
    "name", ["Ünï cödé 漢字 .mp4", "12:30 take 2.mp4", "-v.mp4", "%d 'q\".mp4"]
)
def test_names(media, name):
    path = media("plain.mp4", Picture(), Sound())
    path = path.rename(path.with_name(name))
    info = probe(path)
    assert info.video is not None
    with AudioReader(path) as reader:
        assert sum(block.samples.shape[1] for block in reader) > 0


def _broken(tmp_path, kind):
    path = tmp_path / f"{kind}.mp4"
    if kind == "text":
        path.write_text("This is not a film.\n" * 50)
    elif kind == "empty":
        path.touch()
    elif kind == "folder":
        path.mkdir()
    elif kind == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(5000))
    elif kind == "picture":
        path = tmp_path / "a.txt"
        path.write_text("hello\n" * 100)
    return path


@pytest.mark.parametrize("kind", ["text", "empty", "folder", "missing", "noise", "picture"])
def test_what_is_no_media_is_refused(tmp_path, kind):
    path = _broken(tmp_path, kind)
    for use in (probe, AudioReader, FrameReader):
        with pytest.raises(MediaError) as caught:
            use(path)
        assert path.name in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint


def test_names_that_no_file_can_have():
    for name in ("x" * 5000, "a\0b"):
        with pytest.raises(MediaError):
            probe(name)


def test_a_recording_without_its_index_says_so(media):
    path = media("cut.mp4", Picture(), Sound())
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(MediaError, match="cut short"):
        probe(path)


@pytest.mark.skipif(not SHARED.exists(), reason="no folder of real recordings beside the project")
def test_real_recordings():
    debate = probe(SHARED / "media" / "debate.avi")
    assert (debate.video.width, debate.video.height, debate.audio[0].codec) == (1280, 720, "ac3")
    comedy = probe(SHARED / "media" / "comedy.mp4")
    assert (comedy.video.average_rate, comedy.audio[0].sample_rate) == (25, 44100)
    for path in sorted((SHARED / "grid" / "valid" / "s26").glob("*.mpg")):
        info = probe(path)
        assert not info.video.variable_frame_rate
        assert info.audio[0].sample_rate == 44100


@pytest.mark.parametrize("start", [Fraction(0), Fraction(3, 2)])
def test_a_matroska_track_that_starts_late_is_as_long_as_it_is(media, start):
    """FFmpeg's DURATION tag is when the track ends."""
    path = media("a.mkv", Picture(frames=75), Sound("flac", start=start))
    (sound,) = probe(path).audio
    assert (sound.start, sound.duration) == (start, 1)


def test_lengths_that_no_file_of_that_size_has_are_not_believed():
    assert plausible_s(7.5e6, 302_000) == 302
    assert plausible_s(60, 302_000) == 60
