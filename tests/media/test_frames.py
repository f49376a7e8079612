from __future__ import annotations

import gc
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from av.video.frame import VideoFrame

from avse.errors import MediaError, NoVideoError
from avse.media import FrameReader, frames, read_frames
from avse.media.orientation import Orientation

from .media_files import SHARED, Picture, Sound, write_media


def test_times_are_exact(media):
    rate = Fraction(30000, 1001)
    path = media("a.mp4", Picture(rate=rate, frames=40), Sound())
    assert [frame.time for frame in read_frames(path)] == [n / rate for n in range(40)]


def test_slide_shows_keep_their_long_steps(media):
    times = [Fraction(n) for n in (0, 2, 7, 9, 9, 30)]
    times[4] += Fraction(1, 2)
    path = media("a.mp4", Picture(frames=6, times=times, options={"bf": "0"}))
    assert [frame.time for frame in read_frames(path)] == times


@pytest.mark.parametrize("wrong", [-3, 20])
def test_one_damaged_time_stamp_does_not_move_what_follows(media, monkeypatch, wrong):
    real = frames._stamp

    def stamp(frame, stream):
        time = real(frame, stream)
        return time + wrong if time == Fraction(4) else time

    monkeypatch.setattr(frames, "_stamp", stamp)
    path = media("a.mp4", Picture(frames=150))
    assert [frame.time for frame in read_frames(path)] == [Fraction(n, 25) for n in range(150)]


def test_uneven_times_are_kept(media):
    times = [Fraction(n, 25) + Fraction(n % 3, 100) for n in range(30)]
    path = media("a.mp4", Picture(frames=30, times=times))
    assert [frame.time for frame in read_frames(path)] == times


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "mpeg4"), ("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.mpg", "mpeg1video")],
)
def test_containers(media, name, codec):
    frames = list(read_frames(media(name, Picture(codec))))
    assert len(frames) == 25
    steps = {b.time - a.time for a, b in pairwise(frames)}
    assert steps == {Fraction(1, 25)}
    assert all(f.image.shape == (48, 64, 3) and f.image.dtype == np.uint8 for f in frames)


def test_b_frames_come_in_order(media):
    for name in ("a.mp4", "a.mkv"):
        path = media(name, Picture(options={"bf": "2", "preset": "fast"}))
        assert [f.time for f in read_frames(path)] == [Fraction(n, 25) for n in range(25)]


def test_frames_are_freed_at_once(media):
    """Not by the garbage collector, which counts objects, not bytes, and comes late."""
    path = media("a.mp4", Picture(frames=20))
    gc.collect()
    gc.disable()
    try:
        for frame in read_frames(path):
            assert frame.image.any()
            assert frame.picture.luma.any()
            living = sum(type(thing) is VideoFrame for thing in gc.get_objects())
            assert living <= 4
    finally:
        gc.enable()


def _corners(image):
    """Mean colour of the four quarters: (top left, top right, bottom left, bottom right)."""
    h, w = image.shape[0] // 2, image.shape[1] // 2
    quarters = (image[:h, :w], image[:h, w:], image[h:, :w], image[h:, w:])
    return [quarter.reshape(-1, 3).mean(axis=0) for quarter in quarters]


