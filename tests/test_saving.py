"""Stems that are known, written as files, as tracks and as a mix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from avse.errors import UsageError
from avse.media import AudioReader, AudioStream, probe
from avse.scene.naming import Stem
from avse.scene.part import WHOLE
from avse.separation.saving import Mix, mixed, save_stems
from avse.separation.separator import Block
from tests.media.media_files import Picture, Sound, speechlike, write_media

RATE = 48_000
COUNT = 2 * RATE


@dataclass
class Made:
    """Two people and a rest, in blocks of odd lengths."""

    scene: Any
    audio: AudioStream
    stems: np.ndarray
    residual: np.ndarray
    numbers: list[int] = field(default_factory=lambda: [1, 2])
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def progress(stage: str, done_s: float, total_s: float | None) -> None:
        """Nobody looks."""

    def blocks(self) -> Iterator[Block]:
        for at in range(0, COUNT, 7001):
            here = np.s_[..., at : at + 7001]
            yield Block(at, self.stems[here], self.residual[here])


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "talk.mkv"
    sound = Sound(codec="pcm_s16le", layout="mono", seconds=Fraction(2), language="fin")
    return write_media(path, Picture(frames=50), sound)


@pytest.fixture
def made(source: Path) -> Made:
    info = probe(source)
    people = [SimpleNamespace(number=1, name="Anna"), SimpleNamespace(number=2, name=None)]
    scene = SimpleNamespace(info=info, origin=Fraction(0), track=0, part=WHOLE, people=people)
    stems = np.stack([speechlike(1, COUNT, RATE, seed) for seed in (1, 2)])
    return Made(scene, info.audio[0], stems, speechlike(1, COUNT, RATE, 3))


def read(path: Path, track: int = 0) -> np.ndarray:
    with AudioReader(path, track=track) as reader:
        return np.concatenate([block.samples for block in reader], axis=-1)


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4"])
@pytest.mark.parametrize("keep", [False, True])
def test_a_track_for_each_person(made: Made, tmp_path: Path, suffix: str, keep: bool) -> None:
    if keep and suffix == ".mp4":
        made.audio = replace(made.audio, is_float=True)  # the source's PCM is none for MP4
        keep = False
    target = tmp_path / f"all{suffix}"
    written = save_stems(made, None, tracks=target, keep_original_audio=keep)
    assert (written.stems, written.residual, written.tracks) == ({}, None, target)
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    tracks = probe(target).audio
    titles = ["Anna", "Person 2", "Everything else", *(["Original"] if keep else [])]
    assert [track.title for track in tracks] == titles
    assert {track.language for track in tracks} == {"fin"}
    assert [track.default for track in tracks] == [True] + [False] * (len(titles) - 1)
    for number, stem in enumerate([*made.stems, made.residual]):
        stored = read(target, number)[:, :COUNT]
        assert stored.shape == stem.shape
        tolerance = 1 / 32768 if suffix != ".mp4" else 0.1
        np.testing.assert_allclose(stored, stem, atol=tolerance)


@pytest.mark.parametrize(
    ("suffix", "bits", "codec", "is_float"),
    [
        (".mov", None, "pcm_s16le", False),
        (".mov", 24, "pcm_s24le", False),
        (".mov", 32, "pcm_f32le", True),
        (".mkv", None, "flac", False),
        (".mkv", 24, "flac", False),
        (".mkv", 32, "pcm_f32le", True),
    ],
)
def test_depth_of_tracks(
    made: Made, tmp_path: Path, suffix: str, bits: Any, codec: str, is_float: bool
) -> None:
    target = tmp_path / f"all{suffix}"
    save_stems(made, None, tracks=target, bits=bits)
    tracks = probe(target).audio
    assert {(t.codec, t.bits_per_sample, t.is_float) for t in tracks} == {
        (codec, bits or 16, is_float)
    }
    if is_float:
        assert np.array_equal(read(target, 1), made.stems[1])


def test_lossy_sources_give_24_bits_to_editing_programs(made: Made, tmp_path: Path) -> None:
    made.audio = replace(made.audio, bits_per_sample=None)
    save_stems(made, None, tracks=tmp_path / "all.mov")
    assert {t.codec for t in probe(tmp_path / "all.mov").audio} == {"pcm_s24le"}


def test_files_and_tracks_are_made_softer_by_one_gain(made: Made, tmp_path: Path) -> None:
    made.residual *= 3.0
    loud = float(np.abs(made.residual).max())
    assert loud > 1.2
    paths = {1: tmp_path / "1.mp3", 2: tmp_path / "2.flac"}
    written = save_stems(made, paths, tracks=tmp_path / "all.mkv")
    told = [warning for warning in written.warnings if "--clip" in warning]
    softer = 20 * np.log10(loud)
    assert told == [
        f"all.mkv would have clipped: all files were made softer by {softer:.1f} dB (see --clip), "
        "and still add up"
    ]
    expected = made.stems[1] / loud
    np.testing.assert_allclose(read(paths[2]), expected, atol=1 / 32768)
    np.testing.assert_allclose(read(tmp_path / "all.mkv", 1), expected, atol=1 / 32768)
    np.testing.assert_allclose(read(paths[1])[:, :COUNT], made.stems[0] / loud, atol=0.05)


def test_other_sample_rates_are_told(made: Made, tmp_path: Path) -> None:
    made.audio = replace(made.audio, sample_rate=44_100)
    paths = {1: tmp_path / "1.opus", 2: tmp_path / "2.mp3"}
    written = save_stems(made, paths)
    assert [warning for warning in written.warnings if "Hz" in warning] == [
        ".opus files are at 48000 Hz: they cannot hold the 44100 Hz of the recording"
    ]


def test_nothing_is_left_of_tracks_that_failed(made: Made, tmp_path: Path) -> None:
    made.residual[0, -1] = np.nan
    with pytest.raises(Exception, match="not numbers"):
        save_stems(made, {1: tmp_path / "1.opus", 2: tmp_path / "2.wav"}, tracks=tmp_path / "a.mov")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError):
        save_stems(made, None)


def test_a_mix_has_a_gain_for_each_stem(made: Made) -> None:
    gains = {1: 0.5, 2: 0.0, Stem.RESIDUAL: 2.0}
    blocks = list(mixed(made.blocks(), made.numbers, gains))
    assert [block.start for block in blocks] == [block.start for block in made.blocks()]
    mix = np.concatenate([block.stems for block in blocks], axis=-1)
    rest = np.concatenate([block.residual for block in blocks], axis=-1)
    assert mix.dtype == np.float32
    assert mix.shape == (1, 1, COUNT)
    np.testing.assert_allclose(mix[0], 0.5 * made.stems[0] + 2 * made.residual, atol=1e-6)
    original = made.stems.sum(axis=0) + made.residual
    np.testing.assert_allclose(mix[0] + rest, original, atol=1e-6)
    untouched = np.concatenate([b.stems for b in mixed(made.blocks(), made.numbers, {})], axis=-1)
    np.testing.assert_allclose(untouched[0], original, atol=1e-6)


@pytest.mark.parametrize("gains", [{3: 1.0}, {1: float("nan")}, {1: float("inf")}])
def test_gains_that_mean_nothing(made: Made, gains: dict[int, float]) -> None:
    with pytest.raises(UsageError):
        mixed(made.blocks(), made.numbers, gains)


def test_a_mix_is_written_as_voices_are(made: Made, tmp_path: Path) -> None:
    mix = Mix(made, {2: 0.0, Stem.RESIDUAL: 0.25})
    assert mix.numbers == [Stem.TOGETHER]
    save_stems(mix, tmp_path / "mix.wav", bits=32)
    save_stems(mix, tmp_path / "mix.mkv", keep_original_audio=True)
    expected = made.stems[0] + 0.25 * made.residual
    np.testing.assert_allclose(read(tmp_path / "mix.wav"), expected, atol=1e-6)
    np.testing.assert_allclose(read(tmp_path / "mix.mkv"), expected, atol=1 / 32768)
    assert len(probe(tmp_path / "mix.mkv").audio) == 2
