"""What the user corrects: kept whole, known by content, found by place and time."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import avse
import avse.scene.face_analysis
from avse.errors import AvseError, InputError, NoFaceError, OutputError, UsageError
from avse.faces.lips import POINTS, Lips, LipSequence
from avse.faces.people import People, Person
from avse.inference.torch_networks import TorchNetwork
from avse.media import copy_beginning
from avse.models.network import AVSENet
from avse.scene.corrections import (
    LONGEST_NAME,
    MOST,
    NOTHING,
    AddedFace,
    Anchor,
    Corrections,
    Named,
    anchor_of,
    any_corrections,
    apply_corrections,
    change_corrections,
    clear_corrections,
    corrections_of,
    read_corrections,
)
from avse.scene.scene import look
from avse.settings import Settings
from avse.sync.measuring import measure
from avse.utils.fingerprint import sha256
from tests.conftest import TINY, randomise

KEY = "ab" * 32
LEFT, RIGHT = Anchor(1.0, 0.2, 0.5), Anchor(1.0, 0.8, 0.5)
ALL = Corrections(
    names=(Named(LEFT, "Zoë"), Named(Anchor(2, 0.8, 1 / 3), "ben")),
    same=((LEFT, RIGHT),),
    removed=(Anchor(0.1, 0, 1),),
    added=(AddedFace(12.5, (0.1, 0.2, 0.3, 0.4)),),
    offset_ms=-120.5,
)


def put(corrections: Corrections, key: str = KEY) -> Corrections:
    return change_corrections(key, lambda _: corrections, recording="talk.mp4")


def file(folder: Path) -> Path:
    return folder / "corrections" / f"{KEY}.json"


def test_what_is_written_is_read(cache_folder: Path) -> None:
    assert read_corrections(KEY) == NOTHING
    assert not any_corrections()
    written = put(ALL)
    assert read_corrections(KEY) == written
    assert dataclasses.replace(written, changed="") == ALL
    text = file(cache_folder).read_text("utf-8")
    assert "Zoë" in text
    assert json.loads(text)["recording"] == "talk.mp4"
    if os.name == "posix":
        assert file(cache_folder).stat().st_mode & 0o777 == 0o600
    assert read_corrections("cd" * 32) == NOTHING
    assert any_corrections()


def test_a_change_is_given_what_is_there(cache_folder: Path) -> None:
    put(ALL)
    change_corrections(KEY, lambda old: dataclasses.replace(old, offset_ms=None), recording="")
    assert read_corrections(KEY).names == ALL.names
    assert read_corrections(KEY).offset_ms is None
    assert put(NOTHING) == NOTHING
    assert not file(cache_folder).exists()


def test_digests_tell_what_decides() -> None:
    assert NOTHING.digest() is None
    assert put(ALL).digest() == ALL.digest() is not None
    assert dataclasses.replace(ALL, offset_ms=1.0).digest() != ALL.digest()


@pytest.mark.parametrize(
    "make",
    [
        lambda: Anchor(-1, 0.5, 0.5),
        lambda: Anchor(float("nan"), 0.5, 0.5),
        lambda: Anchor(1, 0.5, 1.5),
        lambda: AddedFace(1, (0.5, 0.5, 0.6, 0.1)),
        lambda: AddedFace(1, (0.5, 0.5, 0, 0.1)),
        lambda: AddedFace(1, (0.5, float("nan"), 0.1, 0.1)),
        lambda: Corrections(offset_ms=float("inf")),
        lambda: Corrections(offset_ms=float("nan")),
        lambda: Corrections(names=(Named(LEFT, "2"),)),
        lambda: Corrections(names=(Named(LEFT, "../anna"),)),
        lambda: Corrections(names=(Named(LEFT, "a\x1b[2J"),)),
        lambda: Corrections(names=(Named(LEFT, "a" * (LONGEST_NAME + 1)),)),
        lambda: Corrections(removed=(LEFT,) * (MOST + 1)),
        lambda: Corrections(same=((LEFT,) * (MOST + 1),)),
        lambda: Corrections(changed="yesterday"),
    ],
)
def test_what_has_no_meaning_is_refused(make: Any) -> None:
    with pytest.raises(UsageError):
        make()


@pytest.mark.parametrize("key", ["", "..", "../" + "a" * 61, "AB" * 32, KEY + "\n", KEY[:-1]])
def test_a_key_cannot_lead_elsewhere(key: str) -> None:
    for act in (lambda: read_corrections(key), lambda: put(ALL, key)):
        with pytest.raises(UsageError, match="SHA-256"):
            act()


def test_a_damaged_file_is_told_and_left_alone(cache_folder: Path) -> None:
    put(ALL)
    path = file(cache_folder)
    whole = json.loads(path.read_text("utf-8"))
    for wrong in (
        "",
        "[]",
        "[" * 100_000,
        json.dumps({**whole, "format": 2}),
        json.dumps({**whole, "more": 1}),
        json.dumps({**whole, "offset_ms": "late"}),
        json.dumps({**whole, "offset_ms": 1e300}),
        json.dumps({**whole, "removed": [{"time": 1, "x": 2, "y": 0}]}),
        json.dumps({**whole, "names": [{"at": {"time": 1, "x": 0, "y": 0}, "name": ".."}]}),
        " " * 3_000_000,
    ):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(InputError) as caught:
            read_corrections(KEY)
        assert "--no-corrections" in caught.value.hint
        with pytest.raises(InputError):
            put(ALL)
        assert path.read_text("utf-8") == wrong
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError):
        read_corrections(KEY)


def test_what_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AVSE_CACHE", str(tmp_path / "file"))
    assert read_corrections(KEY) == NOTHING
    with pytest.raises(OutputError):
        put(ALL)


@pytest.mark.skipif(os.name != "posix", reason="needs symbolic links")
def test_a_lock_that_is_a_link_is_not_followed(cache_folder: Path, tmp_path: Path) -> None:
    letter = tmp_path / "letter.txt"
    letter.write_text("dear avse")
    (cache_folder / "corrections").mkdir(parents=True)
    (cache_folder / "corrections" / ".lock").symlink_to(letter)
    with pytest.raises(OutputError, match="link"):
        put(ALL)
    assert letter.read_text() == "dear avse"


def test_clearing(cache_folder: Path) -> None:
    put(ALL)
    mine = cache_folder / "corrections" / "letter.json"
    mine.write_text("dear avse")
    assert clear_corrections() == 1
    assert mine.exists()
    assert not any_corrections()


ADD = """
import sys
from dataclasses import replace
from avse.scene.corrections import Anchor, change_corrections
for n in range(int(sys.argv[2])):
    one = Anchor(n, float(sys.argv[1]), 0.0)
    change_corrections(
        "ab" * 32, lambda old: replace(old, removed=(*old.removed[-900:], one)), recording="talk"
    )
    if n == 0:
        print("begun", flush=True)
