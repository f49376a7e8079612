from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from avse.errors import InputError, MediaError, NoAudioError, NoVideoError
from avse.mixtures.clips import cut, file_sha256, loop, pictures, read_voice, scaled

from .made_clips import hum, write_clip, write_wav


@pytest.mark.parametrize("ending", [".mpg", ".mkv", ".mp4", ".avi"])
@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30)])
def test_a_clip_ends_with_its_last_picture(tmp_path: Path, ending: str, fps: Fraction) -> None:
    path = write_clip(tmp_path / f"a{ending}", 1, frames=20, fps=fps)
    voice = read_voice(path, 16_000, picture=True)
    assert float(voice.length) == pytest.approx(20 / fps, abs=0.03)
    assert len(voice.samples) == round(voice.length * 16_000)


def test_a_clip_ends_with_its_sound_where_that_is_shorter(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", 1, frames=25, sound=hum(0.5, 44_100, 1))
    voice = read_voice(path, 16_000, picture=True)
    assert (voice.begin, voice.length, len(voice.samples)) == (0, Fraction(1, 2), 8_000)


def test_clips_that_will_not_do(tmp_path: Path) -> None:
    sound = write_wav(tmp_path / "a.wav", hum(0.5, 16_000, 1))
    assert read_voice(sound, 16_000, picture=False).video is None
    with pytest.raises(NoVideoError):
        read_voice(sound, 16_000, picture=True)
    with pytest.raises(MediaError, match="does not exist"):
        read_voice(tmp_path / "none.mp4", 16_000, picture=True)
    with pytest.raises(InputError, match="cannot be read"):
        file_sha256(tmp_path / "none.mp4")
    apart = write_clip(tmp_path / "b.mkv", 1, frames=3, sound_start=Fraction(2))
    with pytest.raises(InputError, match="no moment with sound and picture"):
        read_voice(apart, 16_000, picture=True)


def test_a_clip_without_sound(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as file:
        video = file.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
        file.mux([*video.encode(frame), *video.encode(None)])
    with pytest.raises(NoAudioError):
        read_voice(tmp_path / "a.mkv", 16_000, picture=True)


def numbered(tmp_path: Path, count: int, fps: Fraction) -> Path:
    """A clip whose pictures tell their number by their brightness."""
    images = [np.full((32, 32, 3), 16 + 3 * n, np.uint8) for n in range(count)]
    return write_clip(tmp_path / "n.mkv", 1, images=images, fps=fps, size=(32, 32))


@pytest.mark.parametrize("fps", [Fraction(25), Fraction(30), Fraction(12), Fraction(60)])
@pytest.mark.parametrize("first", [0, 3, 11])
def test_each_picture_is_the_nearest(tmp_path: Path, fps: Fraction, first: int) -> None:
    path = numbered(tmp_path, round(fps), fps)
    start = Fraction(first, 25)
    shown = [image[16, 16, 0] for image in pictures(path, start, 10, 25, (32, 32))]
    numbers = [round((int(grey) - 16) / 3) for grey in shown]
    for n, number in enumerate(numbers):
        assert abs(number / fps - (start + Fraction(n, 25))) <= 1 / (2 * fps) + Fraction(1, 1000)


@pytest.mark.parametrize("count", [1, 2, 7, 60])
def test_there_are_as_many_pictures_as_asked_for(tmp_path: Path, count: int) -> None:
    path = numbered(tmp_path, 10, Fraction(25))
    made = list(pictures(path, Fraction(1, 5), count, 25, (16, 24)))
    assert len(made) == count
    assert {image.shape for image in made} == {(24, 16, 3)}


@given(length=some.integers(1, 50), start=some.integers(0, 60), count=some.integers(1, 120))
def test_loop_and_cut(length: int, start: int, count: int) -> None:
    sound = np.arange(1, length + 1, dtype=np.float32)
    assert loop(sound, start, count).tolist() == [(start + n) % length + 1 for n in range(count)]
    expected = [float(n + 1) if n < length else 0.0 for n in range(start, start + count)]
    assert cut(sound, start, count).tolist() == expected


@given(
    some.tuples(some.integers(2, 90), some.integers(2, 90)),
    some.tuples(some.integers(2, 90), some.integers(2, 90)),
)
def test_scaling_gives_the_size_asked_for(old: tuple[int, int], new: tuple[int, int]) -> None:
    image = np.full((old[1], old[0], 3), 77, np.uint8)
    made = scaled(image, new)
    assert made.shape == (new[1], new[0], 3)
    assert np.abs(made.astype(int) - 77).max() <= 2
