"""Write the ONNX graphs with which avse separates without PyTorch.

A graph holds the operations of a network and the names of its weights, not their values: those stay
in the `.safetensors` file. So one graph serves all weights of its specification. Run this again
when the code of a network in `avse.models` changes, or when shipped weights have a new
specification:

    pip install onnx onnxscript
    python examples/export_graphs.py
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import TensorProto
from torch import Tensor, nn
from torch.export import Dim

from avse.dsp.stft import BINS, HOPS_PER_VIDEO_FRAME
from avse.models.graphs import FOLDER, INDEX
from avse.models.network import AVSENet, Spectrum
from avse.models.offscreen import OffscreenNet
from avse.models.spec import PRESETS, AVSESpec, OffscreenSpec, VoiceprintSpec
from avse.models.voiceprint import VoiceprintNet
from avse.utils.shipped import pretrained_folder

OPSET = 18
FACES, VIDEO_FRAMES = 3, 9
"""Sizes of the inputs that are traced; the graphs take any."""

PREFIX = "network."
"""What the exporter puts before the names of weights: the attribute of the modules below."""


class Masks(nn.Module):
    """`AVSENet.estimate` for the faces of one picture."""

    def __init__(self, network: AVSENet) -> None:
        super().__init__()
        self.network = network

    def forward(
        self,
        real: Tensor,
        imaginary: Tensor,
        components: Tensor,
        seen: Tensor,
        presence: Tensor,
        voices: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return masks (faces, 2, bins, frames), activity and lip embeddings."""
        spectrum = Spectrum((real.square() + imaginary.square()).sqrt(), real, imaginary)
        mask, rotation, activity, lips = self.network.estimate(
            spectrum, components, seen, None, presence, voices
        )
        return mask[:, None] * rotation, activity, lips


class Lips(nn.Module):
    """The visual stream."""

    def __init__(self, network: AVSENet) -> None:
        super().__init__()
        self.network = network

    def forward(self, components: Tensor, seen: Tensor) -> Tensor:
        """Return lip embeddings."""
        out: Tensor = self.network.visual(components, seen)
        return out


class Voices(nn.Module):
    """The voice stream."""

    def __init__(self, network: AVSENet) -> None:
        super().__init__()
        self.network = network

    def forward(self, magnitude: Tensor) -> Tensor:
        """Return voice embeddings."""
        out: Tensor = self.network.voice(magnitude)
        return out


class Shares(nn.Module):
    """The network for off-screen speech."""

    def __init__(self, network: OffscreenNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, mixture: Tensor, left: Tensor) -> Tensor:
        """Return shares of the residual."""
        out: Tensor = self.network(mixture, left)
        return out


class Voiceprints(nn.Module):
    """The voiceprint network."""

    def __init__(self, network: VoiceprintNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, magnitude: Tensor) -> Tensor:
        """Return frames of voiceprints."""
        out: Tensor = self.network(magnitude)
        return out


@dataclass(frozen=True)
class Part:
    """A graph to export.

    Attributes:
        module: what it computes.
        inputs: shape of each input, in terms of the sizes "faces", "video" (frames), "frames" of
            the STFT, and numbers.
        outputs: names of the outputs.
    """

    module: nn.Module
    inputs: dict[str, tuple[int | str, ...]]
    outputs: tuple[str, ...]


def separation(spec: AVSESpec) -> tuple[nn.Module, dict[str, Part]]:
    """The graphs of an `AVSENet`."""
    network, lips = AVSENet(spec), ("faces", spec.lip_components, "video")
    inputs: dict[str, tuple[int | str, ...]] = {
        "real": (1, BINS, "frames"),
        "imaginary": (1, BINS, "frames"),
        "components": lips,
        "seen": ("faces", "video"),
        "presence": ("faces", "video"),
    }
    if spec.enrolment:
        inputs["voices"] = ("faces", spec.enrolment)
    return network, {
        "masks": Part(Masks(network), inputs, ("masks", "activity", "lips")),
        "lips": Part(Lips(network), {"components": lips, "seen": ("faces", "video")}, ("lips",)),
        "voices": Part(Voices(network), {"magnitude": ("faces", BINS, "frames")}, ("embedding",)),
    }


