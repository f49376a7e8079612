"""A voice that is not the lips' is told over seconds, and only where there is enough to go by."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from avse.diarization.dubbing import (
    LONGEST_S,
    RULE,
    SHORTEST_S,
    another_voice,
    judgeable,
    summarise,
    without_another,
)
from avse.diarization.who import SpeakerTurns, listen
from avse.faces.lips import RATE_HZ, LipSequence
from avse.faces.people import People
from avse.inference.activity_features import NEAR, REACH
from avse.inference.networks import open_network
from avse.media import StemWriter, probe
from avse.scene.scene import Scene, look
from avse.settings import Settings
from avse.sync.result import Offset, Sync
from tests.conftest import EXAMPLES

OWN, ANOTHER = 0.35, 0.0
"""Agreement of lips with their own voice, and with another's, as the shipped weights see it."""


def near(*stretches: tuple[float, float], delay: int = 0) -> np.ndarray:
    """The cue over stretches of (seconds, agreement at that delay)."""
    out = np.zeros((NEAR.stop - NEAR.start, 0), np.float32)
    for seconds, agreement in stretches:
        part = np.zeros((len(out), round(seconds * RATE_HZ)), np.float32)
        part[REACH + delay] = agreement
        out = np.concatenate([out, part], axis=1)
    return out


def everywhere(cue: np.ndarray) -> np.ndarray:
    return np.ones(cue.shape[1], np.bool_)


def test_ten_seconds_tell_another_voice_from_their_own() -> None:
    for agreement, dubbed in ((OWN, False), (ANOTHER, True)):
        cue = near((10, agreement))
        found = summarise(another_voice(cue, everywhere(cue)), first=2.0)
        assert found is not None
        assert (found.probability >= RULE.threshold) is dubbed
        assert [(s.start, s.stop) for s in found.segments] == ([(2.0, 12.0)] if dubbed else [])


@pytest.mark.parametrize("delay", [-REACH, -1, 3, REACH])
def test_their_own_voice_a_little_out_of_step_is_still_theirs(delay: int) -> None:
    cue = near((10, OWN), delay=delay)
    assert (another_voice(cue, everywhere(cue)) < 0.5).all()


def test_too_little_speech_says_nothing() -> None:
    cue = near((SHORTEST_S - 0.04, ANOTHER))
    assert np.isnan(another_voice(cue, everywhere(cue))).all()
    assert summarise(another_voice(cue, everywhere(cue))) is None
    silent = near((20, ANOTHER))
    assert summarise(another_voice(silent, ~everywhere(silent))) is None


def test_more_speech_is_more_certain() -> None:
    told = [near((seconds, 0.15)) for seconds in (3, 6, 10)]
    certain = [float(another_voice(cue, everywhere(cue)).max()) for cue in told]
    assert certain[0] < certain[1] < certain[2]


def test_only_speech_is_judged() -> None:
    cue = near((10, OWN), (10, ANOTHER))
    speech = np.arange(cue.shape[1]) < 10 * RATE_HZ
    another = another_voice(cue, speech)
    assert (another[speech] < 0.5).all()
    assert np.isnan(another[~speech]).all()


def test_stretches_end_at_cuts() -> None:
    """An interview, then pictures of the same person under the reporter's voice."""
    cue = near((12, OWN), (12, ANOTHER))
    cut = 12 * RATE_HZ
    taken = another_voice(cue, everywhere(cue), [cut]) >= RULE.threshold
    assert not taken[:cut].any()
    assert taken[cut:].all()
    blurred = another_voice(cue, everywhere(cue)) >= RULE.threshold
    assert not blurred[:cut].any()
    assert blurred[-round(LONGEST_S / 2) * RATE_HZ :].all()


def test_what_is_another_voice_is_not_speech_and_the_rest_is_left_alone() -> None:
    speaks = np.array([0.9, 0.9, 0.9, np.nan], np.float32)
    another = np.array([1.0, RULE.threshold - 0.01, np.nan, np.nan], np.float32)
    after = without_another(speaks, another)
    np.testing.assert_array_equal(after, np.array([0, 0.9, 0.9, np.nan], np.float32))


@pytest.mark.parametrize(
    ("offset_ms", "confidence", "expected"),
    [
        (0.0, 0.99, True),
        (300.0, 0.95, True),  # is corrected
        (300.0, 0.7, False),  # is not, and lips without sound would look like another's
        (100.0, 0.7, False),
        (30.0, 0.7, True),
        (300.0, 0.1, True),  # an offset that nobody believes in says nothing
        (None, 0.0, True),
    ],
)
def test_lips_that_are_probably_out_of_step_are_not_judged(
    offset_ms: float | None, confidence: float, expected: bool
) -> None:
    assert judgeable(Sync(Offset(offset_ms, confidence), (), ())) is expected


def test_nothing_is_said_if_sync_was_not_measured() -> None:
    assert not judgeable(None)


@pytest.fixture(scope="module")
def scene(duet: Path) -> Scene:
    return look(duet, Settings(device="cpu"))


def alone(scene: Scene, face: int, voice: int, folder: Path, **options: bool) -> SpeakerTurns:
    """One face of the duet, alone, with one of the two voices; both are played twice."""
    import soundfile

    path = folder / f"{voice}.wav"
    sound, rate = soundfile.read(EXAMPLES / f"duet.{voice}.flac", dtype="float32", always_2d=True)
    frames = len(sound) * RATE_HZ // rate
    with StemWriter(path, sample_rate=rate, channels=1, overwrite=True) as writer:
        writer.write(np.tile(sound[: frames * rate // RATE_HZ].T, (1, 2)))
    person = scene.people.persons[face - 1]
    once = person.lips.window(0, frames)
    twice = LipSequence(0, np.tile(once.points, (2, 1, 1)), np.tile(once.confidence, (2, 1)))
    people = People((dataclasses.replace(person, lips=twice),), 640, 360)
    heard = dataclasses.replace(scene, info=probe(path), people=people)
    network = open_network("avse-small")
    return listen(heard, network, Settings(device="cpu"), **options).talks[0]


# mediapipe 0.10.21 calls this function, which some of the protobuf versions it accepts deprecate.
@pytest.mark.filterwarnings("ignore:SymbolDatabase.GetPrototype:UserWarning")
@pytest.mark.parametrize("face", [1, 2])
def test_a_face_of_the_duet_does_not_speak_with_the_other_voice(
    scene: Scene, face: int, tmp_path: Path
) -> None:
    """The shipped weights."""
    own = alone(scene, face, face, tmp_path, dubbing=True)
    assert own.dubbed is not None
    assert own.dubbed.segments == ()
    assert own.seconds > 6
    believed = alone(scene, face, 3 - face, tmp_path)
    assert believed.dubbed is None
    swapped = alone(scene, face, 3 - face, tmp_path, dubbing=True)
    assert swapped.seconds <= believed.seconds < 0.5 * own.seconds
