"""Uncertain offsets, put to the test with the shipped weights on the example."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import avse
from avse.faces.lips import Lips, LipSequence
from avse.inference.sound import ArraySound
from avse.models.network import AVSENet
from avse.settings import Settings
from avse.sync.result import Offset, Sync
from avse.sync.verifying import _best_stretch, verify
from tests.conftest import EXAMPLES


@pytest.fixture(scope="module")
def scene() -> avse.Scene:
    return avse.look(EXAMPLES / "duet.mp4", Settings())


@pytest.fixture(scope="module")
def network() -> AVSENet:
    return avse.load_network("avse-small")


def claim(offset_ms: float, confidence: float = 0.4) -> Sync:
    return Sync(Offset(offset_ms, confidence), (), ())


def late(scene: avse.Scene, frames: int) -> list[Lips]:
    """Lips that come later, as where the sound is early."""
    return [
        Lips(tuple(replace(part, first=part.first + frames) for part in person.lips.stretches))
        for person in scene.people
    ]


@pytest.mark.parametrize("frames", [-4, -3, 3, 4])
def test_a_right_offset_is_borne_out_and_corrected(
    scene: avse.Scene, network: AVSENet, frames: int
) -> None:
    found = verify(network, late(scene, frames), scene.sound, claim(-40.0 * frames))
    assert found.verified
    assert found.out_of_step
    assert "confirmed by separation" in found.describe()


@pytest.mark.parametrize("offset_ms", [-300.0, -120.0, 120.0, 300.0])
def test_a_wrong_offset_is_not(scene: avse.Scene, network: AVSENet, offset_ms: float) -> None:
    found = verify(network, late(scene, 0), scene.sound, claim(offset_ms))
    assert not found.verified
    assert not found.out_of_step


@pytest.mark.parametrize(
    "sync", [claim(120.0, 0.95), claim(30.0), claim(800.0), Sync(Offset(None, 0.0), (), ())]
)
def test_what_is_certain_small_or_far_is_not_put_to_the_test(network: AVSENet, sync: Sync) -> None:
    silence = ArraySound(np.zeros((1, 16_000), np.float32), 16_000)
    assert verify(network, [], silence, sync) is sync


def test_the_stretch_with_most_lips_is_chosen() -> None:
    def seen(first: int, frames: int) -> LipSequence:
        return LipSequence(
            first, np.zeros((frames, 43, 3), np.float32), np.ones((frames, 43), np.float32)
        )

    assert _best_stretch([seen(0, 200), seen(1000, 300)]) == 1000
    assert _best_stretch([seen(0, 20)]) == 0
