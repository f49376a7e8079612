"""What is found out about a recording before anything heavy is loaded."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from avse.errors import NoAudioError, OutputError, UsageError
from avse.inference.engine import Engine
from avse.media import probe
from avse.models.network import AVSENet
from avse.scene.scene import Scene, examine, look, no_progress
from avse.separation.separator import Separation
from avse.settings import Settings
from tests.media.media_files import Picture, Sound, write_media
from tests.media.test_splices import HOUR, jumping


def without_sound(duet: Path, path: Path) -> Path:
    """The example with an edit list that begins its sound after its end."""
    data = bytearray(duet.read_bytes())
    edits = data.index(b"elst", data.index(b"elst") + 1)  # of the sound: the picture comes first
    data[edits + 16 : edits + 20] = b"\x7f\xff\xff\xff"
    path.write_bytes(data)
    return path


def test_a_track_that_leaves_nothing_to_hear_is_refused(duet: Path, tmp_path: Path) -> None:
    path = without_sound(duet, tmp_path / "empty.mp4")
    with pytest.raises(NoAudioError, match=r"empty\.mp4: sound track 0 is empty"):
        examine(path, Settings())
    assert examine(path, Settings(), need_audio=False).audio is not None


def test_the_choice_among_several_tracks_is_said(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", Picture(), Sound("flac"), Sound("flac"))
    (note,) = examine(path, Settings()).notes
    assert note.startswith("of 2 sound tracks, track 0 is taken")
    for settings, need_audio in ((Settings(track=1), True), (Settings(), False)):
        assert examine(path, settings, need_audio=need_audio).notes == ()
    with pytest.raises(NoAudioError, match="track 2"):
        examine(path, Settings(track=2))


def test_a_clock_that_jumps_is_said_and_its_times_are_those_played(tmp_path: Path) -> None:
    parts = [(0, 2), (HOUR, 2)]
    path = jumping(tmp_path / "a.mkv", parts, parts)
    found = examine(path, Settings())
    assert found.notes == (
        "the clock of the recording jumps by 3,598 s at 2.0 s, with nothing in between: "
        "the parts are joined",
    )
    assert found.audio is not None
    for length in (found.info.duration, found.video.duration, found.audio.duration):
        assert float(length or 0) == pytest.approx(4, abs=0.1)
    with pytest.raises(UsageError, match="the part starts at 0:05, after the end"):
        examine(path, Settings(start=5))


def test_months_in_a_header_are_not_believed(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.mkv", Picture(), Sound("flac"))
    data = bytearray(path.read_bytes())
    place = data.index(b"\x44\x89\x88") + 3  # the duration, in milliseconds
    data[place : place + 8] = struct.pack(">d", 9e9)
    path.write_bytes(data)
    assert float(probe(path).duration or 0) > 8e6
    assert float(examine(path, Settings()).info.duration or 0) == pytest.approx(1, abs=0.1)


def test_nothing_heavy_is_loaded_for_that(tmp_path: Path) -> None:
    path = write_media(tmp_path / "a.wav", None, Sound("pcm_s16le"))
    code = (
        "import sys; from avse.cli import main; main(sys.argv[1:]);"
        "print([m for m in ('torch', 'mediapipe') if m in sys.modules])"
    )
    for verb in ("separate", "enhance", "who", "sync"):
        ran = subprocess.run(
            [sys.executable, "-c", code, verb, str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert ran.stdout == "[]\n"
        assert "a.wav: there is no moving picture" in ran.stderr


@pytest.fixture(scope="module")
def scene(duet: Path) -> Scene:
    return look(duet, Settings())


def test_a_disk_without_room_is_noticed_before_the_work(
    scene: Scene, network: AVSENet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    separation = Separation(scene, list(scene.people), Engine(network, Settings()), no_progress)
    needed = 2 * 4 * 48_000 * 6.4
    paths = {n: tmp_path / f"{n}.wav" for n in (1, 2)}

    class Usage:
        free = int(0.9 * needed)

    monkeypatch.setattr("avse.media.atomic_files.shutil.disk_usage", lambda folder: Usage)
    monkeypatch.setattr(Separation, "blocks", lambda self: pytest.fail("worked all the same"))
    with pytest.raises(OutputError, match="the disk has"):
        separation.save(paths)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(Separation, "blocks", lambda self: iter(()))
    Usage.free = int(1.2 * needed)
    separation.save(paths)
