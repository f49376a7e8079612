from __future__ import annotations

import errno
import os
from fractions import Fraction

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from avse.errors import ContainerError, OutputError, OutputExistsError
from avse.media import (
    AudioReader,
    AudioStream,
    StemWriter,
    check_stem,
    probe,
    quantise,
    sound_writers,
)
from avse.media import wav as wav_module
from avse.media.resample import resample
from avse.media.stems import stored_rate

from .media_files import lag, speechlike

NAMES = {1: ("FC",), 2: ("FL", "FR"), 6: ("FL", "FR", "FC", "LFE", "SL", "SR")}


def track(bits, channels=2, is_float=False):
    return AudioStream(
        index=0,
        codec="x",
        sample_rate=48000,
        channels=channels,
        layout={1: "mono", 2: "stereo", 6: "5.1(side)"}[channels],
        channel_names=NAMES[channels],
        sample_format="x",
        bits_per_sample=bits,
        is_float=is_float,
        start=Fraction(0),
        duration=None,
        language=None,
        default=True,
    )


def noise(count, channels=2, level=1.0, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-level, level, (channels, count)).astype(np.float32)


def read(path):
    with AudioReader(path) as reader:
        blocks = [b.samples for b in reader]
    return np.concatenate([np.zeros((reader.channels, 0), np.float32), *blocks], axis=1)


@pytest.mark.parametrize(
    ("ending", "bits", "is_float", "subtype"),
    [
        (".wav", 8, False, "PCM_16"),
        (".wav", 16, False, "PCM_16"),
        (".wav", 24, False, "PCM_24"),
        (".wav", 32, False, "PCM_32"),
        (".wav", 32, True, "FLOAT"),
        (".wav", None, False, "FLOAT"),
        (".flac", 8, False, "PCM_16"),
        (".flac", 16, False, "PCM_16"),
        (".flac", 24, False, "PCM_24"),
        (".flac", 32, False, "PCM_24"),
        (".flac", None, False, "PCM_24"),
    ],
)
@pytest.mark.parametrize("clip", ["rescale", "clamp", "none"])
def test_depth_follows_the_source_and_samples_are_exact(
    tmp_path, ending, bits, is_float, subtype, clip
):
    path = tmp_path / f"a{ending}"
    sound = noise(5003)
    with StemWriter(
        path, sample_rate=44100, channels=2, source=track(bits, is_float=is_float), clip=clip
    ) as writer:
        for piece in np.split(sound, [1, 1000, 1000, 4000], axis=1):
            writer.write(piece)
    assert soundfile.info(path).subtype == subtype
    assert soundfile.info(path).samplerate == 44100
    expected = sound if writer.is_float else quantise(sound, writer.bits)
    stored = soundfile.read(path, dtype="float32", always_2d=True)[0].T
    assert np.array_equal(stored, expected)
    assert np.array_equal(read(path), expected)
    assert (writer.gain_applied, writer.clipped, writer.frames) == (1.0, 0, 5003)
    assert writer.peak == np.abs(sound).max()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("ending", "bits", "subtype"),
    [
        (".wav", 16, "PCM_16"),
        (".wav", 24, "PCM_24"),
        (".wav", 32, "FLOAT"),
        (".flac", 16, "PCM_16"),
        (".flac", 24, "PCM_24"),
    ],
)
@pytest.mark.parametrize("source", [16, 24, None])
def test_a_chosen_depth_wins_over_that_of_the_source(tmp_path, ending, bits, subtype, source):
    path = tmp_path / f"a{ending}"
    sound = noise(5003)
    with StemWriter(path, sample_rate=44100, channels=2, source=track(source), bits=bits) as writer:
        writer.write(sound)
    assert soundfile.info(path).subtype == subtype
    assert np.array_equal(read(path), sound if bits == 32 else quantise(sound, bits))


