"""Weights: where they lie, whether they are what they should be, and how to write them.

PyTorch is imported by what loads and saves only: finding and checking weights is quick.

A weights file is safetensors; its metadata holds the `AVSESpec` that rebuilds the network and a
short description. `pretrained/index.json` lists the shipped ones with their sha256.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avse.errors import CorruptWeightsError, MissingWeightsError
from avse.hashing import sha256

if TYPE_CHECKING:
    import torch
    from torch import nn

    from avse.models.network import AVSENet

FORMAT = "avse-1"
SEPARATION, OFFSCREEN = "separation", "offscreen"


@dataclass(frozen=True)
class ShippedModel:
    """An entry of `pretrained/index.json`.

    Attributes:
        name: what `--model` takes.
        path: of the file.
        sha256: that it must have.
        description: one line.
        licence: terms of the weights.
        data: what it was trained on, one line.
        quality: what was measured, one line.
        kind: "separation", or "offscreen", which separation is helped by.
    """

    name: str
    path: Path
    sha256: str
    description: str
    licence: str
    data: str
    quality: str
    kind: str

    @property
    def megabytes(self) -> float:
        """Size of the file, 0 if it is absent."""
        return self.path.stat().st_size / 1e6 if self.path.is_file() else 0.0


def pretrained_folder() -> Path:
    """Where the shipped weights lie: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parents[1]
    inside = package / "pretrained"
    return inside if inside.is_dir() else package.parent / "pretrained"


def shipped() -> list[ShippedModel]:
    """The models that come with avse, the default first."""
    index = pretrained_folder() / "index.json"
    if not index.is_file():
        return []
    entries: list[dict[str, str]] = json.loads(index.read_text(encoding="utf-8"))
    return [
        ShippedModel(
            entry["name"],
            index.parent / entry["file"],
            entry["sha256"],
            entry["description"],
            entry["licence"],
            entry["data"],
            entry["quality"],
            entry.get("kind", SEPARATION),
        )
        for entry in entries
    ]


def find(model: str) -> tuple[Path, str | None]:
    """Path of a model's weights, and the hash they must have (None for a user's own file).

    Raises:
        MissingWeightsError: no such name or file.
    """
    for entry in shipped():
        if entry.name == model:
            if not entry.path.is_file():
                raise MissingWeightsError(
                    f"the weights of {model!r} are not at {entry.path}", "reinstall avse"
                )
            return entry.path, entry.sha256
    path = Path(model).expanduser()
    if path.is_file():
        return path, None
    names = ", ".join(entry.name for entry in shipped()) or "none are installed"
    raise MissingWeightsError(
        f"there is no model {model!r}", f"give the path of a .safetensors file, or one of: {names}"
    )


def verify(path: Path, expected: str | None) -> str:
    """Check a file against the hash it must have, and give its hash.

    Raises:
        CorruptWeightsError: they differ.
    """
    found = sha256(path)
    if expected is not None and found != expected:
        raise CorruptWeightsError(
            f"{path} is damaged: its sha256 is {found[:12]}…, not {expected[:12]}…",
            "reinstall avse, or fetch the file again",
        )
    return found


def find_verified(model: str) -> str:
    """The hash of a model's weights, checked.

    Raises:
        MissingWeightsError: no such name or file.
        CorruptWeightsError: not those that it must be.
    """
    return verify(*find(model))


def load(model: str, *, device: str = "cpu") -> AVSENet:
    """Load a network, strictly: every weight present, none left over, hash as listed.

    Args:
        model: a shipped name or the path of a file.
        device: where to put it.

    Raises:
        MissingWeightsError: not there.
        CorruptWeightsError: damaged, or not made for this version.
    """
    from avse.models.network import AVSENet
    from avse.models.spec import AVSESpec

    path, expected = find(model)
    verify(path, expected)
    metadata, state = read_weights(path)
    if metadata.get("format") != FORMAT or "spec" not in metadata:
        raise CorruptWeightsError(
            f"{path} holds no network that separates", "give a .safetensors file made by avse"
        )
    network = AVSENet(AVSESpec.from_json(metadata["spec"]))
    fill(network, state, path)
    return network.eval().to(device)


def read_weights(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and values of a file of weights, as they are stored.

    Raises:
        CorruptWeightsError: it is none.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CorruptWeightsError(
            f"{path} is not a weights file: {error}", "give a .safetensors file made by avse"
        ) from error


def fill(network: nn.Module, state: dict[str, torch.Tensor], path: Path) -> None:
    """Put stored values into a network, strictly: all that it needs, and nothing else.

    Raises:
        CorruptWeightsError: they do not fit.
    """
    try:
        network.load_state_dict({k: widen(v) for k, v in state.items()}, strict=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise CorruptWeightsError(
            f"{path} does not fit its own specification: {reason}", "fetch the file again"
        ) from error


def widen(value: torch.Tensor) -> torch.Tensor:
    """Stored halves become floats; the network computes in float32."""
    return value.float() if value.is_floating_point() else value


def save(network: AVSENet, path: Path, *, half: bool = False, **notes: str) -> None:
    """Write a network's weights with its specification.

    Args:
        network: what to write.
        path: where; replaced by rename.
        half: store 16-bit floats, which halves the file.
        notes: further metadata.

    Raises:
        OutputError: it cannot be written.
    """
    write_weights(
        stored(network.state_dict(), half=half),
        {"format": FORMAT, "spec": network.spec.to_json(), **notes},
        path,
    )


def stored(state: dict[str, Any], *, half: bool, prefix: str = "") -> dict[str, Any]:
    """Values as they are stored, under names that begin with `prefix`."""
    out: dict[str, Any] = {}
    for name, value in state.items():
        value = value.detach().cpu().contiguous()
        # Running statistics and the whitening of lips span too many magnitudes for 16 bits.
        small = half and value.is_floating_point() and value.dim() > 1 and "components" not in name
        out[prefix + name] = value.half() if small else value
    return out


def write_weights(state: dict[str, Any], metadata: dict[str, str], path: Path) -> None:
    """Write a file of weights; replaced by rename.

    Raises:
        OutputError: it cannot be written.
    """
    from safetensors.torch import save_file

    from avse.media.placing import appearing

    with appearing(path) as temporary:
        save_file(state, temporary, metadata=metadata)
        temporary.chmod(0o644)  # safetensors writes for the owner alone; weights are for everybody
