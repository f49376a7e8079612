from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from avse.errors import MediaError, NoAudioError
from avse.media import AudioReader, probe, resample
from avse.media.opening import open_input

from .media_files import SHARED, Picture, Sound, lag, speechlike


def read(path, **options):
    """The whole track and its reader, after a check that the blocks join."""
    with AudioReader(path, **options) as reader:
        blocks = list(reader)
        position = 0
        for block in blocks:
            assert block.start == position
            assert block.samples.dtype == np.float32
            assert block.samples.shape[0] == reader.channels
            position += block.samples.shape[1]
    empty = np.zeros((reader.channels, 0), np.float32)
    return np.concatenate([empty, *[b.samples for b in blocks]], axis=1), reader


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
def test_samples_are_the_stored_ones_exactly(tmp_path, subtype):
    path = tmp_path / "a.wav"
    sound = np.random.default_rng(0).uniform(-1, 1, (3001, 3))
    sound[0] = -1.0
    soundfile.write(path, sound, 44100, subtype)
    expected = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    assert np.array_equal(read(path)[0], expected)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.mp4", "aac", 48000, "stereo"),
        ("a.mp4", "aac", 44100, "5.1"),
        ("a.mp4", "aac", 8000, "mono"),
        ("a.mkv", "aac", 48000, "mono"),
        ("a.mov", "alac", 44100, "stereo"),
        ("a.mov", "pcm_s24le", 48000, "5.1"),
        ("a.mkv", "flac", 8000, "mono"),
        ("a.mkv", "libopus", 48000, "stereo"),
        ("a.webm", "libopus", 48000, "stereo"),
        ("a.mp4", "ac3", 48000, "5.1"),
        ("a.mp4", "libmp3lame", 44100, "stereo"),
        ("a.mp3", "libmp3lame", 44100, "mono"),
        ("a.avi", "pcm_s16le", 44100, "stereo"),
    ],
)
def test_formats(media, name, codec, rate, layout):
    """No lag where the container tells the encoder's delay; nothing invented or cut inside."""
    spec = Sound(codec, rate=rate, layout=layout)
    sound, reader = read(media(name, None, spec))
    original = spec.wave()
    assert (reader.sample_rate, reader.channels) == (rate, original.shape[0])
    assert 0 <= sound.shape[1] - original.shape[1] < 2400  # coders fill up their last frame
    assert lag(original[0], sound[0]) == 0
    assert (reader.filled, reader.trimmed, reader.skipped) == (0, 0, 0)


@pytest.mark.parametrize("name", ["a.mpg", "a.avi"])
def test_old_containers_begin_where_ffmpeg_says(media, name):
    codec, picture = ("mp2", "mpeg2video") if name == "a.mpg" else ("ac3", "mpeg4")
    path = media(name, Picture(picture), Sound(codec, rate=44100))
    sound, reader = read(path)
    assert sound.shape[1] >= 44100
    assert (reader.filled, reader.trimmed) == (0, 0)
    assert reader.start == probe(path).audio[0].start


@pytest.mark.parametrize("name", ["a.mkv", "a.mov"])
@pytest.mark.parametrize("start", [Fraction(1, 2), Fraction(1, 5)])
def test_sound_that_starts_late(media, name, start):
    codec = "flac" if name == "a.mkv" else "pcm_s16le"
    sound, reader = read(media(name, Picture(), Sound(codec, start=start)))
    assert reader.start == start
    assert sound.shape[1] == 48000


@pytest.mark.parametrize("seconds", [Fraction(1, 2), Fraction(2)])
def test_sound_shorter_and_longer_than_the_picture(media, seconds):
    sound, _ = read(media("a.mkv", Picture(), Sound("flac", seconds=seconds)))
    assert sound.shape[1] == seconds * 48000


