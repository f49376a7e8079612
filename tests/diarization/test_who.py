"""Who speaks when in the shipped example, with the shipped weights."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

import avse
from avse.diarization.segments import flags_of, speech_in
from avse.diarization.who import Activity
from tests.conftest import EXAMPLES

# mediapipe 0.10.21 calls this function, which some of the protobuf versions it accepts deprecate.
pytestmark = pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")


@pytest.fixture(scope="module")
def activity(duet: Path) -> Activity:
    return avse.who(duet, device="cpu")


def test_who_speaks_is_who_spoke(activity: Activity) -> None:
    import soundfile

    assert activity.heard
    assert list(activity.spoken) == [1, 2]
    for number, found in activity.spoken.items():
        voice, rate = soundfile.read(EXAMPLES / f"duet.{number}.flac", dtype="float32")
        truth = flags_of(speech_in(voice.reshape(len(voice), -1)[:, 0], rate), 160)
        assert np.mean(flags_of(found, 160) == truth) > 0.85


def test_probabilities_cover_the_sound_at_25_hz(activity: Activity) -> None:
    for talk in activity.talks:
        assert talk.probability.shape == (161,)
        assert np.nanmin(talk.probability) >= 0
        assert np.nanmax(talk.probability) <= 1
        assert talk.seconds == pytest.approx(sum(s.stop - s.start for s in talk.segments))
    assert activity.first == pytest.approx(0, abs=0.05)


def test_without_sound_the_lips_are_watched(duet: Path, tmp_path: Path) -> None:
    import av

    mute = tmp_path / "mute.mp4"
    with av.open(str(duet)) as source, av.open(str(mute), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    found = avse.who(mute, device="cpu")
    assert not found.heard
    assert all(talk.segments for talk in found.talks)


# moviepy 2.2 leaves a pipe of ffmpeg to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_preview_shows_boxes_and_keeps_sound_and_length(
    activity: Activity, tmp_path: Path
) -> None:
    pytest.importorskip("moviepy", reason="moviepy (the extra preview) is not installed")
    from avse.diarization.preview import write_preview
    from avse.errors import OutputExistsError, UsageError
    from avse.media import probe, read_frames

    path = tmp_path / "seen.mp4"
    write_preview(activity, path)
    gc.collect()
    info = probe(path)
    assert info.video is not None
    assert (info.video.width, info.video.height) == (640, 360)
    assert len(info.audio) == 1
    assert float(info.duration or 0) == pytest.approx(6.4, abs=0.1)
    original = list(read_frames(activity.scene.info.path))
    drawn = list(read_frames(path))
    assert len(drawn) == len(original) == 160
    x, y, w, _ = activity.talks[0].person.box_at(2.0) or (0, 0, 0, 0)
    edge = (round(y * 360), slice(round((x + 0.3 * w) * 640), round((x + 0.7 * w) * 640)))
    red, green, _ = drawn[50].image[edge].mean(axis=0)
    assert red > green + 60, "speaker 1 speaks at 2 s, so their box is red"
    assert [p.name for p in tmp_path.iterdir()] == ["seen.mp4"]
    with pytest.raises(OutputExistsError):
        write_preview(activity, path)
    with pytest.raises(UsageError, match="MP4"):
        write_preview(activity, tmp_path / "seen.avi")
