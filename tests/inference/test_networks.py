"""ONNX Runtime and PyTorch give the same masks, and separation does without PyTorch."""

from __future__ import annotations

import dataclasses
import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import avse
from avse.dsp.stft import BINS, FRAME_RATE, HOPS_PER_VIDEO_FRAME, SAMPLE_RATE
from avse.errors import CorruptWeightsError, MissingExtraError, UsageError
from avse.faces.lips import LipSequence
from avse.inference.mask_estimator import MaskEstimator
from avse.inference.networks import (
    Estimate,
    GPUMemoryError,
    ONNXNetwork,
    as_network,
    open_network,
)
from avse.inference.offscreen import offscreen_features
from avse.inference.offscreen_weights import (
    ONNXOffscreen,
    load_offscreen,
    load_offscreen_modules,
    save_offscreen,
)
from avse.inference.torch_networks import TorchNetwork, TorchOffscreen
from avse.models import device, graphs
from avse.models.network import AVSENet
from avse.models.offscreen import OffscreenNet
from avse.models.spec import OffscreenSpec, VoiceprintSpec
from avse.models.voiceprint import VoiceprintNet
from avse.models.weights import FORMAT, load, save
from avse.types import ComplexArray, FloatArray
from avse.utils import shipped

SHIPPED = shipped.pretrained_folder() / "avse-small.safetensors"


@pytest.fixture(scope="module")
def both() -> tuple[ONNXNetwork, TorchNetwork]:
    """The shipped network, with ONNX Runtime and with PyTorch."""
    network = open_network("avse-small")
    assert isinstance(network, ONNXNetwork)
    return network, TorchNetwork(load("avse-small"))


def drawn(seed: int, frames: int) -> ComplexArray:
    parts = np.random.default_rng(seed).normal(size=(2, BINS, HOPS_PER_VIDEO_FRAME * frames))
    return np.asarray(parts[0] + 1j * parts[1], np.complex64)


def floats(seed: int, *shape: int) -> FloatArray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("people", "frames"), [(1, 2), (2, 50), (5, 13)])
def test_both_runtimes_give_the_same_masks(
    both: tuple[ONNXNetwork, TorchNetwork], people: int, frames: int
) -> None:
    points = 0.01 * floats(1, people, frames, 43, 3)
    seen = (np.random.default_rng(2).random((people, frames)) > 0.2).astype(np.float32)
    presence = np.random.default_rng(3).random((people, frames)).astype(np.float32)
    voices = floats(4, people, 128)
    voices[0] = 0
    for known in (None, voices):
        for there in (None, presence):
            found = [
                network.estimate(
                    drawn(5, frames),
                    np.stack([network.projection(one) for one in points]),
                    seen,
                    there,
                    known,
                )
                for network in both
            ]
            np.testing.assert_allclose(found[0].masks, found[1].masks, atol=1e-5)
            np.testing.assert_allclose(found[0].activity, found[1].activity, atol=1e-4)
            np.testing.assert_allclose(found[0].lips, found[1].lips, atol=1e-5)


def test_both_runtimes_give_the_same_embeddings(both: tuple[ONNXNetwork, TorchNetwork]) -> None:
    assert both[0].gain == pytest.approx(both[1].gain, rel=1e-5)
    components, seen = floats(1, 16, 20), np.ones(20, np.float32)
    lips = [network.lip_embedding(components, seen) for network in both]
    np.testing.assert_allclose(*lips, atol=1e-5)
    voices = [network.voice_embedding(np.abs(floats(2, 3, BINS, 80))) for network in both]
    np.testing.assert_allclose(*voices, atol=1e-4)


def test_both_runtimes_give_the_same_off_screen_features() -> None:
    networks = (
        load_offscreen("avse-offscreen"),
        TorchOffscreen(*load_offscreen_modules("avse-offscreen")),
    )
    assert isinstance(networks[0], ONNXOffscreen)
    masks = 0.3 * np.stack([drawn(1, 20), drawn(2, 20)])
    found = [offscreen_features(one, drawn(3, 20), masks) for one in networks]
    np.testing.assert_allclose(found[0].shares, found[1].shares, atol=1e-4)
    np.testing.assert_allclose(found[0].prints, found[1].prints, atol=1e-4)


