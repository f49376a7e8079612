"""Load and save the networks for off-screen speech, which share a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from avse.dsp.stft import BINS, HOPS_PER_VIDEO_FRAME
from avse.errors import CorruptWeightsError
from avse.inference.networks import open_network
from avse.inference.offscreen import OffscreenNetworks
from avse.models.graphs import Graphs, Values, graphs_of
from avse.models.spec import OffscreenSpec, VoiceprintSpec
from avse.models.weights import (
    WeightsFile,
    check_tensors,
    make,
    read_floats,
    read_header,
    read_spec,
    stored,
    write_weights,
)
from avse.types import FloatArray
from avse.utils.shipped import find, onnx_session

if TYPE_CHECKING:
    from avse.models.offscreen import OffscreenNet
    from avse.models.voiceprint import VoiceprintNet

FORMAT = "avse-offscreen-1"
_NETWORK, _VOICEPRINT = "offscreen", "voiceprint"


class ONNXOffscreen:
    """The networks for off-screen speech, computed by ONNX Runtime; see `OffscreenNetworks`.

    Args:
        voiceprint: specification of the voiceprint network.
        graphs: of the network that separates the remaining sound, and of the voiceprint network.
        values: all weights of each network, float32.

    Raises:
        CorruptWeightsError: the graphs are damaged.
    """

    def __init__(
        self,
        voiceprint: VoiceprintSpec,
        graphs: tuple[Graphs, Graphs],
        values: tuple[Values, Values],
    ) -> None:
        self.voiceprint_size = voiceprint.size
        self._shares = graphs[0].parts["shares"].open(values[0])
        self._voiceprints = graphs[1].parts["voiceprints"].open(values[1])

    def shares(self, mixture: FloatArray, left: FloatArray) -> FloatArray:
        """See `OffscreenNetworks.shares`."""
        (shares,) = self._shares(mixture=mixture[None], left=left[None])
        return np.asarray(shares[0])

    def voiceprints(self, magnitude: FloatArray) -> FloatArray:
        """See `OffscreenNetworks.voiceprints`."""
        (frames,) = self._voiceprints(magnitude=magnitude)
        return np.asarray(frames)


def load_offscreen(model: str, *, device: str = "cpu") -> OffscreenNetworks:
    """Load both networks, as strictly as `avse.inference.networks.open_network`.

    Args:
        model: the name of shipped weights or the path of a file.
        device: device of the networks.

    Raises:
        MissingWeightsError: the weights do not exist.
        CorruptWeightsError: the file is damaged or of another kind.
    """
    file, spec, voiceprint = _find(model)
    networks = _with_graphs(file, spec, voiceprint) if device == "cpu" else None
    if networks is None:
        modules = _modules(file, spec, voiceprint)
        from avse.inference.torch_networks import TorchOffscreen

        networks = TorchOffscreen(modules[0].to(device), modules[1].to(device))
    _try_out(networks, file.path)
    return networks


def _try_out(networks: OffscreenNetworks, path: Path) -> None:
    """Run the networks on a moment of noise, so that errors come before the work.

    Raises:
        CorruptWeightsError: the output is not finite.
    """
    noise = np.random.default_rng(0).random((BINS, 4 * HOPS_PER_VIDEO_FRAME), np.float32)
    with np.errstate(all="ignore"):
        answers = networks.shares(noise, noise / 2), networks.voiceprints(noise[None])
    if not all(np.isfinite(answer).all() for answer in answers):
        raise CorruptWeightsError(f"{path}: its answers are not numbers", "use other weights")


def load_offscreen_modules(model: str) -> tuple[OffscreenNet, VoiceprintNet]:
    """Load both networks as PyTorch modules, in evaluation mode, on the CPU.

    Raises:
        MissingWeightsError, CorruptWeightsError: see `load_offscreen`.
    """
    return _modules(*_find(model))


def _find(model: str) -> tuple[WeightsFile, OffscreenSpec, VoiceprintSpec]:
    """The header of a file of weights, and the specifications in it."""
    file = read_header(*find(model))
    if file.metadata.get("format") != FORMAT or not {_NETWORK, _VOICEPRINT} <= file.metadata.keys():
        raise CorruptWeightsError(
            f"{file.path} holds no networks for people out of sight",
            "give a file that `avse models export` made of such a run",
        )
    specs = read_spec(OffscreenSpec, file, _NETWORK), read_spec(VoiceprintSpec, file, _VOICEPRINT)
    return file, *specs


def _with_graphs(
    file: WeightsFile, spec: OffscreenSpec, voiceprint: VoiceprintSpec
) -> OffscreenNetworks | None:
    """The networks with ONNX Runtime; None if they have no graphs."""
    graphs = graphs_of("offscreen", spec), graphs_of("voiceprint", voiceprint)
    if graphs[0] is None or graphs[1] is None:
        return None
    needed = {f"{_NETWORK}.{name}": about for name, about in graphs[0].tensors.items()}
    needed |= {f"{_VOICEPRINT}.{name}": about for name, about in graphs[1].tensors.items()}
    check_tensors(file, needed)
    values = read_floats(file, f"{_NETWORK}."), read_floats(file, f"{_VOICEPRINT}.")
    if values[0] is None or values[1] is None:
        return None
    return ONNXOffscreen(voiceprint, (graphs[0], graphs[1]), (values[0], values[1]))


def _modules(
    file: WeightsFile, spec: OffscreenSpec, voiceprint: VoiceprintSpec
) -> tuple[OffscreenNet, VoiceprintNet]:
    """The networks as PyTorch modules."""

    def network() -> OffscreenNet:
        from avse.models.offscreen import OffscreenNet

        return OffscreenNet(spec)

    def prints() -> VoiceprintNet:
        from avse.models.voiceprint import VoiceprintNet

        return VoiceprintNet(voiceprint)

    made = make(file, {f"{_NETWORK}.": network, f"{_VOICEPRINT}.": prints})
    return cast("OffscreenNet", made[0]), cast("VoiceprintNet", made[1])


def check_weights(model: str) -> None:
    """Check that weights of any kind can be loaded.

    Raises:
        MissingWeightsError: the weights do not exist.
        CorruptWeightsError: the file is damaged or of another kind.
    """
    path, expected = find(model)
    if path.suffix == ".onnx":
        onnx_session(path, 1)
    elif read_header(path, expected).metadata.get("format") == FORMAT:
        load_offscreen(model)
    else:
        open_network(model)


def save_offscreen(
    network: OffscreenNet, voiceprint: VoiceprintNet, path: Path, *, half: bool = True
) -> None:
    """Write both networks with their specifications, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    state = stored(network.state_dict(), half=half, prefix=f"{_NETWORK}.")
    state |= stored(voiceprint.state_dict(), half=half, prefix=f"{_VOICEPRINT}.")
    metadata = {
        "format": FORMAT,
        _NETWORK: network.spec.to_json(),
        _VOICEPRINT: voiceprint.spec.to_json(),
    }
    write_weights(state, metadata, path)
