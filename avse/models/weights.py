"""Read and write files of weights, strictly.

Only `load`, `make` and saving import PyTorch.

A weights file is safetensors; its metadata holds the `AVSESpec` that rebuilds the network and a
short description. `avse.utils.shipped` finds those that come with avse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import numpy as np
import numpy.typing as npt

from avse.errors import CorruptWeightsError
from avse.models.device import check_torch
from avse.utils.shipped import find, verify

if TYPE_CHECKING:
    import torch
    from torch import nn

    from avse.models.network import AVSENet
    from avse.models.spec import AVSESpec, Spec

AnySpec = TypeVar("AnySpec", bound="Spec")

FORMAT = "avse-1"

_MADE_BY_AVSE = "give a .safetensors file made by avse"
_FLOATS = ("F16", "BF16", "F32", "F64")
_MOST_TENSORS = 100_000


def load(model: str, *, device: str = "cpu") -> AVSENet:
    """Load a network as a PyTorch module: every weight present, none left over, hash as listed.

    `avse.inference.networks.open_network` opens it to separate, without PyTorch where possible.

    Args:
        model: the name of shipped weights or the path of a file.
        device: "cpu", "cuda", "cuda:N" or "mps".

    Returns:
        The network, in evaluation mode.

    Raises:
        MissingWeightsError: the file does not exist.
        CorruptWeightsError: the file is damaged, or was not made for this version.
    """
    file, spec = find_network(model)
    return make_network(file, spec).to(device)


def find_network(model: str) -> tuple[WeightsFile, AVSESpec]:
    """Find and verify the weights of a network that separates, and read its specification.

    Args:
        model: the name of shipped weights or the path of a file.

    Raises:
        MissingWeightsError, CorruptWeightsError: see `load`.
    """
    from avse.models.spec import AVSESpec

    file = read_header(*find(model))
    if file.metadata.get("format") != FORMAT or "spec" not in file.metadata:
        raise CorruptWeightsError(
            f"{file.path} holds no network that separates", "give a .safetensors file made by avse"
        )
    return file, read_spec(AVSESpec, file, "spec")


def make_network(file: WeightsFile, spec: AVSESpec) -> AVSENet:
    """Build a network that separates.

    Raises:
        CorruptWeightsError, MissingExtraError: see `make`.
    """

    def build() -> AVSENet:
        from avse.models.network import AVSENet

        return AVSENet(spec)

    (network,) = make(file, {"": build})
    return cast("AVSENet", network)


@dataclass(frozen=True)
class WeightsFile:
    """The header of a file of weights.

    Attributes:
        path: of the file.
        sha256: its hash.
        metadata: texts by name.
        tensors: name -> shape and safetensors' name of the type, such as ((16, 1, 5), "F16").
    """

    path: Path
    sha256: str
    metadata: dict[str, str]
    tensors: dict[str, tuple[tuple[int, ...], str]]


def read_header(path: Path, expected: str | None = None) -> WeightsFile:
    """Read the header of a file of weights, without values.

    Args:
        path: the file.
        expected: the sha256 that it must have; None for any.

    Raises:
        CorruptWeightsError: the file is not a file of weights, or has another hash.
    """
    from safetensors import SafetensorError, safe_open

    found = verify(path, expected)
    try:
        with safe_open(path, framework="np") as file:
            names = file.keys()
            if len(names) > _MOST_TENSORS:
                raise CorruptWeightsError(f"{path} holds {len(names)} tensors", _MADE_BY_AVSE)
            parts = {name: file.get_slice(name) for name in names}
            about = {n: (tuple(p.get_shape()), p.get_dtype()) for n, p in parts.items()}
            return WeightsFile(path, found, file.metadata() or {}, about)
    except (SafetensorError, OSError) as error:
        raise CorruptWeightsError(
            f"{path} is not a weights file: {error}", _MADE_BY_AVSE
        ) from error


def read_spec(kind: type[AnySpec], file: WeightsFile, name: str) -> AnySpec:
    """Read a specification from a header.

    Raises:
        CorruptWeightsError: it is invalid, or of another version.
    """
    try:
        return kind.from_json(file.metadata[name])
    except CorruptWeightsError as error:
        raise CorruptWeightsError(f"{file.path}: {error.message}", error.hint) from error


def make(file: WeightsFile, parts: Mapping[str, Callable[[], nn.Module]]) -> list[nn.Module]:
    """Build networks from a file of weights, strictly: all values, and nothing else.

    The tensors are checked before a network takes any memory, because a specification can require
    more memory than the machine has.

    Args:
        file: the head of the file.
        parts: what the names of a network's tensors begin with -> what builds it.

    Returns:
        The networks, in evaluation mode.

    Raises:
        CorruptWeightsError: they do not fit, or values are not finite.
        MissingExtraError: PyTorch is not installed.
    """
    # It has no ONNX graph, holds values of the type BF16, or is to run on a GPU.
    check_torch(f"the network in {file.path.name}")
    import torch
    from safetensors import safe_open

    try:
        with torch.device("meta"):
            networks = {prefix: build() for prefix, build in parts.items()}
    except Exception as error:  # a specification may be wrong in many ways
        raise CorruptWeightsError(
            f"{file.path} specifies a network that cannot be built: {error}", _MADE_BY_AVSE
        ) from error
    check_tensors(
        file,
        {
            prefix + name: (tuple(value.shape), value.is_floating_point())
            for prefix, network in networks.items()
            for name, value in network.state_dict().items()
        },
    )
    with safe_open(file.path, framework="pt") as values:
        for prefix, network in networks.items():
            state = {n: values.get_tensor(prefix + n) for n in network.state_dict()}
            for name, value in state.items():
                if not torch.isfinite(value).all():
                    raise _not_finite(file, prefix + name)
            # The values replace those of the meta device: none is initialised first.
            state = {name: widen(value) for name, value in state.items()}
            network.load_state_dict(state, strict=True, assign=True)
    return [network.eval() for network in networks.values()]


def check_tensors(file: WeightsFile, needed: Mapping[str, tuple[tuple[int, ...], bool]]) -> None:
    """Check that a file has the needed tensors and no others.

    Args:
        file: its header.
        needed: shape of each tensor, by name, and whether its values are floats.

    Raises:
        CorruptWeightsError: it has not.
    """
    for name in sorted({*needed, *file.tensors}):
        if name not in file.tensors or name not in needed:
            reason = f"{name} is {'left over' if name in file.tensors else 'missing'}"
        elif file.tensors[name][0] != needed[name][0]:
            reason = f"{name} is {file.tensors[name][0]}, not {needed[name][0]}"
        elif (file.tensors[name][1] in _FLOATS) != needed[name][1]:
            reason = f"{name} holds values of the type {file.tensors[name][1]}"
        else:
            continue
        raise CorruptWeightsError(
            f"{file.path} does not fit its own specification: {reason}", "fetch the file again"
        )


def read_floats(file: WeightsFile, prefix: str = "") -> dict[str, npt.NDArray[np.float32]] | None:
    """Read the floating-point values of a file with NumPy.

    Args:
        file: its header.
        prefix: what the names begin with; it is cut off.

    Returns:
        float32 by name; None if NumPy has no type for some of the values (BF16).

    Raises:
        CorruptWeightsError: values are not finite.
    """
    from safetensors import safe_open

    wanted = {n: kind for n, (_, kind) in file.tensors.items() if n.startswith(prefix)}
    if "BF16" in wanted.values():
        return None
    out: dict[str, npt.NDArray[np.float32]] = {}
    with safe_open(file.path, framework="np") as values, np.errstate(over="ignore"):
        for name, kind in wanted.items():
            if kind in _FLOATS:
                out[name.removeprefix(prefix)] = value = values.get_tensor(name).astype(np.float32)
                if not np.isfinite(value).all():
                    raise _not_finite(file, name)
    return out


def _not_finite(file: WeightsFile, name: str) -> CorruptWeightsError:
    return CorruptWeightsError(
        f"{file.path}: {name} holds NaN or infinite values",
        "the training has failed, or the file is damaged: use other weights",
    )


def widen(value: torch.Tensor) -> torch.Tensor:
    """Convert stored 16-bit floats to float32."""
    return value.float() if value.is_floating_point() else value


def save(network: AVSENet, path: Path, *, half: bool = False, **notes: str) -> None:
    """Write a network's weights with its specification.

    Args:
        network: the network.
        path: the file, written atomically.
        half: store 16-bit floats, which halves the file.
        notes: further metadata.

    Raises:
        OutputError: the file cannot be written.
    """
    write_weights(
        stored(network.state_dict(), half=half),
        {"format": FORMAT, "spec": network.spec.to_json(), **notes},
        path,
    )


def stored(state: dict[str, Any], *, half: bool, prefix: str = "") -> dict[str, Any]:
    """Values to store, under names that begin with `prefix`."""
    out: dict[str, Any] = {}
    for name, value in state.items():
        value = value.detach().cpu().contiguous()
        # Running statistics and the whitening of lips span too many magnitudes for 16 bits.
        narrow = value.dim() > 1 or name.endswith((".weight", ".bias"))
        small = half and value.is_floating_point() and narrow and "components" not in name
        out[prefix + name] = value.half() if small else value
    return out


def write_weights(state: dict[str, Any], metadata: dict[str, str], path: Path) -> None:
    """Write a file of weights, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    from safetensors.torch import save_file

    from avse.media.atomic_files import appearing

    with appearing(path) as temporary:
        save_file(state, temporary, metadata=metadata)
        temporary.chmod(0o644)  # safetensors writes for the owner alone; weights are for everybody
