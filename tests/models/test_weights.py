"""Weights are found, checked and loaded whole, or not at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from avse.dsp.stft import BINS
from avse.errors import CorruptWeightsError, MissingWeightsError
from avse.faces.centerface import CenterFace
from avse.inference.offscreen_weights import load_offscreen_modules
from avse.models import weights
from avse.models.network import AVSENet
from avse.utils import shipped


def test_saved_and_loaded_is_the_same(network: AVSENet, tmp_path: Path) -> None:
    path = tmp_path / "own weights.safetensors"
    weights.save(network, path, note="test")
    loaded = weights.load(str(path))
    assert loaded.spec == network.spec
    assert not loaded.training
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value)


def test_halves_come_back_as_floats(network: AVSENet, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    weights.save(network, path, half=True)
    loaded = weights.load(str(path))
    assert all(p.dtype == torch.float32 for p in loaded.parameters())
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=2e-3, rtol=2e-3)


def test_nothing_is_run_with_weights_that_were_not_loaded(network: AVSENet, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    weights.save(network, path)
    state = load_file(path)
    metadata = {"format": weights.FORMAT, "spec": network.spec.to_json()}
    for broken in (
        {k: v for k, v in state.items() if k != "fusion.mask.bias"},
        {**state, "extra": torch.zeros(1)},
        {**state, "fusion.mask.bias": torch.zeros(3)},
    ):
        save_file(broken, path, metadata=metadata)
        with pytest.raises(CorruptWeightsError, match=r"w\.safetensors"):
            weights.load(str(path))
    save_file(state, path, metadata={"format": "other"})
    with pytest.raises(CorruptWeightsError, match="no network that separates"):
        weights.load(str(path))
    path.write_bytes(b"not weights")
    with pytest.raises(CorruptWeightsError, match="not a weights file"):
        weights.load(str(path))


def test_a_hash_that_differs_is_told(tmp_path: Path) -> None:
    path = tmp_path / "w"
    path.write_bytes(b"abc")
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert shipped.verify(path, digest) == digest
    with pytest.raises(CorruptWeightsError, match="damaged"):
        shipped.verify(path, digest[::-1])


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(MissingWeightsError) as caught:
        weights.load("no-such-model")
    assert caught.value.exit_code == 3
    for entry in shipped.shipped():
        assert entry.name in caught.value.hint


@pytest.mark.parametrize("entry", shipped.shipped(), ids=lambda entry: entry.name)
def test_shipped_weights_are_whole(entry: shipped.ShippedModel) -> None:
    if entry.kind == shipped.DETECTOR:
        parts = []
        CenterFace()
    elif entry.kind == shipped.LANDMARKS:
        parts = []
        shipped.open_onnx(entry.name, threads=1)
    elif entry.kind == shipped.OFFSCREEN:
        parts = [
            parameter
            for module in load_offscreen_modules(entry.name)
            for parameter in module.parameters()
        ]
    else:
        parts = [*weights.load(entry.name).parameters()]
    assert not parts or sum(p.numel() for p in parts) > 1e6
    card = entry.path.with_name("MODEL_CARD.md").read_text(encoding="utf-8")
    assert entry.name in card
    assert entry.sha256 in card


def test_the_shipped_weights_still_say_what_they_said() -> None:
    network = weights.load("avse-small")
    generator = torch.Generator().manual_seed(5)
    real, imaginary = (torch.randn((1, BINS, 48), generator=generator) for _ in range(2))
    components = torch.randn((1, 2, network.spec.lip_components, 12), generator=generator)
    with torch.no_grad():
        answer = network(torch.complex(real, imaginary), components, torch.ones(1, 2, 12))
    # Noted when they were exported.
    expected = [[0.013398, 0.002614, 0.001644], [0.020634, 0.003173, 0.001973]]
    mask = answer.mask[0, :, [10, 100, 300], 20]
    torch.testing.assert_close(mask, torch.tensor(expected), atol=1e-4, rtol=1e-3)


def test_loading_weights_leaves_the_compiler_of_pytorch_alone() -> None:
    """It takes a second and 200 MB, and leaves a folder among the temporary files."""
    code = (
        "import sys; from avse.models.weights import load;"
        "from avse.inference.offscreen_weights import load_offscreen_modules;"
        "load('avse-small'); load_offscreen_modules('avse-offscreen');"
        "print('torch._dynamo' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