def offscreen(spec: OffscreenSpec) -> tuple[nn.Module, dict[str, Part]]:
    """The graph of an `OffscreenNet`."""
    network = OffscreenNet(spec)
    inputs: dict[str, tuple[int | str, ...]] = dict.fromkeys(
        ("mixture", "left"), (1, BINS, "frames")
    )
    return network, {"shares": Part(Shares(network), inputs, ("shares",))}


def voiceprint(spec: VoiceprintSpec) -> tuple[nn.Module, dict[str, Part]]:
    """The graph of a `VoiceprintNet`."""
    network = VoiceprintNet(spec)
    part = Part(Voiceprints(network), {"magnitude": ("faces", BINS, "frames")}, ("prints",))
    return network, {"voiceprints": part}


def export(part: Part) -> onnx.ModelProto:
    """Trace a part; the names of its weights are those of the network's `state_dict`."""
    video = Dim("video", min=2, max=1 << 20)
    sizes: dict[str, Any] = {
        "faces": Dim("faces", min=1, max=1 << 10),
        "video": video,
        "frames": HOPS_PER_VIDEO_FRAME * video,
    }
    traced = {"faces": FACES, "video": VIDEO_FRAMES, "frames": HOPS_PER_VIDEO_FRAME * VIDEO_FRAMES}
    shapes = part.inputs.values()
    program = torch.onnx.export(
        part.module.eval(),
        tuple(torch.rand([traced[n] if isinstance(n, str) else n for n in one]) for one in shapes),
        dynamo=True,
        optimize=False,
        opset_version=OPSET,
        input_names=list(part.inputs),
        output_names=list(part.outputs),
        dynamic_shapes=[
            {axis: sizes[n] for axis, n in enumerate(one) if isinstance(n, str)} for one in shapes
        ],
        verbose=False,
    )
    assert program is not None
    return without_values(program.model_proto)


def without_values(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove the values of the weights, and what the exporter notes about the source code."""
    graph = model.graph
    weights = {one.name for one in graph.initializer if one.name.startswith(PREFIX)}
    for weight in graph.initializer:
        if weight.name in weights:  # else a constant
            weight.name = weight.name.removeprefix(PREFIX)
            weight.ClearField("raw_data")
            weight.data_location = TensorProto.EXTERNAL
            weight.external_data.add(key="location", value="weights")  # nothing is read from there
    for node in graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
        for n, name in enumerate(node.input):
            if name in weights:
                node.input[n] = name.removeprefix(PREFIX)
    for value in (*graph.input, *graph.output):
        value.ClearField("metadata_props")
    graph.ClearField("metadata_props")
    graph.ClearField("value_info")
    return model


def write(
    kind: str,
    name: str,
    spec: Any,
    make: Callable[[Any], tuple[nn.Module, dict[str, Part]]],
    folder: Path,
) -> dict[str, Any]:
    """Export the graphs of a specification; return their entry in the list."""
    network, parts = make(spec)
    values = network.state_dict()
    graphs = {}
    for part_name, part in parts.items():
        model = export(part)
        file = folder / f"{name}.{part_name}.onnx"
        file.write_bytes(model.SerializeToString())
        graphs[part_name] = {
            "file": file.name,
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "weights": [one.name for one in model.graph.initializer if one.name in values],
        }
        print(f"{file}: {file.stat().st_size / 1e3:.0f} kB, {len(model.graph.node)} operations")
    return {
        "kind": kind,
        "spec": json.loads(spec.to_json()),
        "tensors": {name: list(value.shape) for name, value in values.items()},
        "integers": [name for name, value in values.items() if not value.is_floating_point()],
        "graphs": graphs,
    }


def main() -> None:
    """Export the graphs of all shipped weights."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=pretrained_folder() / FOLDER)
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    entries = [
        write("separation", "avse-small", PRESETS["avse-small"], separation, folder),
        write("offscreen", "offscreen", OffscreenSpec(), offscreen, folder),
        write("voiceprint", "voiceprint", VoiceprintSpec(), voiceprint, folder),
    ]
    lines = ",\n".join(json.dumps(entry) for entry in entries)
    (folder / INDEX).write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
