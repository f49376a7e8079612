"""Long voices, damaged files, interruptions and refusals."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from avse.errors import MediaError, OutputError, OutputExistsError
from avse.media import NewTrack, copying, remux

from .media_files import Picture, Sound
from .remuxed import as_new, packets, voice_for


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
