"""Quantize the networks for faces to 8-bit integers: centerface, avse-face and avse-mouth.

    pip install avse onnx
    python examples/quantize_faces.py detector FLOAT.onnx FOLDER -o pretrained/centerface.onnx
    python examples/quantize_faces.py face FLOAT.onnx FOLDER -o pretrained/avse-face.onnx
    python examples/quantize_faces.py mouth FLOAT.onnx FOLDER -o pretrained/avse-mouth.onnx

FOLDER holds videos or pictures of people; every tenth picture is used to set the ranges of the
activations. Weights have 7 bits, because 8 bits would overflow on processors without 8-bit dot
products (AVX2, older AVX-512). Two parts of the detector stay in 32-bit floats: its first twelve
layers, without which faces of 16 pixels are not detected, and its last convolutions, which keep the
accuracy of boxes. `benchmarks/faces_found.py` measures the loss. In the face network, all
convolutions are quantized; its points move by 0.06 of 112 pixels on average. In the mouth network,
all convolutions but the first are quantized; this moves the lips by 0.0004 eye distances (root mean
square; talking moves them by 0.017).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from onnx import version_converter
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from avse.errors import MediaError
from avse.faces.centerface import SIDE, CenterFace, network_input
from avse.faces.detect import Image
from avse.faces.native_backend import FACE_PX, NativeBackend, as_batch, face_place, square
from avse.media.frames import read_frames

OPSET = 13  # the first version with a scale for each channel of the weights
EVERY = 10

Feed = dict[str, Any]


class Inputs(CalibrationDataReader):  # type: ignore[misc]
    """Inputs of a network for calibration."""

    def __init__(self, feeds: Iterator[Feed]) -> None:
        self._feeds = feeds

    def get_next(self) -> Feed | None:
        """Return the next input; None after the last."""
        return next(self._feeds, None)


def images(folder: Path) -> Iterator[Image]:
    """Read every tenth frame of each video or picture in a folder."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            for count, frame in enumerate(read_frames(path)):
                if count % EVERY == 0:
                    yield frame.image
        except MediaError:
            continue


def detector_inputs(folder: Path) -> Iterator[Feed]:
    """Scale pictures to the input size of the detector."""
    for image in images(folder):
        yield {"picture": network_input(image, SIDE)[0]}


def face_inputs(folder: Path) -> Iterator[Feed]:
    """Crop squares around faces."""
    detector = CenterFace()
    for image in images(folder):
        for face in detector.detect(image):
            yield {"crops": as_batch([square(image, *face_place(face.box), FACE_PX)])}


def detector_in_floats(network: onnx.ModelProto) -> list[Any]:
    """The layers of the detector that stay in floats: the first twelve, and the output layers."""
    kept = list(network.graph.node[:12])
    makers = {name: node for node in network.graph.node for name in node.output}
    for node in [makers[output.name] for output in network.graph.output]:
        kept += [makers[node.input[0]], node] if node.op_type == "Sigmoid" else [node]
    return kept


def face_in_floats(network: onnx.ModelProto) -> list[Any]:
    """The layers of the face network that stay in floats: the two fully connected ones."""
    return [node for node in network.graph.node if node.op_type == "Gemm"]


def mouth_inputs(folder: Path) -> Iterator[Feed]:
    """Crop squares around mouths."""
    backend = NativeBackend()
    for image in images(folder):
        boxes = [face.box for face in backend.close_detector.detect(image)]
        for face in backend.faces(image, boxes):
            if face is not None:
                yield {"crops": as_batch([backend.mouth(image, face).crop])}


def mouth_in_floats(network: onnx.ModelProto) -> list[Any]:
    """The layers of the mouth network that stay in floats: up to the first convolution, and those
    from the fully connected ones on."""
    nodes = list(network.graph.node)
    operations = [node.op_type for node in nodes]
    first = operations.index("Conv") + 1
    return [*nodes[:first], *nodes[operations.index("Flatten") :]]


NETWORKS = {
    "mouth": (mouth_inputs, mouth_in_floats),
    "detector": (detector_inputs, detector_in_floats),
    "face": (face_inputs, face_in_floats),
}


def quantize(network_name: str, source: Path, folder: Path, target: Path) -> None:
    """Write a network with 8-bit integers.

    Args:
        network_name: a key of `NETWORKS`.
        source: the ONNX file, in floats.
        folder: videos or pictures for the ranges of the activations.
        target: the ONNX file to write.
    """
    inputs, in_floats = NETWORKS[network_name]
    with tempfile.TemporaryDirectory() as temporary:
        plain = Path(temporary, "plain.onnx")
        network = onnx.load(source)
        if network.opset_import[0].version < OPSET:
            network = version_converter.convert_version(network, OPSET)
        onnx.save(network, plain)
        quant_pre_process(plain, plain, skip_symbolic_shape=True)
        network = onnx.load(plain)
        for number, node in enumerate(network.graph.node):
            node.name = f"node{number}"
        onnx.save(network, plain)
        quantize_static(
            plain,
            target,
            Inputs(inputs(folder)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=[node.name for node in in_floats(network)],
        )


def main() -> None:
    """Read the options, and quantize a network."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network", choices=NETWORKS, help="which network it is")
    parser.add_argument("source", type=Path, help="network in floats, ONNX")
    parser.add_argument("folder", type=Path, help="folder of videos or pictures of people")
    parser.add_argument("-o", "--output", type=Path, required=True, help="ONNX file to write")
    options = parser.parse_args()
    quantize(options.network, options.source, options.folder, options.output)
    print(f"{options.output}: {options.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
