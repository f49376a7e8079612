"""What is said of a recording once somebody has looked at it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import avse
from avse.errors import NoFaceError, UnknownSpeakerError, UsageError
from avse.inference.engine import Engine
from avse.media import read_frames
from avse.models.network import AVSENet
from avse.scene.scene import Scene, look, no_progress
from avse.separation.separator import Separation
from avse.settings import Settings, read_same
from tests.conftest import TINY, randomise


@pytest.fixture(scope="module")
def scene(duet: Path) -> Scene:
    return look(duet, Settings())


def voices(scene: Scene, people: Sequence[int] = (1, 2)) -> Separation:
    chosen = scene.choose(list(people))
    settings = Settings(sync=False, gate=False, window_s=1.0)
    return Separation(scene, chosen, Engine(randomise(AVSENet(TINY)), settings), no_progress)


def changed(scene: Scene, number: int, **fields: object) -> Scene:
    """The scene with something else known of a person."""
    persons = tuple(
        dataclasses.replace(person, **fields) if person.number == number else person  # type: ignore[arg-type]
        for person in scene.people
    )
    return dataclasses.replace(scene, people=dataclasses.replace(scene.people, persons=persons))


@pytest.mark.parametrize(
    ("point", "message", "hint"),
    [
        (
            "@3s:0.01,0.0",
            "nobody is at 0.01,0 of the picture at 3 s",
            "in sight then: person 1 at 0.2",
        ),
        ("@99s:0.5,0.5", "ends at 6.4 s, before 99 s", "1, 2"),
    ],
)
def test_a_wrong_point_says_what_is_wrong(
    scene: Scene, point: str, message: str, hint: str
) -> None:
    with pytest.raises(UnknownSpeakerError) as caught:
        scene.choose(point)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_an_instant_without_anybody_names_the_nearest_person(scene: Scene) -> None:
    away = scene
    for person in scene.people:
        kept = person.times < 2
        away = changed(away, person.number, times=person.times[kept], boxes=person.boxes[kept])
    with pytest.raises(UnknownSpeakerError) as caught:
        away.choose("@5s:0.3,0.5")
    assert "nobody is in sight at 5 s" in caught.value.message
    assert "person 1, 3.0 s away" in caught.value.hint


def test_a_still_picture_is_silent_and_said_to_be_one(scene: Scene) -> None:
    assert [person.still for person in scene.people] == [False, False]
    assert scene.notes == []
    photograph = scene.people.persons[1].silenced()
    still = changed(scene, 2, still=True, lips=photograph.lips)
    separation = voices(still)
    first, second = separation.voices()
    assert not second.any()
    assert first.any()
    assert separation.out_of_sight(2) == []
    assert ["person 2 is a still picture" in note for note in separation.notes] == [True]


def test_slow_pictures_give_shares_of_the_mixture_and_a_warning(scene: Scene) -> None:
    slow = scene
    for person in scene.people:
        few = slice(None, None, 5)
        slow = changed(slow, person.number, times=person.times[few], boxes=person.boxes[few])
    assert slow.doubt == 1
    separation = voices(slow)
    for block in separation.blocks():
        np.testing.assert_allclose(block.stems[0], block.stems[1], atol=1e-6)
        np.testing.assert_allclose(block.residual, 0, atol=1e-5)
    assert any("only 5 pictures a second" in note for note in separation.notes)
    assert scene.doubt == 0


def test_numbers_are_joined_by_settings(duet: Path) -> None:
    one = avse.separate(duet, 2, network=AVSENet(TINY).eval(), same=[[1, 2]])
    assert [person.numbers for person in one.scene.people] == [(1, 2)]
    assert one.numbers == [1]
    assert [person.number for person in one.scene.choose([1, 2])] == [1]
    with pytest.raises(UnknownSpeakerError, match="no person 7"):
        look(duet, Settings(same=((1, 7),)))


def test_same_is_read_or_refused() -> None:
    assert read_same(["2=3", "4=5 = 6,7=8"]) == ((2, 3), (4, 5, 6), (7, 8))
    for wrong in ("2", "2=", "a=b", "0=1", "2==3", "", "1=1"):
        with pytest.raises(UsageError, match=r"^--same"):
            read_same([wrong])
    with pytest.raises(UsageError):
        Settings(same=((2,),))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_recording_on_its_side(duet: Path, tmp_path: Path, scene: Scene, quarters: int) -> None:
    path = tmp_path / "lying.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.bit_rate = 4_000_000
        stream.width, stream.height = (640, 360) if quarters == 2 else (360, 640)
        for frame in read_frames(duet, stop=Fraction(4, 5)):
            image = np.ascontiguousarray(np.rot90(frame.image, quarters))
            file.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        file.mux(stream.encode())
    lying = look(path, Settings(), need_audio=False)
    assert lying.turned == 4 - quarters
    assert "not upright" in lying.notes[0]
    assert len(lying.people) == 2
    x, y = {1: (0.53, 0.75), 2: (0.75, 0.47), 3: (0.47, 0.25)}[quarters]
    assert lying.choose(f"@0.4s:{x},{y}") == [lying.people.persons[0]]


def test_nobody_is_told_how_large_a_face_must_be(tmp_path: Path) -> None:
    path = tmp_path / "grey.mp4"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=5)
        stream.height, stream.width = 1080, 1920
        grey = np.full((1080, 1920, 3), 90, np.uint8)
        for _ in range(10):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(grey, "rgb24")))
        file.mux(stream.encode())
    with pytest.raises(NoFaceError) as caught:
        look(path, Settings(), need_audio=False)
    assert "wider than about 24 pixels of 1920x1080" in caught.value.hint
