"""Files of weights that somebody made up: refused at once, in little memory."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from avse.errors import CorruptWeightsError
from avse.inference.networks import open_network
from avse.inference.offscreen_weights import load_offscreen, save_offscreen
from avse.models import weights
from avse.models.network import AVSENet
from avse.models.offscreen import OffscreenNet
from avse.models.spec import AVSESpec, OffscreenSpec, VoiceprintSpec
from avse.models.voiceprint import VoiceprintNet

DEEP = 100_000


@pytest.fixture
def path(network: AVSENet, tmp_path: Path) -> Path:
    made = tmp_path / "crafted.safetensors"
    weights.save(network, made)
    return made


def rewrite(path: Path, spec: str, changes: dict[str, torch.Tensor] | None = None) -> None:
    metadata = {"format": weights.FORMAT, "spec": spec}
    save_file({**load_file(path), **(changes or {})}, path, metadata=metadata)


@pytest.mark.parametrize(
    "change",
    [
        {"mask_blocks": 10**8},
        {"encoder_blocks": -1},
        {"voice_bands": 10**9},
        {"fine_channels": 40_000},
        {"coarse_channels": 8192},
        {"fine_channels": 10**400},
        {"kernel": 0},
        {"kernel": 4},
        {"lip_points": 44},
        {"embedding": 0},
        {"visual_channels": "96"},
        {"visual_channels": 96.5},
        {"visual_channels": True},
        {"visual_channels": None},
        {"visual_kernels": [5] * 10**6},
        {"visual_kernels": [[5]]},
        {"visual_kernels": 5},
        {"fusion_dilations": [10**9]},
        {"audio_dilations": [0]},
        {"dropout": -1.0},
        {"compression": 1e300},
        {"mask": "real"},
        {"mask": ["magnitude"]},
        {"others": 1},
        {"nonsense": 1},
    ],
    ids=str,
)
def test_a_specification_out_of_bounds_costs_nothing(
    network: AVSENet, path: Path, change: dict[str, object]
) -> None:
    rewrite(path, json.dumps({**json.loads(network.spec.to_json()), **change}))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptWeightsError) as caught:
            weights.load(str(path))
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
    assert caught.value.exit_code == 3
    assert "crafted.safetensors" in caught.value.message
    assert len(caught.value.message) < 400


@pytest.mark.parametrize(
    "spec",
    [
        *("", "{", "null", "[]", "3", '{"kernel": NaN}', "[" * DEEP),
        '{"kernel":' * 900 + "1" + "}" * 900,
        '{"kernel": ' + "9" * 10_000 + "}",
        json.dumps({"mask": "x" * 10**6}),
    ],
    ids=lambda spec: spec[:20],
)
def test_a_specification_that_is_none(path: Path, spec: str) -> None:
    rewrite(path, spec)
    with pytest.raises(CorruptWeightsError):
        weights.load(str(path))


@pytest.mark.parametrize(
    "value",
    [
        lambda was: torch.full_like(was, float("nan")),
        lambda was: torch.full_like(was, float("inf")),
        lambda was: torch.full_like(was, 3e38),  # finite, but what comes of it is not
        lambda was: was.to(torch.int32),
        lambda was: was.to(torch.complex64),
    ],
    ids=["NaN", "infinite", "too large", "integer", "complex"],
)
def test_values_that_are_no_weights(network: AVSENet, path: Path, value) -> None:  # type: ignore[no-untyped-def]
    name = "fusion.refine.0.pointwise.weight"
    rewrite(path, network.spec.to_json(), {name: value(network.state_dict()[name])})
    with pytest.raises(CorruptWeightsError, match=r"crafted\.safetensors"):
        open_network(str(path))


def test_the_specification_is_held_against_the_tensors_before_a_network_is_built(
    network: AVSENet, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = []
    init = AVSENet.__init__

    def watched(self: AVSENet, spec: AVSESpec) -> None:
        init(self, spec)
        built.append(next(self.parameters()).device.type)

    monkeypatch.setattr(AVSENet, "__init__", watched)
    wide = {**json.loads(network.spec.to_json()), "coarse_channels": 4096, "fine_channels": 4096}
    rewrite(path, json.dumps(wide))
    with pytest.raises(CorruptWeightsError, match="does not fit its own specification"):
        weights.load(str(path))
    assert built == ["meta"]


def test_what_is_out_of_sight_is_checked_alike(tmp_path: Path) -> None:
    path = tmp_path / "crafted.safetensors"
    small = OffscreenSpec(fine_channels=8, coarse_channels=8, fine_blocks=1, dilations=(1,))
    voice = VoiceprintSpec(channels=8, coarse_channels=8, dilations=(1,), size=8)
    save_offscreen(OffscreenNet(small), VoiceprintNet(voice), path)
    load_offscreen(str(path))
    state = load_file(path)
    metadata = {
        "format": "avse-offscreen-1",
        "offscreen": small.to_json(),
        "voiceprint": voice.to_json(),
    }
    for wrong, more in (
        ({"voiceprint": voice.to_json().replace('"bands": 80', '"bands": 1000000000')}, {}),
        ({"offscreen": small.to_json().replace('"fine_blocks": 1', '"fine_blocks": "1"')}, {}),
        ({}, {"stranger": torch.zeros(1)}),
        ({}, {"offscreen.enter.bias": torch.full((8,), float("nan"))}),
    ):
        save_file({**state, **more}, path, metadata={**metadata, **wrong})
        with pytest.raises(CorruptWeightsError):
            load_offscreen(str(path))
