"""Windows, and recordings whose sound was moved by so much."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import avse
from avse.dsp.stft import SAMPLE_RATE
from avse.inference.engine import Engine
from avse.inference.torch_networks import TorchNetwork
from avse.media import move_sound
from avse.models.network import AVSENet
from avse.scene.scene import look
from avse.separation.separator import Separation
from avse.settings import Settings
from avse.sync.agreement import hear
from avse.sync.measuring import gather, measure, windows
from avse.utils.shipped import shipped


def test_windows_cover_the_lips_and_hold_the_sound_around_them() -> None:
    sound = np.arange(20 * SAMPLE_RATE, dtype=np.float32)
    blocks = (sound[at : at + 7777] for at in range(0, len(sound), 7777))
    found = list(windows(blocks, -10, 400))
    assert [(begin, end) for begin, end, _, _ in found] == [
        (-10, 115),
        (115, 240),
        (240, 365),
        (365, 400),
    ]
    for begin, end, hop, heard in found:
        assert heard[0] == 160 * hop <= max(0, 640 * begin - SAMPLE_RATE)
        assert heard[-1] >= min(640 * end + SAMPLE_RATE, len(sound)) - 1
        assert len(heard) < 640 * (end - begin) + 4 * SAMPLE_RATE


def test_lips_without_any_sound_are_left_out() -> None:
    assert list(windows(iter([]), 0, 100)) == []
    sound = np.ones(SAMPLE_RATE, np.float32)
    assert [w[:2] for w in windows(iter([sound]), 0, 400)] == [(0, 125)]


def test_the_voice_is_heard_every_ten_milliseconds(network: AVSENet) -> None:
    sound = np.random.default_rng(0).normal(size=SAMPLE_RATE).astype(np.float32)
    voice = hear(TorchNetwork(network), sound)
    assert voice.shape == (network.spec.embedding, 100)
    moved = hear(TorchNetwork(network), np.pad(sound, (480, 0))[:SAMPLE_RATE])
    assert np.corrcoef(moved[:, 33:80].ravel(), voice[:, 30:77].ravel())[0, 1] > 0.95


@pytest.fixture(scope="module")
def seen(duet: Path) -> avse.Scene:
    return look(duet, Settings())


def test_windows_add_up_to_the_whole(
    seen: avse.Scene, network: AVSENet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Edges of windows cost nothing: what the streams look at around them is there."""
    lips = {1: next(iter(seen.people)).lips}
    sound = np.random.default_rng(0).normal(size=6 * SAMPLE_RATE).astype(np.float32)
    several = gather(TorchNetwork(network), lips, iter([sound]))
    assert len(several.edges) == 2
    assert several.curves.shape == (1, 2, 201)
    monkeypatch.setattr("avse.sync.measuring.WINDOW_S", 60.0)
    one = gather(TorchNetwork(network), lips, iter([sound]))
    assert len(one.edges) == 1
    assert np.corrcoef(several.curves.sum(axis=1)[0], one.curves[0, 0])[0, 1] > 0.6


@pytest.mark.skipif(not shipped(), reason="no weights are shipped")
@pytest.mark.parametrize("late_ms", [-300, 260])
def test_a_moved_sound_is_found(duet: Path, seen: avse.Scene, tmp_path: Path, late_ms: int) -> None:
    moved = tmp_path / "moved.mkv"
    move_sound(duet, moved, Fraction(-late_ms, 1000))
    network = avse.load_network("avse-small")
    before = measure(seen, network)
    after = measure(look(moved, Settings()), network)
    assert before.whole.offset_ms is not None
    assert after.whole.offset_ms == pytest.approx(before.whole.offset_ms + late_ms, abs=40)
    assert after.confident


@pytest.mark.skipif(not shipped(), reason="no weights are shipped")
def test_separation_corrects_what_is_certainly_out_of_step(
    duet: Path, seen: avse.Scene, tmp_path: Path
) -> None:
    network = avse.load_network("avse-small")
    moved = tmp_path / "moved.mp4"
    move_sound(duet, moved, Fraction(-280, 1000))
    late = look(moved, Settings())

    def voices(scene: avse.Scene, sync: bool) -> tuple[np.ndarray, Separation]:
        settings = Settings(sync=sync)
        separation = Separation(
            scene, list(scene.people), Engine(network, settings), lambda *_: None
        )
        return separation.voices(), separation

    wanted, straight = voices(seen, True)
    corrected, separation = voices(late, True)
    left_alone, other = voices(late, False)
    assert separation.sync is not None
    assert separation.sync.out_of_step
    assert other.sync is None
    assert corrected.shape == left_alone.shape

    def error(found: np.ndarray) -> float:
        # In the moved file the encoder's 1024 samples of run-up are there to be heard, and the
        # frames of the STFT lie elsewhere: the voices are alike, not the same.
        assert found.shape[-1] - wanted.shape[-1] == 1024
        return float(np.square(found[..., 1024:] - wanted).mean())

    assert error(corrected) < 0.6 * error(left_alone)
    written = separation.save({1: tmp_path / "a.wav", 2: tmp_path / "b.wav"})
    assert any("--no-sync" in warning for warning in written.warnings)
    assert straight.sync is not None


def test_an_untrained_network_gives_an_answer_too(seen: avse.Scene, network: AVSENet) -> None:
    found = measure(seen, TorchNetwork(network))
    assert 0 <= found.whole.confidence <= 1
    assert len(found.people) == 2