@pytest.mark.parametrize(
    ("name", "bits", "match"),
    [("a.flac", 32, "at most 24"), ("a.mp3", 16, "lossy"), ("a.opus", 32, "lossy")],
)
def test_depths_that_files_do_not_have(tmp_path, name, bits, match):
    with pytest.raises(ContainerError, match=match) as caught:
        check_stem(tmp_path / name, 48000, 2, None, bits)
    assert "wav" in caught.value.hint


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("ending", [".mp3", ".m4a", ".opus"])
def test_lossy_files_are_in_time_and_of_the_right_length(tmp_path, ending, rate):
    path = tmp_path / f"a{ending}"
    count = rate + 997
    sound = speechlike(2, count, rate)
    with StemWriter(path, sample_rate=rate, channels=2, source=track(16)) as writer:
        for piece in np.split(sound, [1, 1000, 1000, 4000], axis=1):
            writer.write(piece)
    assert writer.frames == count
    stored = read(path)
    info = probe(path)
    rate_now = info.audio[0].sample_rate
    assert rate_now == stored_rate(ending, rate)
    expected = resample(sound, rate, rate_now)
    assert lag(expected[0], stored[0]) == 0
    length = expected.shape[1]
    # FFmpeg plays the last packet of an .m4a to its end, and up to 46 samples more of some .mp3;
    # half the rate, from which Opus is played at 48,000 Hz, may round the length up.
    longest = {".m4a": 1023, ".mp3": 46, ".opus": 1}[ending]
    assert 0 <= stored.shape[1] - length <= longest
    if ending == ".m4a":
        assert info.audio[0].duration * rate_now == length
    error = stored[:, :length] - expected
    assert np.sqrt(np.mean(error**2) / np.mean(expected**2)) < 0.3


def test_lossy_files_have_full_scale_as_their_limit(tmp_path):
    sound = 3 * speechlike(1, 48000, 48000)
    peak = float(np.abs(sound).max())
    assert peak > 1.2
    for clip, top, gain in (("rescale", 1.0, 1 / peak), ("clamp", 1.0, 1.0)):
        path = tmp_path / f"{clip}.opus"
        with StemWriter(path, sample_rate=48000, channels=1, clip=clip) as writer:
            writer.write(sound)
        assert writer.gain_applied == pytest.approx(gain)
        assert (writer.clipped > 0) == (clip == "clamp")
        assert np.abs(read(path)).max() < top + 0.15  # coding overshoots a little


@settings(max_examples=40, deadline=None)
@given(bits=st.sampled_from([8, 16, 24, 32]), seed=st.integers(0, 1000))
def test_quantise_is_idempotent_and_within_half_a_step(bits, seed):
    sound = noise(100, level=1.2, seed=seed)
    stepped = quantise(sound, bits)
    assert np.array_equal(quantise(stepped, bits), stepped)
    inside = np.abs(sound) < 1 - 2.0 ** (1 - bits)
    assert np.abs(stepped - sound)[inside].max() <= 2.0**-bits
    assert stepped.min() >= -1
    assert stepped.max() < 1


@pytest.mark.parametrize("bits", [0, 12, 64])
def test_quantise_knows_the_depths_of_files(bits):
    with pytest.raises(ValueError, match="bits"):
        quantise(noise(1), bits)


@pytest.mark.parametrize("ending", [".wav", ".flac"])
@pytest.mark.parametrize("count", [0, 1, 2, 997, 65535, 65536, 65537])
def test_lengths(tmp_path, ending, count):
    path = tmp_path / f"a{ending}"
    with StemWriter(path, sample_rate=8000, channels=1, source=track(16, 1)) as writer:
        writer.write(noise(count, 1))
    assert read(path).shape == (1, count)


@pytest.mark.parametrize("ending", [".wav", ".flac"])
def test_too_loud_for_integers_is_made_softer_as_a_whole(tmp_path, ending):
    path = tmp_path / f"a{ending}"
    sound = noise(100_000, level=0.5)
    sound[0, 77_777] = -2.0
    with StemWriter(path, sample_rate=8000, channels=2, source=track(16)) as writer:
        for piece in np.array_split(sound, 7, axis=1):
            writer.write(piece)
    assert (writer.peak, writer.gain_applied, writer.clipped) == (2.0, 0.5, 0)
    assert np.array_equal(read(path), quantise(sound * np.float32(0.5), 16))


