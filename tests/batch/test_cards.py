"""Cards of the report: the sound that they draw."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from avse.batch.cards import how_it_plays, likely_plays, listen
from avse.media import NewTrack, probe, remux
from avse.settings import Settings
from tests.media.media_files import Picture, Sound, write_media


@pytest.mark.parametrize("track", [0, 1])
def test_of_a_video_with_several_sounds_the_voice_is_drawn(tmp_path: Path, track: int) -> None:
    quiet = Sound("flac", samples=np.full((2, 48000), 0.1, np.float32))
    source = write_media(tmp_path / "a.mkv", Picture(), quiet, quiet)
    voice = np.full((2, 48000), 0.5, np.float32)
    remux(source, NewTrack([voice], 48000, 2), tmp_path / "b.mkv", track=track)
    assert max(listen(tmp_path / "b.mkv").peaks) == pytest.approx(0.5, abs=0.01)
    assert max(listen(source, Settings(track=track)).peaks) == pytest.approx(0.1, abs=0.01)


def test_what_a_browser_plays_is_told_by_the_codecs(tmp_path: Path) -> None:
    tone = Sound("aac", samples=np.full((2, 16000), 0.1, np.float32), rate=16000)
    plays = {
        name: how_it_plays(probe(write_media(tmp_path / name, *streams)))
        for name, streams in {
            "a.mp4": (Picture("libx264"), tone),
            "b.mp4": (Picture("mpeg4"), tone),
            "c.mkv": (Picture("libx264"), tone),
            "d.m4a": (None, tone),
        }.items()
    }
    assert plays == {"a.mp4": "video", "b.mp4": "", "c.mkv": "", "d.m4a": "audio"}
    two = write_media(tmp_path / "two.mp4", Picture("libx264"), tone, tone)
    assert [how_it_plays(probe(two), track) for track in (None, 0, 1)] == ["video", "video", ""]
    assert [likely_plays(f"x{end}") for end in (".WAV", ".avi", ".mp4", "")] == [
        *("audio", "", "video", "")
    ]


def test_where_what_was_worked_on_begins(tmp_path: Path) -> None:
    late = Sound("flac", samples=np.full((2, 48000), 0.5, np.float32), start=Fraction(1, 2))
    source = write_media(tmp_path / "late.mkv", Picture(), late)
    assert listen(source).start_s == pytest.approx(0.5, abs=0.01)
    assert listen(source, Settings(start=0.75)).start_s == pytest.approx(0.75, abs=0.01)
