"""What is left is shared out whole, and voices are weighed by how much of the sound they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from avse.dsp.stft import BINS
from avse.errors import CorruptWeightsError
from avse.inference.offscreen import offscreen_features, share_of
from avse.inference.offscreen_weights import load_offscreen, save_offscreen
from avse.inference.torch_networks import TorchOffscreen
from avse.models.network import AVSENet
from avse.models.offscreen import OffscreenNet
from avse.models.spec import OFFSCREEN_PARTS, OffscreenSpec, VoiceprintSpec
from avse.models.voiceprint import VoiceprintNet, pooled
from avse.models.weights import save

SPEC = OffscreenSpec(fine_channels=8, coarse_channels=12, fine_blocks=1, dilations=(1, 2))
PRINT = VoiceprintSpec(bands=20, channels=8, coarse_channels=12, dilations=(1,), size=6)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    real, imaginary = (torch.randn(shape, generator=generator) for _ in range(2))
    return torch.complex(real, imaginary)


@pytest.fixture
def offscreen() -> TorchOffscreen:
    torch.manual_seed(0)
    return TorchOffscreen(OffscreenNet(SPEC).eval(), VoiceprintNet(PRINT).eval())


def test_shares_add_up_to_all_that_is_left_however_loud(offscreen: TorchOffscreen) -> None:
    mixture, left = random(2, BINS, 40), random(2, BINS, 40, seed=1)
    with torch.no_grad():
        shares = offscreen.network(mixture, left)
        louder = offscreen.network(50 * mixture, 50 * left)
    assert shares.shape == (2, len(OFFSCREEN_PARTS), BINS, 40)
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(2, BINS, 40))
    torch.testing.assert_close(louder, shares, atol=1e-4, rtol=1e-3)


def test_one_window_in_all_its_parts(offscreen: TorchOffscreen) -> None:
    mixture, masks = random(BINS, 40).numpy(), 0.3 * random(2, BINS, 40, seed=2).numpy()
    heard = offscreen_features(offscreen, mixture, masks)
    assert heard.shares.shape == (2, BINS, 40)
    assert heard.prints.shape == (3, PRINT.size + 1, 10)
    assert all(np.isfinite(part).all() for part in (heard.shares, heard.prints))
    twice = heard.followed_by(heard)
    assert (twice.shares.shape[-1], twice.prints.shape[-1]) == (80, 20)


def test_nobody_in_the_picture_and_silence_are_no_trouble(offscreen: TorchOffscreen) -> None:
    silence = np.zeros((BINS, 40), np.complex64)
    heard = offscreen_features(offscreen, silence, random(0, BINS, 40).numpy())
    assert np.isfinite(heard.prints).all()
    assert (heard.prints[:, -1] == 0).all()


def test_a_voice_weighs_what_it_is_of_the_sound_and_nothing_in_pauses() -> None:
    mixture = np.ones((BINS, 16), np.float32)
    mixture[:, 8:12] = 1e-3
    weight = share_of(np.stack([mixture, 0.5 * mixture, 0 * mixture]), mixture)
    expected = [[1, 1, 0, 1], [0.25, 0.25, 0, 0.25], [0, 0, 0, 0]]
    np.testing.assert_allclose(weight, expected)


def test_a_voiceprint_is_the_direction_of_the_frames_that_count() -> None:
    frames = torch.tensor([[[3.0, 0.0, 9.0], [0.0, 4.0, 9.0]]])
    found = pooled(frames, torch.tensor([[1.0, 1.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.8]]))


def test_saved_and_loaded(offscreen: TorchOffscreen, tmp_path: Path) -> None:
    path = tmp_path / "off.safetensors"
    save_offscreen(offscreen.network, offscreen.voiceprint, path, half=False)
    again = load_offscreen(str(path))
    assert isinstance(again, TorchOffscreen)  # there is no graph of these specifications
    assert (again.network.spec, again.voiceprint.spec) == (SPEC, PRINT)
    mixture, masks = random(BINS, 40).numpy(), 0.3 * random(2, BINS, 40, seed=2).numpy()
    prints = [offscreen_features(one, mixture, masks).prints for one in (again, offscreen)]
    np.testing.assert_allclose(*prints, atol=1e-6)


def test_other_weights_are_refused(network: AVSENet, tmp_path: Path) -> None:
    path = tmp_path / "separates.safetensors"
    save(network, path)
    with pytest.raises(CorruptWeightsError, match="no networks for people out of sight"):
        load_offscreen(str(path))
    path.write_bytes(b"nothing")
    with pytest.raises(CorruptWeightsError):
        load_offscreen(str(path))


@pytest.mark.parametrize("kind", [OffscreenSpec, VoiceprintSpec])
def test_a_specification_of_another_version_is_refused(kind: type) -> None:
    with pytest.raises(CorruptWeightsError):
        kind.from_json('{"no_such_field": 1}')
    with pytest.raises(CorruptWeightsError):
        kind.from_json("[]")
    assert kind.from_json(kind().to_json()) == kind()