@pytest.mark.parametrize("clip", ["clamp", "none"])
def test_clamping(tmp_path, clip):
    path = tmp_path / "a.wav"
    sound = noise(1000, level=1.5)
    with StemWriter(path, sample_rate=8000, channels=2, source=track(16), clip=clip) as writer:
        writer.write(sound)
    assert np.array_equal(read(path), quantise(sound, 16))
    assert writer.gain_applied == 1.0
    assert writer.clipped == (int((np.abs(sound) > 1).sum()) if clip == "clamp" else 0)


def test_full_scale_itself_is_not_too_loud(tmp_path):
    path = tmp_path / "a.wav"
    with StemWriter(path, sample_rate=8000, channels=1, source=track(16, 1)) as writer:
        writer.write(np.array([[1.0, -1.0, 0.5]], np.float32))
    assert writer.gain_applied == 1.0
    assert read(path).tolist() == [[1 - 2**-15, -1.0, 0.5]]


def test_floating_point_keeps_what_is_too_loud(tmp_path):
    path = tmp_path / "a.wav"
    sound = noise(1000, level=3)
    with StemWriter(path, sample_rate=8000, channels=2, source=track(None)) as writer:
        writer.write(sound)
    assert np.array_equal(read(path), sound)
    assert writer.gain_applied == 1.0


@pytest.mark.parametrize(
    ("channels", "bits", "mask"), [(6, None, 0x60F), (6, 16, 0x60F), (2, 24, 3)]
)
def test_speakers_are_named(tmp_path, channels, bits, mask):
    path = tmp_path / "a.wav"
    with StemWriter(
        path, sample_rate=48000, channels=channels, source=track(bits, channels)
    ) as writer:
        writer.write(noise(10, channels))
    header = path.read_bytes()[:120]
    at = header.index(b"fmt ") + 8
    assert int.from_bytes(header[at + 20 : at + 24], "little") == mask


def test_without_a_source_it_is_floating_point(tmp_path):
    with StemWriter(tmp_path / "a.wav", sample_rate=48000, channels=9) as writer:
        writer.write(noise(10, 9))
    assert read(tmp_path / "a.wav").shape == (9, 10)


def test_files_that_outgrow_riff_become_rf64(tmp_path, monkeypatch):
    monkeypatch.setattr(wav_module, "_RIFF_LIMIT", 5000)
    for count in (500, 5000):
        path = tmp_path / f"{count}.wav"
        sound = noise(count, 1)
        with StemWriter(path, sample_rate=8000, channels=1, source=track(16, 1)) as writer:
            writer.write(sound)
        assert path.read_bytes()[:4] == (b"RIFF" if count == 500 else b"RF64")
        assert soundfile.info(path).frames == count
        assert np.array_equal(read(path), quantise(sound, 16))


def test_sizes_beyond_four_gigabytes_are_written_with_64_bits(tmp_path):
    path = tmp_path / "a.wav"
    with path.open("w+b") as handle:
        file = wav_module.WavFile(handle, 48000, 2, 16, is_float=False, mask=3)
        file._size = 5 * 2**30
        header = file._header()
    assert header[:4] == b"RF64"
    assert int.from_bytes(header[28:36], "little") == 5 * 2**30
    assert header[-4:] == b"\xff" * 4


def _interrupted(writer):
    with writer:
        writer.write(noise(1000))
        assert not writer.path.exists()
        raise KeyboardInterrupt


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3", ".m4a", ".opus"])
@pytest.mark.parametrize("bits", [16, None])
def test_nothing_is_there_before_the_end_or_after_a_failure(tmp_path, ending, bits):
    path = tmp_path / f"a{ending}"
    writer = StemWriter(path, sample_rate=8000, channels=2, source=track(bits))
    with pytest.raises(KeyboardInterrupt):
        _interrupted(writer)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="closed"):
        writer.write(noise(1))
    writer.close()
    assert list(tmp_path.iterdir()) == []


