"""Who is who, without labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avse.data.pack import PreparedPack
from avse.faces.face_settings import FaceSettings
from avse.faces.stillness import LEAST_MOTION
from avse.prepare import people as module
from avse.prepare.appearance import AppearanceRecorder
from avse.prepare.clustering import GRADIENTS, gradients, refined
from avse.prepare.people import tell_apart
from avse.prepare.running import prepare
from avse.prepare.settings import PrepareSettings


def crowd(people: int, clips: int, spread: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    middles = rng.normal(0, 0.6, (people, 60))
    labels = np.repeat(np.arange(people), clips)
    return middles[labels] + rng.normal(0, spread, (people * clips, 60)), labels


def same(labels: np.ndarray) -> np.ndarray:
    return labels[:, None] == labels[None]


def test_people_are_told_apart() -> None:
    features, labels = crowd(20, 12, 0.1)
    found, families = tell_apart(features)
    np.testing.assert_array_equal(same(found), same(labels))
    assert not (same(found) & ~same(families)).any()


def test_of_very_many_parts_are_clustered_first(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = crowd(12, 10, 0.1)
    order = np.random.default_rng(0).permutation(len(labels))
    monkeypatch.setattr(module, "MOST", 50)
    found, families = tell_apart(features[order])
    np.testing.assert_array_equal(same(found), same(labels[order]))
    assert not (same(found) & ~same(families)).any()


def test_too_little_to_learn_from() -> None:
    features, labels = crowd(2, 4, 0.1)
    assert refined(features, labels) is None
    assert tell_apart(features[:1])[0].tolist() == [0]


def test_gradients_do_not_mind_brightness() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(20, 120, (64, 64, 3), np.uint8)
    brighter = (picture * 1.8).astype(np.uint8)
    assert gradients(picture).shape == (GRADIENTS,)
    one, two = gradients(picture), gradients(brighter)
    assert float(one @ two / np.linalg.norm(one) / np.linalg.norm(two)) > 0.98


def test_two_real_people_are_two(people: Path, tmp_path: Path) -> None:
    prepare([people], tmp_path / "pack", PrepareSettings(layout="flat"))
    who = {clip.id: clip.person for clip in PreparedPack(tmp_path / "pack").clips}
    assert who["people/anna/0"] == who["people/anna/1"] == "like-anna-0"
    assert who["people/ben/0"] == who["people/ben/1"] == "like-ben-0"


def test_the_recorder_of_appearances_keeps_what_suits_its_backend() -> None:
    class Steady:
        name, close_px, least_motion = "steady", None, 0.001

    class Shaky:
        name, close_px = "shaky", None

    settings = FaceSettings()
    assert settings.suited(AppearanceRecorder(Steady())).least_motion == Steady.least_motion
    assert settings.suited(AppearanceRecorder(Shaky())).least_motion == LEAST_MOTION
