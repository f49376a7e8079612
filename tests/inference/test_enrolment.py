"""Voices are learnt where one person talks alone, and given to the network."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from avse.dsp.stft import HOPS_PER_VIDEO_FRAME, VIDEO_RATE
from avse.errors import UsageError
from avse.faces.lips import LipSequence
from avse.inference.activity_features import AGREEMENT, COUNT, HEAD, SEEN
from avse.inference.engine import Engine
from avse.inference.enrolment import Enrolment, EnrolmentRule, enrolled
from avse.inference.mask_estimator import MaskBlock
from avse.inference.offscreen import Traces
from avse.inference.sound import ArraySound
from avse.inference.torch_networks import TorchOffscreen
from avse.models.network import AVSENet
from avse.models.offscreen import OffscreenNet
from avse.models.spec import OffscreenSpec, VoiceprintSpec
from avse.models.voiceprint import VoiceprintNet
from avse.settings import Settings
from tests.conftest import TINY, randomise

SIZE, SECONDS = 8, 6
RULE = EnrolmentRule(speaks=0.6, share=0.8, known_s=1.0)


def block(first: int, frames: int, *, speaks: tuple[bool, bool], share: float) -> MaskBlock:
    """The first person has `share` of the sound, the second the rest; voices are unit vectors."""
    prints = np.zeros((3, 3, frames), np.float32)
    for person, part in enumerate((share, 1 - share)):
        prints[person, person], prints[person, 2] = part, part
    cues = np.zeros((2, COUNT, frames), np.float32)
    cues[:, SEEN] = 1
    for person in range(2):
        cues[person, HEAD] = 20 if speaks[person] else -20
        cues[person, AGREEMENT] = 5 if speaks[person] else -5
    hops = HOPS_PER_VIDEO_FRAME
    masks = np.zeros((2, 5, hops * frames), np.complex64)
    shares = np.zeros((2, 5, hops * frames), np.float32)
    return MaskBlock(hops * first, masks, cues, Traces(shares, prints))


def test_voices_are_learnt_where_one_person_talks_alone() -> None:
    alone = block(0, 40, speaks=(True, False), share=0.95)
    together = block(40, 200, speaks=(True, True), share=0.5)
    still = block(240, 40, speaks=(False, False), share=0.95)
    found = enrolled([alone, together, still], 2, RULE)
    assert found is not None
    np.testing.assert_allclose(found.sums[0], [0.95 * 40, 0, 0.95 * 40], rtol=1e-5)
    np.testing.assert_array_equal(found.sums[1], 0)
    assert found.known.tolist() == [True, False]
    voices = found.voices()
    np.testing.assert_allclose(voices[0], [2**0.5, 0], rtol=1e-5)
    np.testing.assert_array_equal(voices[1], 0)


def test_too_little_is_not_known() -> None:
    assert enrolled([], 2, RULE) is None
    assert enrolled([block(0, 20, speaks=(True, False), share=0.9)], 2, RULE) is None
    assert enrolled([block(0, 200, speaks=(True, True), share=0.5)], 2, RULE) is None


@pytest.fixture(scope="module")
def offscreen() -> TorchOffscreen:
    spec = OffscreenSpec(fine_channels=16, coarse_channels=16, dilations=(1,))
    voiceprint = VoiceprintSpec(
        bands=12, channels=12, coarse_channels=12, dilations=(1,), size=SIZE
    )
    return TorchOffscreen(OffscreenNet(spec).eval(), VoiceprintNet(voiceprint).eval())


def engine(offscreen: TorchOffscreen, enrolment: int = SIZE, **settings: bool) -> Engine:
    torch.manual_seed(3)
    network = randomise(AVSENet(dataclasses.replace(TINY, enrolment=enrolment)))
    return Engine(network, Settings(window_s=2.0, **settings), offscreen)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def sound() -> ArraySound:
    rng = np.random.default_rng(1)
    return ArraySound(rng.normal(0, 0.1, (1, SECONDS * 16_000)).astype(np.float32), 16_000)


@pytest.fixture(scope="module")
def lips() -> list[LipSequence]:
    """Two people, of whom the second is out of sight in the second half."""
    rng = np.random.default_rng(2)
    count = SECONDS * VIDEO_RATE
    points = rng.normal(0, 1, (2, count, 43, 3)).astype(np.float32)
    seen = np.ones((2, count, 43), np.float32)
    seen[1, count // 2 :] = 0
    return [LipSequence(0, *one) for one in zip(points, seen, strict=True)]


KNOWN = Enrolment(np.array([[*np.eye(SIZE)[0], 1], [*np.eye(SIZE)[1], 1]]) * 100)


def stems(
    engine: Engine, sound: ArraySound, lips: list[LipSequence], enrolment: Enrolment | None
) -> np.ndarray:  # type: ignore[type-arg]
    run = engine.run(lips, sound, enrolment=enrolment)
    return np.concatenate([one.stems for one in run.blocks([0, 1])], axis=-1)[:, 0]


def test_known_voices_change_the_answer_of_a_network_that_takes_them(
    offscreen: TorchOffscreen, sound: ArraySound, lips: list[LipSequence]
) -> None:
    takes = engine(offscreen, carry=False, gate=False)
    before, after = (stems(takes, sound, lips, known) for known in (None, KNOWN))
    assert np.abs(before - after).max() > 1e-3
    other = Enrolment(KNOWN.sums * [[1], [0]])
    assert np.abs(after - stems(takes, sound, lips, other)).max() > 1e-3
    takes_none = engine(offscreen, 0, carry=False, gate=False)
    before, after = (stems(takes_none, sound, lips, known) for known in (None, KNOWN))
    np.testing.assert_array_equal(before, after)


def test_who_is_known_is_separated_out_of_sight_too(
    offscreen: TorchOffscreen, sound: ArraySound, lips: list[LipSequence]
) -> None:
    late = slice(int(4.5 * 16_000), None)
    follows = stems(engine(offscreen, gate=False), sound, lips, KNOWN)
    assert np.abs(follows[1, late]).max() > 1e-3
    for settings, known in (({"carry": False}, KNOWN), ({}, None)):
        silent = stems(engine(offscreen, gate=False, **settings), sound, lips, known)
        assert np.abs(silent[1, late]).max() < 1e-3, settings


def test_nothing_is_learnt_that_is_not_wanted(
    offscreen: TorchOffscreen, sound: ArraySound, lips: list[LipSequence]
) -> None:
    assert engine(offscreen, enrol=False).enrol(lips, sound) is None
    assert engine(offscreen, 0).enrol(lips, sound) is None
    assert engine(offscreen).enrol([], sound) is None


def test_voiceprints_of_another_size_are_refused(
    offscreen: TorchOffscreen, sound: ArraySound, lips: list[LipSequence]
) -> None:
    with pytest.raises(UsageError, match="size 8, and the model takes 5") as caught:
        engine(offscreen, 5).enrol(lips, sound)
    assert "--no-enrol" in str(caught.value.hint)


def test_a_pass_tells_how_far_it_is(
    offscreen: TorchOffscreen, sound: ArraySound, lips: list[LipSequence]
) -> None:
    told: list[int] = []
    engine(offscreen).enrol(lips, sound, progress=told.append)
    assert told == sorted(told)
    assert told[-1] >= SECONDS * VIDEO_RATE