def test_tracks(media):
    path = media("a.mkv", None, Sound("flac", rate=8000), Sound("flac", layout="mono"))
    assert read(path, track=1)[0].shape == (1, 48000)
    with pytest.raises(NoAudioError, match="no sound track 2"):
        AudioReader(path, track=2)
    with pytest.raises(NoAudioError):
        AudioReader(path, track=-1)
    with pytest.raises(NoAudioError, match="has no sound"):
        AudioReader(media("b.mp4", Picture()))


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_the_model_s_view_is_in_step_with_the_native_one(media, rate):
    path = media("a.mkv", None, Sound("flac", rate=rate, seconds=Fraction(5, 4)))
    native, a = read(path)
    model, b = read(path, rate_hz=16000, mono=True)
    assert a.start == b.start
    assert model.shape == (1, -(-native.shape[1] * 16000 // rate))
    mixed = native.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    assert np.abs(model - resample(mixed, rate, 16000)).max() < 1e-6


def test_the_low_frequency_channel_is_not_mixed_in(media):
    sound = np.zeros((6, 4800), np.float32)
    sound[3] = 0.5  # LFE
    sound[2] = 0.25  # centre
    path = media("a.mov", None, Sound("pcm_s16le", layout="5.1", samples=sound))
    mixed, reader = read(path, mono=True)
    assert reader.channel_names[3] == "LFE"
    assert np.allclose(mixed, 0.25 / 5, atol=1e-4)


def voices(count=3, rate=16000, seconds=3):
    """Voices that are loud at different times and pitches, (count, samples)."""
    time = np.arange(seconds * rate) / rate
    rng = np.random.default_rng(0)
    pitch = np.cumsum(
        np.repeat(rng.uniform(150, 3000, (count, seconds * 10)), rate // 10, axis=1), 1
    )
    loud = np.repeat(rng.random((count, seconds * 10)) ** 3, rate // 10, axis=1)
    return 0.2 * loud * np.sin(2 * np.pi * pitch / rate + time)


def kept(voice, mixed):
    """How much of a voice is in a mixture: 0 if nothing, whatever its sign."""
    return abs(float(voice @ mixed)) / float(voice @ voice)


@pytest.mark.parametrize("part", [1.0, 0.9])
def test_channels_in_antiphase_do_not_cancel(media, part):
    one, _, _ = voices()
    sound = np.stack([one, -part * one]).astype(np.float32)
    path = media("a.mkv", None, Sound("flac", rate=16000, samples=sound))
    mixed, _ = read(path, mono=True)
    assert kept(one, mixed[0]) > 0.9
    native, _ = read(path)
    assert np.abs(native - sound).max() < 1e-3


def test_a_voice_in_antiphase_beside_one_in_phase_is_heard(media):
    one, other, _ = voices()
    sound = np.stack([one + other, one - other]).astype(np.float32)
    mixed, _ = read(media("a.mkv", None, Sound("flac", rate=16000, samples=sound)), mono=True)
    for voice in (one, other):
        assert kept(voice[16000:], mixed[0, 16000:]) > 0.9


def test_antiphase_on_the_way_fades_in_and_out(media):
    """One clip of an edit is wired the wrong way round; the mean is back where it is good."""
    parts = voices(3)
    third = parts.shape[1] // 3
    one = np.concatenate([voice[:third] for voice in parts])
    sign = np.repeat([1, -1, 1], third)
    sound = np.stack([one, sign * one]).astype(np.float32)
    path = media("a.mkv", None, Sound("flac", rate=16000, samples=sound))
    mixed, _ = read(path, mono=True)
    for n in range(3):
        here = slice(n * third + 1000, (n + 1) * third)
        assert kept(one[here], mixed[0, here]) == pytest.approx(1, abs=0.05)
    assert np.abs(np.diff(mixed)).max() <= 1.5 * np.abs(np.diff(one)).max()
    again, _ = read(path, mono=True, block_s=0.013)
    assert np.array_equal(again, mixed)


def test_two_microphones_that_hear_one_person_each_are_averaged(media):
    one, other, _ = voices()
    sound = np.stack([one, other]).astype(np.float32)
    mixed, _ = read(media("a.mkv", None, Sound("flac", rate=16000, samples=sound)), mono=True)
    assert np.abs(mixed[0] - (one + other) / 2).max() < 1e-3


def test_the_track_that_plays_by_default_is_read(tmp_path):
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        tracks = [output.add_stream("pcm_s16le", rate=8000, layout="mono") for _ in range(3)]
        tracks[1].disposition = 1
        tracks[0].disposition = tracks[2].disposition = 0
        for n, track in enumerate(tracks):
            frame = av.AudioFrame.from_ndarray(np.full((1, 800), 4096 * n, "i2"), "s16", "mono")
            frame.sample_rate = 8000
            output.mux([*track.encode(frame), *track.encode(None)])
    assert probe(path).default_track == 1
    for track, value in ((None, 1), (0, 0), (1, 1), (2, 2)):
        assert (read(path, track=track)[0] == value / 8).all()


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, 1e30])
def test_values_that_are_no_numbers_are_counted_and_silent(tmp_path, wrong):
    path = tmp_path / "a.wav"
    sound = np.full((8000, 2), 0.25, np.float32)
    sound[100:103, 1] = wrong
    soundfile.write(path, sound, 8000, "FLOAT")
    found, reader = read(path)
    assert reader.not_numbers == 3
    assert (found[1, 100:103] == 0).all()
    assert (found[0] == 0.25).all()
    assert np.isfinite(read(path, rate_hz=16000, mono=True)[0]).all()


@pytest.mark.parametrize(("channels", "rate"), [(0, 8000), (65535, 8000), (1, 2 * 10**9)])
def test_headers_that_claim_what_cannot_be(tmp_path, channels, rate):
    form = struct.pack("<HHIIHH", 1, channels, rate, 16000, channels * 2 & 0xFFFF, 16)
    data = bytes(16000)
    chunks = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data))
    path = tmp_path / "a.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", 36 + len(data)) + chunks + data)
    assert len(probe(path).audio) == 1
    with pytest.raises(MediaError, match=r"a\.wav"):
        AudioReader(path)


