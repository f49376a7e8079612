from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest

from avse.errors import MediaError
from avse.media import copy_beginning, probe, read_frames

from ..conftest import EXAMPLES


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_the_beginning_is_that_of_the_file(tmp_path: Path, ending: str) -> None:
    source, path = EXAMPLES / "duet.mp4", tmp_path / f"beginning.{ending}"
    copy_beginning(source, path, seconds=1.0)
    about, whole = probe(path), probe(source)
    assert about.duration == pytest.approx(1.0, abs=0.3)
    assert len(about.audio) == len(whole.audio)
    # Packets are stored in the order of decoding: around the cut, pictures between others lack.
    for ours, theirs in islice(zip(read_frames(path), read_frames(source), strict=False), 20):
        assert (ours.image == theirs.image).all()


def test_what_is_shorter_is_copied_whole_and_no_media_is_refused(tmp_path: Path) -> None:
    copy_beginning(EXAMPLES / "duet.mp4", tmp_path / "all.mkv", seconds=60)
    assert probe(tmp_path / "all.mkv").duration == pytest.approx(6.4, abs=0.1)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError):
        copy_beginning(tmp_path / "text.mp4", tmp_path / "none.mkv", seconds=1)
