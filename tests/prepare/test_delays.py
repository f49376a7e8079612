"""How far sound and lips are apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from avse.inference.torch_networks import TorchNetwork
from avse.media import AudioReader
from avse.prepare.delays import estimate
from avse.prepare.sync import REACH, delay_curve, listener
from avse.scene.scene import look
from avse.settings import Settings


def curves(delays: list[int], strength: float, seed: int = 0) -> np.ndarray:
    """Smooth bumps at the delays, in noise."""
    rng = np.random.default_rng(seed)
    at = np.arange(-REACH, REACH + 1)
    bumps = [strength * np.exp(-0.5 * ((at - late) / 1.2) ** 2) for late in delays]
    return np.array(bumps) + rng.normal(0, 1.0, (len(delays), 2 * REACH + 1))


def test_clear_curves_speak_for_themselves() -> None:
    delays = [0, 3, -4, 1]
    found, sure = estimate(curves(delays, 30.0), [None] * 4)
    assert found.tolist() == delays
    assert (sure > 0.95).all()


def test_a_group_that_agrees_decides_for_its_doubtful_members() -> None:
    delays = [2] * 30
    weak = curves(delays, 4.0)
    alone, doubt = estimate(weak, [None] * 30)
    together, sure = estimate(weak, ["one recording"] * 30)
    assert np.mean(together == 2) > np.mean(alone == 2)
    assert np.mean(np.abs(together - 2) <= 1) == 1
    assert sure.mean() > doubt.mean()


def test_a_group_in_disagreement_leaves_each_to_itself() -> None:
    delays = [(-3, 0, 3)[n % 3] for n in range(30)]
    found, _ = estimate(curves(delays, 15.0), ["one channel"] * 30)
    assert np.mean(np.abs(found - delays) <= 1) > 0.95


def test_no_clips_no_delays() -> None:
    found, sure = estimate(np.zeros((0, 13)), [])
    assert len(found) == len(sure) == 0


def test_a_flat_curve_is_unsure() -> None:
    _, sure = estimate(np.zeros((1, 13)), [None])
    assert sure[0] < 0.5


def test_moving_the_sound_moves_the_curve(duet: Path) -> None:
    scene = look(duet, Settings(face_side=480))
    with AudioReader(duet, rate_hz=16_000, mono=True) as reader:
        heard = np.concatenate([block.samples[0] for block in reader])
    sound = np.asarray(heard * 32767, np.int16)
    lips = next(iter(scene.people)).lips.window(0, len(sound) // 640)
    network = listener("avse-small")
    for late in (-3, 3):
        points, seen = lips.points.astype(np.float16), lips.seen.astype(np.uint8)
        still = delay_curve(network, sound, points, seen)
        moved = delay_curve(network, np.roll(sound, late * 640), points, seen)
        assert moved.shape == (2 * REACH + 1,)
        assert np.corrcoef(moved[3:-3], np.roll(still, late)[3:-3])[0, 1] > 0.8


def test_unseen_lips_say_nothing(network) -> None:  # type: ignore[no-untyped-def]
    curve = delay_curve(
        TorchNetwork(network),
        np.ones(16_000, np.int16),
        np.zeros((25, 43, 3), np.float16),
        np.zeros(25, np.uint8),
    )
    assert not curve.any()