def _fill(writer):
    with writer:
        for _ in range(50):
            writer.write(noise(10_000))


@pytest.mark.parametrize("ending", [".wav", ".flac", ".mp3", ".m4a", ".opus"])
@pytest.mark.parametrize("clip", ["rescale", "clamp"])
def test_a_full_disk(tmp_path, monkeypatch, ending, clip):
    class Full:
        def __init__(self, handle):
            self._handle = handle

        def __getattr__(self, name):
            return getattr(self._handle, name)

        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    writer = StemWriter(
        tmp_path / f"a{ending}", sample_rate=8000, channels=2, source=track(16), clip=clip
    )
    if writer._raw is not None:
        writer._raw = Full(writer._raw)
    elif isinstance(writer._writer, sound_writers.WavWriter):
        writer._writer._wav._handle = Full(writer._writer._handle)
    else:
        writer._writer._guard._handle = Full(writer._writer._handle)
    with pytest.raises(OutputError, match="full") as caught:
        _fill(writer)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be_written(tmp_path):
    options = {"sample_rate": 8000, "channels": 1}
    with pytest.raises(OutputError, match="does not exist"):
        StemWriter(tmp_path / "no" / "a.wav", **options)
    (tmp_path / "b.wav").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        StemWriter(tmp_path / "b.wav", **options)
    with pytest.raises(OutputError, match="too long"):
        StemWriter(tmp_path / f"{'x' * 300}.wav", **options)
    (tmp_path / "c.wav").write_bytes(b"mine")
    with pytest.raises(OutputExistsError):
        StemWriter(tmp_path / "c.wav", **options)
    assert (tmp_path / "c.wav").read_bytes() == b"mine"
    with StemWriter(tmp_path / "c.wav", overwrite=True, **options) as writer:
        writer.write(noise(3, 1))
    assert read(tmp_path / "c.wav").shape == (1, 3)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to the superuser")
def test_a_read_only_folder(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OutputError, match="permission"):
            StemWriter(tmp_path / "a.wav", sample_rate=8000, channels=1)
    finally:
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("name", "rate", "channels", "match"),
    [
        ("a.flac", 8000, 9, "8 channels"),
        ("a.flac", 700_000, 1, "655350 Hz"),
        ("a.ogg", 8000, 1, "wav"),
        ("a", 8000, 1, "wav"),
        ("a.wav", 8000, 70_000, "channels"),
        ("a.mp3", 8000, 3, "MP3 does not take 3 channels"),
        ("a.opus", 8000, 12, "Opus does not take 12 channels"),
    ],
)
def test_what_the_formats_cannot_hold(tmp_path, name, rate, channels, match):
    with pytest.raises(OutputError, match=match) as caught:
        StemWriter(tmp_path / name, sample_rate=rate, channels=channels)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_arguments_are_checked(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        StemWriter(tmp_path / "a.wav", sample_rate=0, channels=1)
    with pytest.raises(ValueError, match="clip"):
        StemWriter(tmp_path / "a.wav", sample_rate=1, channels=1, clip="loud")
    with StemWriter(tmp_path / "a.wav", sample_rate=8000, channels=2) as writer:
        for wrong in (np.zeros(5, np.float32), np.zeros((1, 5), np.float32)):
            with pytest.raises(ValueError, match="expected"):
                writer.write(wrong)
        with pytest.raises(OutputError, match="not numbers"):
            writer.write(np.full((2, 2), np.nan, np.float32))


@pytest.mark.parametrize("name", ["Ünï cödé 漢字.wav", "12:30.flac", "-v.wav", "%d.flac"])
def test_names(tmp_path, name):
    with StemWriter(tmp_path / name, sample_rate=8000, channels=1) as writer:
        writer.write(noise(10, 1))
    assert read(tmp_path / name).shape == (1, 10)