@pytest.mark.parametrize(
    ("degrees", "flip", "bright_side"),
    [
        (None, False, "left"),
        (-90, False, "top"),
        (180, False, "right"),
        (90, False, "bottom"),
        (0, True, "right"),
    ],
)
def test_phone_pictures_are_turned_upright(media, degrees, flip, bright_side):
    """The stored picture's left half is bright; turned clockwise by 90, left becomes top."""
    path = media("phone.mp4", Picture(rotation=degrees, hflip=flip, frames=2))
    image = next(read_frames(path)).image
    blue = image[:, :, 2].astype(float)
    height, width = blue.shape
    sides = {
        "left": blue[:, : width // 2],
        "right": blue[:, width // 2 :],
        "top": blue[: height // 2],
        "bottom": blue[height // 2 :],
    }
    assert max(sides, key=lambda side: sides[side].mean()) == bright_side
    assert image.flags["C_CONTIGUOUS"]


def test_the_eight_orientations_are_what_they_say():
    image = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    seen = set()
    for bits in range(8):
        turn = Orientation(bool(bits & 1), bool(bits & 2), bool(bits & 4))
        expected = np.rot90(image, -turn.rotation // 90)
        if turn.mirrored:
            expected = expected[:, ::-1]
        assert np.array_equal(turn.apply(image), expected)
        seen.add((turn.rotation, turn.mirrored))
    assert len(seen) == 8


@pytest.mark.parametrize("rotation", [None, -90])
@pytest.mark.parametrize(("side", "longer"), [(32, 32), (64, 64), (1000, 64), (1, 1)])
def test_scaled_down_never_up(media, rotation, side, longer):
    path = media("a.mp4", Picture(frames=2, rotation=rotation))
    shape = next(read_frames(path, max_side=side)).image.shape
    assert max(shape[:2]) == longer
    assert shape[:2] == ((shape[0], shape[1]))
    if longer > 1:
        assert sorted(shape[:2]) == [longer * 3 // 4, longer]


def test_pixels_are_made_square(media):
    path = media("dv.mp4", Picture(frames=2, pixel_aspect=Fraction(2)))
    assert next(read_frames(path)).image.shape == (48, 128, 3)
    assert next(read_frames(path, max_side=64)).image.shape == (24, 64, 3)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi", "a.mpg"])
def test_a_stretch_is_the_same_as_in_the_whole(media, name):
    codec = {"a.avi": "mpeg4", "a.mpg": "mpeg2video"}.get(name, "libx264")
    path = media(name, Picture(codec, frames=100, options={"g": "12"}))
    whole = list(read_frames(path))
    first = whole[0].time
    for start, stop in ((1, 2), (Fraction(77, 100), 3), (0, 9), (50, 60), (2, None), (None, 1)):
        begin = None if start is None else first + start
        end = None if stop is None else first + stop
        expected = [
            f for f in whole if (begin is None or f.time >= begin) and (end is None or f.time < end)
        ]
        got = list(read_frames(path, start=begin, stop=end))
        assert [f.time for f in got] == [f.time for f in expected]
        assert all(np.array_equal(a.image, b.image) for a, b in zip(got, expected, strict=True))


def test_truncated_files_give_what_there_is(media):
    path = media("a.mkv", Picture(frames=100, options={"g": "10"}), Sound())
    data = path.read_bytes()
    counts = []
    for part in (0.3, 0.6, 0.9, 1.0):
        path.write_bytes(data[: int(len(data) * part)])
        counts.append(sum(1 for _ in read_frames(path)))
    assert counts == sorted(counts)
    assert 0 < counts[0] < counts[-1] == 100


def test_damage_in_the_middle_is_skipped_and_counted(media):
    path = media("a.mp4", Picture(frames=100, options={"g": "5"}), container="mp4")
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 2000
    data[start : start + 1500] = np.random.default_rng(1).bytes(1500)
    path.write_bytes(data)
    with FrameReader(path) as reader:
        times = [frame.time for frame in reader]
        assert reader.skipped > 0
    assert 50 < len(times) <= 100
    assert times == sorted(set(times))
    assert times[-1] == Fraction(99, 25)


def test_no_picture(media):
    with pytest.raises(NoVideoError):
        FrameReader(media("a.mp4", None, Sound()))


def test_arguments_are_checked_and_files_let_go(media):
    path = media("a.mp4", Picture())
    with pytest.raises(ValueError, match="max_side"):
        FrameReader(path, max_side=0)
    reader = FrameReader(path)
    next(reader)
    reader.close()
    reader.close()
    with pytest.raises(StopIteration):
        next(reader)
    path.unlink()
    with pytest.raises(MediaError):
        FrameReader(path)


@pytest.mark.skipif(not SHARED.exists(), reason="no folder of real recordings beside the project")
def test_real_recordings():
    for name in ("grid/valid/s26/bgbsza.mpg", "lrw-ar/00139.mp4"):
        times = [frame.time for frame in read_frames(SHARED / name, max_side=64)]
        assert {b - a for a, b in pairwise(times)} == {Fraction(1, 25)}


def test_the_frame_that_is_still_shown_comes_first_if_asked_for(tmp_path: Path) -> None:
    times = [Fraction(n, 10) for n in (0, 5, 20, 30)]
    path = write_media(tmp_path / "a.mkv", Picture(frames=4, times=times))

    def shown(start: float, stop: float | None = None) -> list[float]:
        with FrameReader(path, start=start, stop=stop, shown=True) as reader:
            return [float(frame.time) for frame in reader]

    assert shown(1) == [0.5, 2, 3]
    assert shown(1, 1.5) == [0.5]
    assert shown(2) == [2, 3]
    assert shown(9) == [3]
    assert shown(0) == [0, 0.5, 2, 3]


def test_rough_pictures_are_nearly_the_same_at_the_same_times(media):
    class Blocks(Picture):
        def images(self):
            rng = np.random.default_rng(0)
            coarse = rng.normal(128, 50, (self.height // 8, self.width // 4, 1))
            wide = coarse.repeat(8, 0).repeat(8, 1)
            for n in range(self.frames):
                noise = rng.normal(0, 8, (self.height, self.width, 1))
                image = np.roll(wide, 3 * n, axis=1)[:, : self.width] + noise
                yield np.clip(image, 0, 255).astype(np.uint8).repeat(3, 2)

    options = {"preset": "medium"}
    path = media("a.mp4", Blocks(width=320, height=240, frames=30, options=options))
    fine, rough = list(read_frames(path)), list(read_frames(path, rough=True))
    assert [frame.time for frame in rough] == [frame.time for frame in fine]
    changes = [
        float(np.abs(one.image.astype(int) - other.image).mean())
        for one, other in zip(fine, rough, strict=True)
    ]
    assert 0 < max(changes) < 2
    assert sum(change == 0 for change in changes) >= 8  # those on which others depend


def test_pictures_are_reduced_by_the_decoder_s_scaler_whatever_their_size_and_order(media):
    path = media("a.mp4", Picture(width=320, height=240, frames=6))
    for frame in read_frames(path):
        for width, height in [(48, 27), (160, 120), (48, 27)]:
            small = frame.picture.reduced(width, height)
            assert small.shape == (height, width, 3)
            rows = np.arange(height) * 240 // height + 240 // height // 2
            columns = np.arange(width) * 320 // width + 320 // width // 2
            usual = np.median(np.abs(small.astype(int) - frame.image[np.ix_(rows, columns)]))
            assert usual <= 3
