"""The file that holds both networks of `avse.offscreen`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from avse.errors import CorruptWeightsError
from avse.models.weights import fill, find, read_weights, stored, verify, write_weights

if TYPE_CHECKING:
    from avse.models.offscreen import OffscreenNet
    from avse.models.voiceprint import VoiceprintNet
    from avse.offscreen.listening import Offscreen

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
    from avse.models.offscreen import OffscreenNet, OffscreenSpec
    from avse.models.voiceprint import VoiceprintNet, VoiceprintSpec
    from avse.offscreen.listening import Offscreen

    path, expected = find(model)
    verify(path, expected)
    metadata, state = read_weights(path)
    if metadata.get("format") != FORMAT or not {_NETWORK, _VOICEPRINT} <= metadata.keys():
        raise CorruptWeightsError(
            f"{path} holds no networks for people out of sight",
            "give a file that `avse models export` made of such a run",
        )
    network = OffscreenNet(OffscreenSpec.from_json(metadata[_NETWORK]))
    voiceprint = VoiceprintNet(VoiceprintSpec.from_json(metadata[_VOICEPRINT]))
    for name, part in ((_NETWORK, network), (_VOICEPRINT, voiceprint)):
        prefix = f"{name}."
        theirs = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        fill(part, theirs, path)
    return Offscreen(network.eval().to(device), voiceprint.eval().to(device))


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
