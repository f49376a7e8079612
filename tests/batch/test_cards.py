"""Cards of the report: the sound that they draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avse.batch.cards import peaks
from avse.media import NewTrack, remux
from avse.settings import Settings
from tests.media.media_files import Picture, Sound, write_media


@pytest.mark.parametrize("track", [0, 1])
def test_of_a_video_with_several_sounds_the_voice_is_drawn(tmp_path: Path, track: int) -> None:
    quiet = Sound("flac", samples=np.full((2, 48000), 0.1, np.float32))
    source = write_media(tmp_path / "a.mkv", Picture(), quiet, quiet)
    voice = np.full((2, 48000), 0.5, np.float32)
    remux(source, NewTrack([voice], 48000, 2), tmp_path / "b.mkv", track=track)
    assert max(peaks(tmp_path / "b.mkv")) == pytest.approx(0.5, abs=0.01)
    assert max(peaks(source, Settings(track=track))) == pytest.approx(0.1, abs=0.01)