"""


def adder(place: float, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ADD, str(place), str(count)], stdout=subprocess.PIPE, text=True
    )


def test_two_programs_at_once_lose_nothing() -> None:
    both = [adder(place, 40) for place in (0.25, 0.75)]
    assert [(process.communicate(timeout=60), process.returncode)[1] for process in both] == [0, 0]
    found = {(one.time, one.x) for one in read_corrections(KEY).removed}
    assert found == {(float(n), place) for n in range(40) for place in (0.25, 0.75)}


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_kill_while_writing_loses_nothing() -> None:
    process = adder(0.5, 1_000_000)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    kept = read_corrections(KEY).removed
    assert [one.time for one in kept] == [float(n) for n in range(len(kept))]
    assert kept
    put(ALL)  # whoever was killed holds no lock


def person(number: int, x: float, frames: int = 25, **fields: Any) -> Person:
    """Somebody at a place from 10 s on, on a clock that is at 10 s when the recording begins."""
    lips = LipSequence(
        250, np.full((frames, POINTS, 3), x, np.float32), np.ones((frames, POINTS), np.float32)
    )
    return Person(
        number,
        Fraction(10),
        1.0,
        (100 * x, 40, 10, 10),
        10 + np.arange(frames) / 25,
        np.tile(np.array([x - 0.05, 0.45, 0.1, 0.1], np.float32), (frames, 1)),
        Lips((lips,)),
        np.zeros((4, 4, 3), np.uint8),
        **fields,
    )


TRIO = People((person(1, 0.2), person(2, 0.5), person(3, 0.8)), 100, 100)


def applied(**fields: Any) -> tuple[People, tuple[str, ...]]:
    corrections = Corrections(changed="2025-01-31T12:00:00+00:00", **fields)
    return apply_corrections(TRIO, corrections, 10.0, lambda time: time < 60)


def at(x: float, time: float = 0.5) -> Anchor:
    return Anchor(time, x, 0.5)


def test_people_are_corrected_by_where_they_are() -> None:
    people, notes = applied(
        names=(Named(at(0.8), "anna"), Named(at(0.5), "ben")), same=((at(0.2), at(0.8)),)
    )
    assert [(p.numbers, p.name) for p in people] == [((1, 3), "anna"), ((2,), "ben")]
    assert notes == (
        "corrections of 2025-01-31 are used: 2 names, 2 people joined; --no-corrections ignores "
        "them",
    )
    people, notes = applied(removed=(at(0.2),), names=(Named(at(0.2), "anna"),))
    assert [p.number for p in people] == [2, 3]
    assert "1 face removed;" in notes[0]
    people, notes = applied(offset_ms=-40.0, added=(AddedFace(1, (0, 0, 0.1, 0.1)),))
    assert "1 face added, an A/V offset of -40 ms;" in notes[0]
    assert people == TRIO


def test_a_point_that_hits_nobody_is_told_and_one_elsewhere_waits() -> None:
    people, notes = applied(names=(Named(at(0.35), "anna"), Named(at(0.2, 70.0), "ben")))
    assert people == TRIO
    assert notes == ("the name 'anna' is not used: nobody is there at 0:00.5 at 0.35,0.50",)


def test_points_of_one_person_join_nobody_and_names_are_one_persons() -> None:
    people, notes = applied(same=((at(0.2), at(0.21)), (at(0.5), at(0.8)), (at(0.8), at(0.2))))
    assert [p.numbers for p in people] == [(1, 2, 3)]
    people, notes = applied(names=(Named(at(0.2), "anna"), Named(at(0.5), "anna")))
    assert [p.name for p in people] == ["anna", None, None]
    assert notes[-1] == "the name 'anna' is another's: person 2 has none"


def test_an_anchor_finds_its_person_alone() -> None:
    crossing = person(4, 0.2, frames=40)
    crossing.boxes[:20, 0] += 0.02  # in front of person 1, until that one goes away
    people = dataclasses.replace(TRIO, persons=(*TRIO.persons, crossing))
    for one in people:
        anchor = anchor_of(people, one, 10.0)
        assert anchor is not None
        assert people.at(anchor.time + 10, anchor.x, anchor.y) is one
    nowhere = person(5, 0.5)
    assert anchor_of(TRIO, nowhere, 10.0) is None


@pytest.fixture
def short(duet: Path, tmp_path: Path) -> Path:
    path = tmp_path / "short.mp4"
    copy_beginning(duet, path, seconds=1.5)
    return path


@pytest.fixture
def corrected(short: Path, tmp_path: Path) -> Path:
    """A recording that was corrected, and then renamed."""
    scene = look(short, Settings())
    begin_s = float(scene.info.start - scene.origin)
    anchors = [anchor_of(scene.people, one, begin_s) for one in scene.people]
    put(
        Corrections(names=(Named(anchors[0], "anna"),), removed=(anchors[1],), offset_ms=20.0),
        sha256(short),
    )
    return short.rename(tmp_path / "renamed.mp4")


def test_look_uses_corrections_of_the_content(corrected: Path) -> None:
    scene = look(corrected, Settings())
    assert [(p.number, p.name) for p in scene.people] == [(1, "anna")]
    assert scene.choose("anna") == list(scene.people)
    assert scene.offset_ms == 20
    assert [note.startswith("corrections of 20") for note in scene.notes] == [True]
    uncorrected = look(corrected, Settings(corrections=False))
    assert [p.name for p in uncorrected.people] == [None, None]
    assert (uncorrected.offset_ms, uncorrected.notes) == (None, [])
    again = look(corrected, Settings(cache=False))
    assert [p.name for p in again.people] == ["anna"]


def test_an_offset_set_by_hand_replaces_the_measured_one(corrected: Path) -> None:
    network = randomise(AVSENet(TINY))
    separation = avse.separate(corrected, network=network)
    sync = separation.sync
    assert sync is not None
    assert (sync.whole.offset_ms, sync.out_of_step, sync.by_hand) == (20, True, True)
    assert sync.describe() == "the sound is 20 ms late (set by hand)"
    separation.voices()
    assert any("20 ms late (set by hand); corrected" in note for note in separation.notes)
    assert (
        measure(look(corrected, Settings(corrections=False)), TorchNetwork(network)).by_hand
        is False
    )
    assert avse.separate(corrected, network=network, sync=False).sync is None


def test_who_removes_everybody_is_told(corrected: Path) -> None:
    key = sha256(corrected)
    everywhere = tuple(Anchor(0.5, x / 20, 0.5) for x in range(21))
    put(Corrections(removed=everywhere), key)
    with pytest.raises(NoFaceError) as caught:
        look(corrected, Settings())
    assert "--no-corrections" in caught.value.hint


def test_a_damaged_file_stops_nobody_who_ignores_it(corrected: Path, cache_folder: Path) -> None:
    (path,) = (cache_folder / "corrections").glob("*.json")
    path.write_text("{")
    with pytest.raises(InputError, match="corrections"):
        look(corrected, Settings())
    assert len(look(corrected, Settings(corrections=False)).people) == 2


def test_added_faces_are_looked_for_again(short: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    real = avse.scene.face_analysis.find_people

    def find(*arguments: Any, **more: Any) -> Any:
        asked.append([(hint.time, hint.box) for hint in more["hints"]])
        return real(*arguments, **more)

    monkeypatch.setattr(avse.scene.face_analysis, "find_people", find)
    look(short, Settings())
    put(Corrections(added=(AddedFace(0.5, (0.1, 0.2, 0.3, 0.4)),)), sha256(short))
    scene = look(short, Settings())
    begin_s = float(scene.info.start - scene.origin)
    assert asked == [[], [(0.5 + begin_s, (0.1, 0.2, 0.3, 0.4))]]
    for corrections in (True, False):
        look(short, Settings(corrections=corrections))
    assert len(asked) == 2


def test_without_corrections_no_recording_is_hashed(
    short: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import avse.scene.cache

    monkeypatch.setattr(avse.scene.cache, "mark", lambda _: pytest.fail("hashed"))
    assert corrections_of(short) == NOTHING
    with pytest.raises(AvseError):
        look(short.with_name("missing.mp4"), Settings(cache=False))