@pytest.mark.parametrize(
    ("kind", "network"),
    [
        ("separation", lambda: load("avse-small")),
        ("offscreen", lambda: OffscreenNet(OffscreenSpec())),
        ("voiceprint", lambda: VoiceprintNet(VoiceprintSpec())),
    ],
)
def test_the_listed_weights_are_those_of_the_networks(kind, network) -> None:  # type: ignore[no-untyped-def]
    made = network()
    found = graphs.graphs_of(kind, made.spec)
    assert found is not None, "run examples/export_graphs.py"
    assert found.tensors == {
        name: (tuple(value.shape), value.is_floating_point())
        for name, value in made.state_dict().items()
    }


def test_separation_does_without_pytorch() -> None:
    """The import of PyTorch takes over a second and half a gigabyte."""
    code = (
        "import sys; import numpy as np; import avse;"
        "from avse.faces.lips import LipSequence;"
        "lips = LipSequence(0, np.zeros((50, 43, 3), np.float32), np.ones((50, 43), np.float32));"
        "avse.Separator(device='cpu').separate_arrays(np.ones(32000, 'f4'), 16000, [lips, lips]);"
        "import avse.separation.job, avse.sync.measuring, avse.diarization.who;"
        "print('torch' in sys.modules, 'scipy' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "False False\n"


def test_a_network_without_a_graph_is_left_to_pytorch(network: AVSENet) -> None:
    assert isinstance(as_network(network), TorchNetwork)
    assert graphs.graphs_of("separation", network.spec) is None


def rewritten(path: Path, change: dict[str, torch.Tensor | None]) -> str:
    """A copy of the shipped weights with other tensors, or without some."""
    state = {**load_file(SHIPPED), **change}
    spec = load("avse-small").spec.to_json()
    kept = {name: value for name, value in state.items() if value is not None}
    save_file(kept, path, metadata={"format": FORMAT, "spec": spec})
    return str(path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"fusion.mask.bias": None}, "missing"),
        ({"extra": torch.zeros(1)}, "left over"),
        ({"fusion.mask.bias": torch.zeros(3)}, "not"),
        ({"fusion.mask.bias": torch.zeros(BINS, dtype=torch.int32)}, "type"),
        ({"fusion.mask.bias": torch.full((BINS,), float("nan"))}, "NaN"),
        ({"fusion.mask.bias": torch.full((BINS,), 1e300, dtype=torch.float64)}, "infinite"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_weights_that_do_not_fit_the_graph_are_refused(
    tmp_path: Path, change: dict[str, torch.Tensor | None], reason: str
) -> None:
    with pytest.raises(CorruptWeightsError, match=reason):
        open_network(rewritten(tmp_path / "w.safetensors", change))


def test_types_that_numpy_lacks_are_left_to_pytorch(tmp_path: Path) -> None:
    bias = load_file(SHIPPED)["fusion.mask.bias"].to(torch.bfloat16)
    network = open_network(rewritten(tmp_path / "w.safetensors", {"fusion.mask.bias": bias}))
    assert isinstance(network, TorchNetwork)


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the graphs, which avse uses."""
    folder = tmp_path / "pretrained"
    shutil.copytree(shipped.pretrained_folder() / graphs.FOLDER, folder / graphs.FOLDER)
    monkeypatch.setattr(graphs, "pretrained_folder", lambda: folder)
    graphs._read.cache_clear()
    yield folder / graphs.FOLDER
    graphs._read.cache_clear()


@pytest.mark.parametrize("part", ["masks", "lips", "voices"])
def test_a_damaged_or_missing_graph_is_told(copied: Path, part: str) -> None:
    graph = copied / f"avse-small.{part}.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptWeightsError, match=rf"avse-small\.{part}\.onnx is damaged"):
        open_network("avse-small")
    graph.unlink()
    with pytest.raises(CorruptWeightsError, match=rf"avse-small\.{part}\.onnx cannot be read"):
        open_network("avse-small")


@pytest.mark.parametrize("text", [None, "[", "{}x", '{"a": 1}', "[1]", "[{}]", '"text"', "null"])
def test_a_damaged_or_missing_list_of_graphs_is_told(copied: Path, text: str | None) -> None:
    if text is None:
        (copied / graphs.INDEX).unlink()
    else:
        (copied / graphs.INDEX).write_text(text)
    with pytest.raises(CorruptWeightsError, match=r"index\.json is missing or damaged") as caught:
        open_network("avse-small")
    assert caught.value.hint == "reinstall avse"


def test_dropout_does_not_matter() -> None:
    spec = load("avse-small").spec
    found = graphs.graphs_of("separation", dataclasses.replace(spec, dropout=0.5))
    assert found is not None
    assert graphs.graphs_of("separation", dataclasses.replace(spec, compression=0.5)) is None


def test_networks_whose_answers_are_not_numbers_are_refused(tmp_path: Path) -> None:
    loud = rewritten(tmp_path / "w.safetensors", {"voice.gain": torch.tensor(1000.0)})
    with pytest.raises(CorruptWeightsError, match="not numbers"):
        open_network(loud)
    network, voiceprint = load_offscreen_modules("avse-offscreen")
    with torch.no_grad():
        network.leave.weight.fill_(3e38)
    save_offscreen(network, voiceprint, tmp_path / "off.safetensors", half=False)
    with pytest.raises(CorruptWeightsError, match="not numbers"):
        load_offscreen(str(tmp_path / "off.safetensors"))


def test_lips_that_are_never_seen_are_no_trouble() -> None:
    lips = LipSequence(0, np.zeros((50, 43, 3), np.float32), np.zeros((50, 43), np.float32))
    separator = avse.Separator(device="cpu")
    assert separator.separate_arrays(floats(1, 1, 32_000), 16_000, [lips]).shape == (1, 1, 32_000)
    assert separator.separate_arrays(floats(1, 1, 32_000), 16_000, []).shape == (0, 1, 32_000)


def test_onnx_runtime_sends_and_stores_nothing(tmp_path: Path) -> None:
    """From 1.32 on, it has telemetry on Linux."""
    code = "import avse; avse.load_network('avse-small')"
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not list(tmp_path.rglob("*onnxruntime*"))


@pytest.fixture
def _without_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "torch"]:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("_without_pytorch")
def test_without_pytorch_the_processor_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "may_have_gpu", lambda: True)
    assert device.pick_device("auto") == "cpu"
    assert isinstance(open_network("avse-small"), ONNXNetwork)
    assert isinstance(load_offscreen("avse-offscreen"), ONNXOffscreen)


def test_what_needs_pytorch_says_so(
    network: AVSENet, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    save(network, tmp_path / "tiny.safetensors")
    request.getfixturevalue("_without_pytorch")
    for attempt in (
        lambda: device.pick_device("cuda"),
        lambda: open_network(str(tmp_path / "tiny.safetensors")),
        lambda: open_network("avse-small", device="cuda"),
        lambda: load_offscreen("avse-offscreen", device="cuda"),
    ):
        with pytest.raises(MissingExtraError, match="needs PyTorch") as caught:
            attempt()
        assert caught.value.hint == 'pip install "avse[torch]"'
    with pytest.raises(UsageError, match="no device 'banana'"):
        device.pick_device("banana")


def test_a_pytorch_that_cannot_be_loaded_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch").mkdir()  # what an incomplete removal leaves
    monkeypatch.setattr(device, "may_have_gpu", lambda: True)
    for name in [n for n in sys.modules if n.partition(".")[0] == "torch"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.setattr(sys, "path_importer_cache", {})
    assert not device.has_torch()
    assert device.pick_device("auto") == "cpu"
    (tmp_path / "torch" / "__init__.py").write_text("raise OSError('libtorch_cpu.so is missing')")
    importlib.invalidate_caches()
    assert device.pick_device("auto") == "cpu"
    with pytest.raises(MissingExtraError, match=r"cannot be loaded: libtorch_cpu\.so is missing"):
        device.pick_device("cuda")


class NoMemory(TorchNetwork):
    """A network on a GPU with memory for windows of two seconds."""

    def estimate(self, mixture: ComplexArray, *inputs: Any) -> Estimate:
        if mixture.shape[-1] > 2 * FRAME_RATE:
            raise GPUMemoryError("out of memory")
        return super().estimate(mixture, *inputs)


def test_windows_that_do_not_fit_into_the_gpu_are_halved(network: AVSENet) -> None:
    lips = LipSequence(0, floats(1, 200, 43, 3), np.ones((200, 43), np.float32))
    sound = floats(2, 1, 8 * SAMPLE_RATE)
    estimator = MaskEstimator(NoMemory(network), [lips], window_s=4.0, overlap=0.5)
    masks = np.concatenate([block.masks for block in estimator.masks([sound])], axis=-1)
    assert masks.shape == (1, BINS, 801)
    assert estimator.halved == 4  # each of the windows


def test_pytorch_out_of_memory_is_told_as_such(
    network: AVSENet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(AVSENet, "forward", fails)
    with pytest.raises(GPUMemoryError):
        TorchNetwork(network).estimate(drawn(1, 4), floats(2, 1, 16, 4), np.ones((1, 4), "f4"))
