"""Load and save the networks for off-screen speech, which share a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avse.errors import CorruptWeightsError
from avse.faces.centerface import CenterFace
from avse.models.weights import load, make, read_header, read_spec, stored, write_weights
from avse.utils.shipped import find, verify

if TYPE_CHECKING:
    from avse.inference.offscreen import Offscreen
    from avse.models.offscreen import OffscreenNet
    from avse.models.voiceprint import VoiceprintNet

FORMAT = "avse-offscreen-1"
_NETWORK, _VOICEPRINT = "offscreen", "voiceprint"


def load_offscreen(model: str, *, device: str = "cpu") -> Offscreen:
    """Load both networks, as strictly as `avse.models.weights.load`.

    Args:
        model: the name of shipped weights or the path of a file.
        device: device of the networks.

    Raises:
        MissingWeightsError: the weights do not exist.
        CorruptWeightsError: the file is damaged or of another kind.
    """
    from avse.inference.offscreen import Offscreen
    from avse.models.offscreen import OffscreenNet, OffscreenSpec
    from avse.models.voiceprint import VoiceprintNet, VoiceprintSpec

    path, expected = find(model)
    verify(path, expected)
    file = read_header(path)
    if file.metadata.get("format") != FORMAT or not {_NETWORK, _VOICEPRINT} <= file.metadata.keys():
        raise CorruptWeightsError(
            f"{path} holds no networks for people out of sight",
            "give a file that `avse models export` made of such a run",
        )
    specs = (
        read_spec(OffscreenSpec, file, _NETWORK),
        read_spec(VoiceprintSpec, file, _VOICEPRINT),
    )
    network, voiceprint = make(
        file,
        {
            f"{_NETWORK}.": lambda: OffscreenNet(specs[0]),
            f"{_VOICEPRINT}.": lambda: VoiceprintNet(specs[1]),
        },
    )
    assert isinstance(network, OffscreenNet)
    assert isinstance(voiceprint, VoiceprintNet)
    return Offscreen(network.to(device), voiceprint.to(device))


def check_weights(model: str) -> None:
    """Check that weights of any kind can be loaded.

    Raises:
        MissingWeightsError: the weights do not exist.
        CorruptWeightsError: the file is damaged or of another kind.
    """
    path, expected = find(model)
    verify(path, expected)
    if path.suffix == ".onnx":
        CenterFace()
    elif read_header(path).metadata.get("format") == FORMAT:
        load_offscreen(model)
    else:
        load(model)


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
