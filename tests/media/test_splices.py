from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from avse.media import AudioReader, FrameReader, NewTrack, probe, read_frames, remux
from avse.media.splices import Splices, _GoingOn, find_splices, splices_of

from .media_files import Picture

RATE = 8000
HOUR = 3600


def jumping(path, sounds, pictures):
    """A file of (start, seconds) pieces of sound and of picture; sound n is loud by n + 1 steps."""
    with av.open(str(path), "w") as output:
        packets = []
        if pictures:
            stream = output.add_stream("mpeg4" if path.suffix != ".ts" else "mpeg2video", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 25)
            for start, seconds in pictures:
                for n in range(round(seconds * 25)):
                    image = np.full((48, 64, 3), 8 * n % 256, np.uint8)
                    frame = av.VideoFrame.from_ndarray(image, "rgb24")
                    frame.pts, frame.time_base = round(start * 25) + n, Fraction(1, 25)
                    packets += stream.encode(frame)
            packets += stream.encode(None)
        codec = {".mkv": "pcm_s16le", ".mov": "pcm_s16le", ".mp4": "aac", ".ts": "mp2"}
        rate = 48000 if path.suffix == ".ts" else RATE
        track = output.add_stream(codec[path.suffix], rate=rate, layout="mono")
        track.codec_context.time_base = Fraction(1, rate)
        size = track.codec_context.frame_size or rate // 20
        for loud, (start, seconds) in enumerate(sounds, 1):
            for n in range(round(seconds * rate) // size):
                form = "fltp" if track.codec_context.format.name == "fltp" else "s16"
                kind = np.float32 if form == "fltp" else np.int16
                level = loud / 8 if form == "fltp" else loud * 4096
                tone = level * np.sin(2 * np.pi * 400 * np.arange(size) / rate)
                frame = av.AudioFrame.from_ndarray(tone.astype(kind)[None], form, "mono")
                frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
                frame.pts = round(start * rate) + n * size
                packets += track.encode(frame)
        packets += track.encode(None)
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        for packet in packets:
            output.mux(packet)
    return path


def heard(path, **options):
    with AudioReader(path, **options) as reader:
        blocks = [block.samples for block in reader]
    return np.concatenate(blocks, axis=1), reader


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".ts"])
def test_where_everything_jumps_the_parts_are_joined(tmp_path, suffix):
    """Time, and so memory, follow what was recorded: 4 s, not an hour."""
    parts = [(0, 2), (HOUR, 2)]
    path = jumping(tmp_path / f"a{suffix}", parts, parts)
    sound, reader = heard(path)
    assert sound.shape[1] / reader.sample_rate == pytest.approx(4, abs=0.2)
    assert reader.filled < 0.2 * reader.sample_rate
    times = [frame.time for frame in read_frames(path)]
    assert len(times) == 100
    assert max(b - a for a, b in pairwise(times)) < Fraction(1, 5)
    # In step: the second sound, twice as loud, begins with the second picture.
    second = reader.sample_rate * (times[50] - reader.start)
    edge, near = int(second), reader.sample_rate // 10
    before, after = sound[0, edge - 2 * near : edge - near], sound[0, edge + near : edge + 3 * near]
    assert after.std() == pytest.approx(2 * before.std(), rel=0.1)
    splices = find_splices(path)
    info = splices.apply(probe(path))
    assert float(info.duration) == pytest.approx(4, abs=0.3)
    assert float(splices.end - info.start) == pytest.approx(4, abs=0.3)
    assert "the clock of the recording jumps by 3,598 s at 2.0 s" in splices.describe(info.start)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_stream_that_jumps_alone_goes_on_where_it_stopped(tmp_path, suffix):
    path = jumping(tmp_path / f"a{suffix}", [(0, 2), (2 + HOUR, 2)], [(0, 4)])
    sound, _ = heard(path)
    assert sound.shape[1] == pytest.approx(4 * RATE, abs=RATE // 4)
    assert len(list(read_frames(path))) == 100
    path = jumping(tmp_path / f"b{suffix}", [(0, 4)], [(0, 2), (2 + 2 * HOUR, 2)])
    times = [frame.time for frame in read_frames(path)]
    assert float(times[-1] - times[0]) == pytest.approx(4, abs=0.2)
    assert heard(path)[0].shape[1] == pytest.approx(4 * RATE, abs=RATE // 4)


def test_a_hole_in_the_sound_while_the_picture_goes_on_is_silence(tmp_path):
    path = jumping(tmp_path / "a.mkv", [(0, 2), (50, 2)], [(0, 52)])
    assert find_splices(path).all == ()
    sound, reader = heard(path)
    assert sound.shape[1] == 52 * RATE
    assert reader.filled == 48 * RATE


def test_a_short_hole_in_everything_is_kept(tmp_path):
    parts = [(0, 2), (20, 2)]
    path = jumping(tmp_path / "a.mkv", parts, parts)
    assert heard(path)[0].shape[1] == 22 * RATE
    assert [f.time for f in read_frames(path)][50] == 20


def test_short_holes_without_end_are_not_kept(tmp_path):
    """A small file made of holes: 4 s of sound in 20 minutes."""
    path = jumping(tmp_path / "a.mkv", [(29 * n, 0.1) for n in range(41)], [])
    assert len(find_splices(path).all) == 40
    assert heard(path)[0].shape[1] == pytest.approx(4.1 * RATE, rel=0.01)


def test_a_time_lapse_keeps_its_times(media):
    times = [Fraction(25 * n) for n in range(40)]
    path = media("a.mkv", Picture(frames=40, times=times, options={"bf": "0"}))
    assert [frame.time for frame in read_frames(path)] == times


def test_a_place_after_a_splice_is_found(tmp_path):
    parts = [(0, 2), (HOUR, 2), (2 * HOUR, 2)]
    path = jumping(tmp_path / "a.mkv", parts, parts)
    everything = [(frame.time, frame.image[0, 0, 0]) for frame in read_frames(path)]
    for start in (Fraction(1), Fraction(5, 2), Fraction(5)):
        with FrameReader(path, start=start) as reader:
            found = [(frame.time, frame.image[0, 0, 0]) for frame in reader]
        assert found == [one for one in everything if one[0] >= start]


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_a_copy_is_joined_too(tmp_path, suffix):
    parts = [(0, 2), (HOUR, 2)]
    path = jumping(tmp_path / "a.mkv", parts, parts)
    sound, reader = heard(path)
    copy = tmp_path / f"copy{suffix}"
    remux(path, NewTrack([sound], reader.sample_rate, 1), copy)
    assert find_splices(copy).all == ()
    assert float(probe(copy).duration) == pytest.approx(4, abs=0.1)
    theirs, ours = ([f.time for f in read_frames(p)] for p in (path, copy))
    assert [float(t) for t in ours] == pytest.approx([float(t) for t in theirs], abs=0.002)
    assert np.array_equal(heard(copy)[0], sound)


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
def test_a_clock_that_is_set_back_goes_on_in_a_copy(tmp_path, suffix):
    part = jumping(tmp_path / "part.ts", [(0, 2)], [(0, 2)])
    path = tmp_path / "a.ts"
    path.write_bytes(2 * part.read_bytes())  # two parts joined end to end
    sound, reader = heard(path)
    copy = tmp_path / f"copy{suffix}"
    remux(path, NewTrack([sound], reader.sample_rate, 1), copy)
    theirs, ours = ([float(f.time) for f in read_frames(p)] for p in (path, copy))
    assert len(ours) == 100
    assert ours == pytest.approx(theirs, abs=0.09)
    assert ours[-1] - ours[0] == pytest.approx(4, abs=0.2)


def test_one_damaged_time_stamp_moves_no_more_than_its_packet():
    stream = _GoingOn()
    stamps = [100, 104, 108, 10, 116, 120, 124]
    moved = [at + stream.later(at, 4, 20) for at in stamps]
    assert moved == [100, 104, 108, 112, 116, 120, 124]


def test_times_go_there_and_back():
    splices = splices_of([[(0.0, 2.0), (100.0, 103.0), (500.0, 501.0)], [(0.0, 2.5)]])
    assert [float(splice.jumped) for splice in splices.all] == [98.0, 495.0]
    assert splices.end == 6
    for stored in (0, 1, 100, 102, 500, Fraction(1001, 2)):
        assert splices.stored(splices.played(Fraction(stored))) == stored
    assert [splices.played(Fraction(t)) for t in (1, 100, 500)] == [1, 2, 5]
    assert Splices().played(Fraction(7)) == 7


def test_a_file_that_changes_is_looked_at_again(tmp_path):
    path = jumping(tmp_path / "a.mkv", [(0, 2), (HOUR, 2)], [])
    assert len(find_splices(path).all) == 1
    jumping(path, [(0, 4)], [])
    assert find_splices(path).all == ()
