"""The file that holds both networks of `avse.offscreen`."""

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
    """Load both, strictly, as `avse.models.weights.load` does.

    Args:
        model: a shipped name or the path of a file.
        device: where to put them.

    Raises:
        MissingWeightsError: not there.
        CorruptWeightsError: damaged, or something else.
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
    """Load whatever kind of weights a name or a file stands for, to see whether that can be done.

    Raises:
        MissingWeightsError: not there.
        CorruptWeightsError: damaged, or something else.
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
    """Write both, with their specifications; replaced by rename.

    Raises:
        OutputError: it cannot be written.
    """
    state = stored(network.state_dict(), half=half, prefix=f"{_NETWORK}.")
    state |= stored(voiceprint.state_dict(), half=half, prefix=f"{_VOICEPRINT}.")
    metadata = {
        "format": FORMAT,
        _NETWORK: network.spec.to_json(),
        _VOICEPRINT: voiceprint.spec.to_json(),
    }
    write_weights(state, metadata, path)
