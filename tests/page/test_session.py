"""An open recording without its page: chunks, corrections and exports on the example."""

from __future__ import annotations

import dataclasses
import errno
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import avse
from avse.errors import OutputError, UsageError
from avse.faces.people import People
from avse.inference.engine import Block, Engine, Run
from avse.inference.enrolment import Enrolment
from avse.media import AudioReader, probe
from avse.media.atomic_files import writing
from avse.page import store
from avse.page.recording import Collector, Recording
from avse.page.session import RecordingSession, open_recording
from avse.page.store import StemStore, VoiceChunk
from avse.scene.corrections import NOTHING, Corrections, change_corrections, read_corrections
from avse.scene.naming import Stem
from avse.scene.scene import known_people
from avse.settings import Settings
from tests.conftest import EXAMPLES

pytestmark = pytest.mark.slow


def until(what: Callable[[], Any], seconds: float = 90.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


@pytest.fixture
def duet(tmp_path: Path) -> Path:
    return Path(shutil.copy(EXAMPLES / "duet.mp4", tmp_path / "duet.mp4"))


@pytest.fixture
def session(duet: Path, cache_folder: Path) -> Iterator[RecordingSession]:
    opened = open_recording(duet, Settings())
    yield opened
    folder = opened._folder.path
    opened.close()
    assert not folder.exists()


def finished(session: RecordingSession) -> bool:
    analysis = session.analysis
    final = all(analysis.final(k) for k in range(session.recording.chunks))
    return final and analysis._enrolled == analysis._epoch


def exported(session: RecordingSession, **request: Any) -> dict[str, Any]:
    made = session.export(request)

    def ended() -> dict[str, Any] | None:
        (one,) = (x for x in session.state()["exports"] if x["id"] == made["id"])
        return one if one["state"] not in ("waiting", "running") else None

    return until(ended)


def test_chunks_add_up_to_the_recording(session: RecordingSession, duet: Path) -> None:
    assert session.sound(0, "original") is not None
    assert session.sound(7, "original") is None
    until(lambda: finished(session))
    with AudioReader(duet) as reader:
        whole = np.concatenate([block.samples for block in reader], axis=1)
    stems = session.state()["stems"]
    assert stems == ["1", "2", "offscreen", "rest"]
    for chunk in range(session.recording.chunks):
        sounds = {stem: session.sound(chunk, stem) for stem in (*stems, "original")}
        begin, samples = sounds["1"].start, sounds["1"].samples
        original = whole[:, begin : begin + samples.shape[1]]
        assert session.voices(chunk)["samples"] == samples.shape[1] == original.shape[1]
        # AAC fills bands with noise that depends on where decoding began.
        np.testing.assert_allclose(sounds["original"].samples, original, atol=5e-3)
        together = sum(sounds[stem].samples for stem in stems)
        np.testing.assert_allclose(together, sounds["original"].samples, atol=1e-6)
        spoken = session.voices(chunk)["stems"]["1"]["speaking"]
        assert max(p for p in spoken if p is not None) > 0.9
    tracks = session.faces(0)["tracks"]
    assert [track["person"] for track in tracks] == [1, 2]
    assert all(0 <= v <= 1 for track in tracks for box in track["boxes"] for v in box)
    json.dumps(session.state(), allow_nan=False)


def test_voices_that_are_known_are_used_once_everything_is_separated(
    duet: Path, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, given = Enrolment(np.ones((2, 129)) * 100), []
    separate = Engine.run

    def run(engine: Engine, *args: Any, **options: Any) -> Run:
        given.append(options.get("enrolment"))
        return separate(engine, *args, **options)

    monkeypatch.setattr(Engine, "enrol", lambda *_, **__: known)
    monkeypatch.setattr(Engine, "run", run)
    session = open_recording(duet, Settings())
    try:
        until(lambda: finished(session))
        assert given[-1] is known
        assert None in given
        given.clear()
        session.set_offset(40.0)
        until(lambda: finished(session))
        assert given[0] is None  # learnt from lips that were elsewhere
        assert given[-1] is known
    finally:
        session.close()


def test_corrections_are_made_and_undone(session: RecordingSession) -> None:
    until(lambda: finished(session))
    session.rename(1, "Eileen")
    session.rename(1, "Eileen C.")
    assert [person["name"] for person in session.state()["people"]] == ["Eileen C.", None]
    known = session.state()
    session.merge([1, 2])
    (person,) = session.state()["people"]
    assert (person["id"], person["merged"]) == (1, [2])
    for ready in ("faces_ready", "voices_ready"):  # or pages would show what they know of before
        assert all(session.state()[ready][k] > version for k, version in known[ready].items())
    until(lambda: finished(session))  # anew: both are in sight at once, so one of them counts
    assert set(session.analysis.store.stems(0)) <= {1, Stem.NARRATOR}
    session.undo()
    until(lambda: finished(session))
    apart = [session.sound(0, stem).samples for stem in ("1", "2")]
    session.remove(2)
    assert [person["id"] for person in session.state()["people"]] == [1]
    rest = session.sound(0, "rest").samples
    session.undo()
    np.testing.assert_allclose(rest, session.sound(0, "rest").samples + apart[1], atol=1e-6)
    session.undo()
    session.undo()
    assert not session.state()["can_undo"]
    with pytest.raises(UsageError, match="nothing to undo"):
        session.undo()
    with pytest.raises(UsageError, match="no person 9"):
        session.rename(9, "Nobody")
    with pytest.raises(UsageError, match="cannot be the name"):
        session.rename(1, "../up")


def test_undo_keeps_what_another_program_has_corrected(
    session: RecordingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    until(lambda: len(session.analysis.people) == 2)
    session.rename(1, "Eileen")

    def elsewhere(old: Corrections) -> Corrections:
        return dataclasses.replace(old, offset_ms=40.0)

    change_corrections(session._sha, elsewhere, recording="duet.mp4")
    with pytest.raises(UsageError, match="another program"):
        session.undo()
    session.rename(2, "Grace")
    session.undo()
    kept = read_corrections(session._sha)
    assert (kept.offset_ms, [one.name for one in kept.names]) == (40.0, ["Eileen"])

    def full(*_: object, **__: object) -> Corrections:
        raise OutputError("the disk is full", "free some space")

    monkeypatch.setattr("avse.page.session.change_corrections", full)
    with pytest.raises(OutputError):
        session.undo()
    assert session.state()["can_undo"]


def test_a_full_disk_stops_no_work_for_good(
    session: RecordingSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    events, put = session.subscribe(), StemStore.put
    tries = []

    def full(*args: Any) -> None:
        tries.append(args)
        if len(tries) == 1:
            with writing(session._folder.path):
                raise OSError(errno.ENOSPC, "No space left on device")
        put(*args)

    monkeypatch.setattr(StemStore, "put", full)
    monkeypatch.setattr("avse.page.analysis._AGAIN_S", 0.1)
    until(lambda: finished(session))
    told = []
    while not events.empty():
        event = events.get()
        assert event is not None
        told.append(event)
    (problem,) = (data for name, data in told if name == "problem")
    assert "the disk is full" in problem["error"]


def test_exports_asked_for_at_once_and_cancelled_while_they_wait(session: RecordingSession) -> None:
    request = {"what": "subtitles", "format": "srt"}
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: session.export(request), range(8)))
    assert sorted(one["id"] for one in made) == list(range(1, 9))
    session.cancel(8)
    assert session.state()["exports"][7]["state"] == "cancelled"
    until(lambda: session.state()["exports"][6]["state"] == "done")
    assert session.state()["exports"][7]["state"] == "cancelled"
    path = session.export_file(1, session.state()["exports"][0]["files"][0]["name"])
    assert path is not None
    path.unlink()  # by whatever tidies temporary files
    assert session.state()["exports"][0]["files"] == []


def test_exports_of_a_recording_and_a_person_with_long_names(
    duet: Path, cache_folder: Path
) -> None:
    long = duet.rename(duet.with_name("é" * 120 + ".mp4"))
    opened = open_recording(long, Settings())
    try:
        until(lambda: len(opened.analysis.people) == 2)
        opened.rename(1, "😀" * 100)
        one = exported(opened, what="each", format="wav", report=True)
        assert one["error"] is None
        assert len(one["files"]) == 5
        assert all(len(file["name"].encode()) < 240 for file in one["files"])
    finally:
        opened.close()


def test_an_offset_set_by_hand_makes_voices_anew(session: RecordingSession) -> None:
    until(lambda: finished(session))
    before = session.sound(0, "1").samples
    version = session.state()["voices_ready"]["0"]
    session.set_offset(400.0)
    until(lambda: finished(session) and session.state()["voices_ready"]["0"] > version)
    assert np.abs(session.sound(0, "1").samples - before).max() > 0.01
    session.undo()
    until(lambda: finished(session))
    np.testing.assert_allclose(session.sound(0, "1").samples, before, atol=0.02)


def test_exports(session: RecordingSession, duet: Path) -> None:
    until(lambda: len(session.analysis.people) == 2)
    voice = exported(session, what="voice", format="mp3", people=[2])
    assert [file["name"] for file in voice["files"]] == ["duet.Person 2.mp3"]
    each = exported(session, what="each", format="wav", bits=24, report=True)
    names = [file["name"] for file in each["files"]]
    assert names[:3] == [f"duet.{name}.wav" for name in ("Person 1", "Person 2", "everything-else")]
    assert names[3].endswith(".avse.json")
    sounds = [soundfile.read(session.export_file(each["id"], name))[0] for name in names[:3]]
    original = soundfile.read(session.export_file(each["id"], names[0]))[1]
    assert original == session.recording.audio.sample_rate
    mix = exported(session, what="mix", format="wav", gains={"1": 0.0, "2": 1.0, "rest": 0.0})
    (name,) = (file["name"] for file in mix["files"])
    mixed = soundfile.read(session.export_file(mix["id"], name))[0]
    np.testing.assert_allclose(mixed, sounds[1], atol=1e-2)
    tracks = exported(session, what="tracks", format="mkv")
    (name,) = (file["name"] for file in tracks["files"])
    titles = [one.title for one in probe(session.export_file(tracks["id"], name)).audio]
    assert titles == ["Person 1", "Person 2", "Everything else"]
    subtitles = exported(session, what="subtitles", format="srt", people=[1])
    (name,) = (file["name"] for file in subtitles["files"])
    text = session.export_file(subtitles["id"], name).read_text()
    assert "Speaker 1" in text
    assert "Speaker 2" not in text
    both = exported(session, what="voice", format="flac", people=[1, 2], bits=16)
    assert [file["name"] for file in both["files"]] == ["duet.Person 1 and Person 2.flac"]
    # The page sends a depth whatever the format is, and offers RTTM as a timeline.
    video = exported(session, what="video", format="mp4", bits=16)
    assert [file["name"] for file in video["files"]] == ["duet.mix.mp4"]
    assert exported(session, what="timeline", format="rttm", bits=16)["state"] == "done"
    assert session.export_file(each["id"], "../duet.mp4") is None
    for wrong in (
        {"what": "mix", "format": "srt"},
        {"what": "each", "format": "wav", "people": [5]},
    ):
        with pytest.raises(UsageError):
            session.export(wrong)


def test_the_picture_is_known_from_an_earlier_look(duet: Path, cache_folder: Path) -> None:
    import avse

    avse.look(duet, Settings())
    session = open_recording(duet, Settings())
    try:
        assert len(session.analysis.faces.done) == session.recording.chunks
        assert [person["id"] for person in session.state()["people"]] == [1, 2]
    finally:
        session.close()


def test_stems_far_from_the_playhead_go_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    stems = rng.normal(0, 0.1, (3, 2, 4000)).astype(np.float32)
    stems[1] = 0
    voices = VoiceChunk((1, 4), stems, np.ones((2, 100), np.float32))
    kept = StemStore(tmp_path)
    kept.put(0, voices, 0)
    read = kept.stems(0)
    assert set(read) == {1, Stem.NARRATOR}  # silence takes no room
    np.testing.assert_allclose(read[1], stems[0], atol=2e-5)
    assert kept.lanes[0][4].level_db == -120
    size = next(tmp_path.iterdir()).stat().st_size
    monkeypatch.setattr(store, "MOST_BYTES", 10 * size)
    for chunk in range(1, 30):
        kept.put(chunk, dataclasses.replace(voices), 3)
    assert [chunk for chunk in range(30) if chunk in kept] == list(range(10))
    kept.close()
    assert not tmp_path.exists()


def test_speech_is_shown_where_it_is_heard_if_sound_begins_later(duet: Path) -> None:
    info = probe(duet)
    late = info.start + Fraction(3, 2)
    recording = Recording(duet, info, info.videos[0], info.audio[0], late, 8.0, ())
    collector = Collector(recording, 0, (1,), recording.scene(People((), 0, 0)).sound)
    rate = info.audio[0].sample_rate
    collector._speaking = {n: np.array([n], np.float32) for n in range(163)}
    stems = np.ones((2, collector.channels, round(6.5 * rate)), np.float32)
    assert list(collector.push(Block(0, stems, stems[0]))) == [0, 1]
    first, second = collector.take(0), collector.take(1)
    assert np.isnan(first.speaking[0, :37]).all()
    assert first.speaking[0, 38:].tolist() == list(range(62))
    assert second.speaking[0].tolist() == list(range(62, 162))
    assert not first.stems[..., : round(1.5 * rate)].any()


def test_other_verbs_know_the_people_of_the_page(session: RecordingSession, duet: Path) -> None:
    about = session.recording
    until(lambda: known_people(about.info, about.video, about.origin, Settings(), NOTHING))
    stages: list[str] = []
    scene = avse.look(duet, Settings(), progress=lambda stage, *_: stages.append(stage))
    assert stages == []  # nothing was looked for
    shown = {one["id"]: one["seen_s"] for one in session.state()["people"]}
    assert {one.number: round(one.seconds_on_screen, 1) for one in scene.people} == shown


def test_a_face_that_is_pointed_at_does_not_hide_the_others(duet: Path, cache_folder: Path) -> None:
    """Where the picture was known, all of it is looked at again, that chunk too."""
    avse.look(duet, Settings())
    session = open_recording(duet, Settings())
    try:
        x, y, w, h = (float(v) for v in session.analysis.people.persons[1].boxes[25])
        session.add_face(1.0, (x, y, w, h))
        until(lambda: session.analysis.faces.done.get(0) is None, 30)
        until(lambda: len(session.analysis.faces.done) == session.recording.chunks)
        shown = session.state()["people"]
        assert [one["seen_s"] > 6 for one in shown] == [True, True]
    finally:
        session.close()