COUNTS = [0, 1, 2, 997, 3999, 4000, 4001, 8000, 7919]


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("rate_hz", [None, 16000])
def test_lengths(tmp_path, count, rate_hz):
    path = tmp_path / "a.wav"
    soundfile.write(path, speechlike(1, count, 8000)[0], 8000)
    whole, _ = read(path, rate_hz=rate_hz, block_s=0.5)
    assert whole.shape[1] == count * (2 if rate_hz else 1)
    block = 4000 if rate_hz is None else 8000
    with AudioReader(path, rate_hz=rate_hz, block_s=0.5) as reader:
        sizes = [b.samples.shape[1] for b in reader]
    assert all(size == block for size in sizes[:-1])
    assert all(0 < size <= block for size in sizes[-1:])


@settings(max_examples=25, deadline=None)
@given(block_s=st.floats(1e-4, 3), rate_hz=st.sampled_from([None, 16000, 11025]))
def test_blocks_of_any_length_are_the_same_sound(tmp_path_factory, block_s, rate_hz):
    path = tmp_path_factory.mktemp("blocks") / "a.wav"
    soundfile.write(path, speechlike(2, 7919, 8000).T, 8000)
    one, _ = read(path, rate_hz=rate_hz, block_s=10)
    many, _ = read(path, rate_hz=rate_hz, block_s=block_s)
    assert one.shape == many.shape
    assert np.abs(one - many).max() <= 1e-6


def _with_gaps(path, starts, count=4800, rate=48000, container=None):
    """A file of PCM pieces of `count` samples placed at `starts` (samples)."""
    piece = np.full((1, count), 8192, np.int16)
    with av.open(str(path), "w", format=container) as output:
        stream = output.add_stream("pcm_s16le", rate=rate)
        stream.codec_context.layout = "mono"
        for at in starts:
            frame = av.AudioFrame.from_ndarray(piece, "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            output.mux(stream.encode(frame))
    return path


def test_holes_become_silence(tmp_path):
    path = _with_gaps(tmp_path / "a.mkv", [0, 4800, 48000 * 3, 48000 * 3 + 4800])
    sound, reader = read(path)
    assert reader.filled == 48000 * 3 - 9600
    assert sound.shape[1] == 48000 * 3 + 9600
    assert (sound[0, 9600 : 48000 * 3] == 0).all()
    assert (sound[0, 48000 * 3 :] == 0.25).all()


def test_overlaps_are_trimmed(tmp_path):
    sound, reader = read(_with_gaps(tmp_path / "a.mkv", [0, 4800, 7200, 12000]))
    assert (reader.trimmed, reader.filled) == (2400, 0)
    assert sound.shape[1] == 4 * 4800 - 2400


def test_rounded_times_make_no_holes(tmp_path):
    """Matroska rounds to 1 ms; 10 ms off either way is taken for jitter too."""
    rng = np.random.default_rng(0)
    starts = [n * 4800 + int(rng.integers(-400, 400)) * (n > 0) for n in range(40)]
    sound, reader = read(_with_gaps(tmp_path / "a.mkv", starts))
    assert (reader.filled, reader.trimmed) == (0, 0)
    assert sound.shape[1] == 40 * 4800


def test_a_clock_that_is_reset_goes_on(tmp_path):
    starts = [n * 4800 + 10 * 48000 for n in range(10)]
    path = _with_gaps(tmp_path / "a.mkv", starts)
    frames = [*starts[:5], *[s - 9 * 48000 for s in starts[5:]]]
    with AudioReader(path) as reader:
        reader._converted = lambda: (  # what a spliced transport stream looks like
            (Fraction(at, 48000), np.ones((1, 4800), np.float32)) for at in frames
        )
        assert sum(b.samples.shape[1] for b in reader) == 48000
        assert reader.trimmed == 0


@pytest.mark.parametrize("wrong", [-9 * 48000, -4800, 4800, 30 * 48000, 3600 * 48000])
def test_one_damaged_time_stamp_does_not_move_what_follows(tmp_path, wrong):
    starts = [n * 4800 + 10 * 48000 for n in range(30)]
    times = [at + wrong * (n == 12) for n, at in enumerate(starts)]
    with AudioReader(_with_gaps(tmp_path / "a.mkv", starts)) as reader:
        reader._converted = lambda: (
            (Fraction(at, 48000), np.full((1, 4800), n, np.float32)) for n, at in enumerate(times)
        )
        sound = np.concatenate([b.samples for b in reader], axis=1)
    assert sound.shape[1] == 30 * 4800
    assert sound[0, 20 * 4800 + 100] == 20


def test_a_change_of_channels_and_rate_on_the_way(tmp_path):
    """AC-3 streams joined end to end: 5.1 after stereo, then another rate."""
    parts = []
    for n, (rate, layout) in enumerate([(48000, "stereo"), (48000, "5.1"), (32000, "mono")]):
        path = tmp_path / f"{n}.ac3"
        with av.open(str(path), "w", format="ac3") as output:
            stream = output.add_stream("ac3", rate=rate)
            stream.codec_context.layout = layout
            wave = speechlike(av.AudioLayout(layout).nb_channels, rate, rate)
            frame = av.AudioFrame.from_ndarray(wave, "fltp", layout)
            frame.sample_rate, frame.pts = rate, 0
            output.mux([*stream.encode(frame), *stream.encode(None)])
        parts.append(path.read_bytes())
    joined = tmp_path / "joined.ac3"
    joined.write_bytes(b"".join(parts))
    sound, reader = read(joined)
    assert (reader.sample_rate, reader.channels) == (48000, 2)
    assert abs(sound.shape[1] - 3 * 48000) < 6000
    for second in range(3):
        assert np.abs(sound[:, second * 48000 + 9000 : second * 48000 + 39000]).max() > 0.05


def test_truncated_files_give_what_there_is(media):
    path = media("a.mkv", Picture(frames=75), Sound("flac", seconds=Fraction(3)))
    data = path.read_bytes()
    lengths = []
    for part in (0.3, 0.5, 0.8, 1.0):
        path.write_bytes(data[: int(len(data) * part)])
        lengths.append(read(path)[0].shape[1])
    assert lengths == sorted(lengths)
    assert 0 < lengths[0] < lengths[-1] == 3 * 48000


def test_damage_in_the_middle_becomes_silence_and_the_rest_stays_in_place(media):
    spec = Sound("aac", seconds=Fraction(4))
    path = media("a.mp4", None, spec)
    clean, _ = read(path)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + len(data) // 3
    data[start : start + 4000] = b"\xff" * 4000
    path.write_bytes(data)
    sound, reader = read(path)
    assert reader.skipped > 0
    assert abs(sound.shape[1] - clean.shape[1]) <= 2048
    tail = slice(3 * 48000, 4 * 48000)
    assert lag(clean[0, tail], sound[0, tail]) == 0
    assert np.abs(sound[:, tail] - clean[:, tail]).std() < 0.1 * clean[:, tail].std()


def test_a_track_that_is_all_damage(media):
    path = media("a.mp4", None, Sound("aac"))
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") + 4
    size = int.from_bytes(data[at - 8 : at - 4], "big") - 8
    data[at : at + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.raises(MediaError):
        AudioReader(path)


def test_long_files_are_never_whole_in_memory(tmp_path):
    """Six minutes: only one block, and less than that of leftovers, is ever held."""
    path = tmp_path / "long.wav"
    with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16") as file:
        for _ in range(6):
            file.write(np.zeros(8000 * 60))
    seen = 0
    with AudioReader(path, rate_hz=16000, mono=True, block_s=1) as reader:
        for block in reader:
            assert block.samples.shape[1] <= 16000
            assert block.samples.base is None or block.samples.base.nbytes < 10**6
            seen += block.samples.shape[1]
    assert seen == 6 * 60 * 16000


def test_arguments_are_checked_and_files_let_go(media):
    path = media("a.wav", None, Sound("pcm_s16le"))
    for wrong in ({"rate_hz": 0}, {"block_s": 0}, {"block_s": -1.0}, {"block_s": float("nan")}):
        with pytest.raises(ValueError, match="positive"):
            AudioReader(path, **wrong)
    reader = AudioReader(path)
    next(reader)
    reader.close()
    reader.close()
    assert list(reader) == []


def test_the_container_closes_when_there_is_no_such_track(media):
    path = media("a.mp4", Picture())
    with pytest.raises(NoAudioError):
        AudioReader(path)
    with open_input(path) as container:
        assert len(container.streams) == 1


@pytest.mark.skipif(not SHARED.exists(), reason="no folder of real recordings beside the project")
def test_real_recordings():
    for name in ("media/debate.avi", "media/comedy.mp4", "grid/valid/s26/bgbsza.mpg"):
        native, reader = read(SHARED / name)
        model, _ = read(SHARED / name, rate_hz=16000, mono=True)
        assert model.shape[1] == -(-native.shape[1] * 16000 // reader.sample_rate)
        assert (reader.filled, reader.trimmed, reader.skipped) == (0, 0, 0)
