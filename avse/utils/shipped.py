"""Find and verify the model files that come with avse.

`pretrained/index.json` lists them with their sha256. This module imports nothing heavy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avse.errors import CorruptWeightsError, MissingWeightsError
from avse.utils.fingerprint import sha256
from avse.utils.paths import is_there, user_path

SEPARATION, OFFSCREEN, DETECTOR, LANDMARKS = "separation", "offscreen", "detector", "landmarks"
"""Kinds of files."""

_ERRORS_ONLY = 4
"""Level of ONNX Runtime's messages: fatal errors only."""


@dataclass(frozen=True)
class ShippedModel:
    """An entry of `pretrained/index.json`.

    Attributes:
        name: its name, as `--model` takes it.
        path: the file.
        sha256: the hash that the file must have.
        description: one line.
        licence: terms of the weights.
        data: the training data, one line.
        quality: the measured quality, one line.
        kind: "separation"; "offscreen", the networks for off-screen speech; "detector", a face
            detector; or "landmarks", which finds the points of faces.
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
        """Size of the file in MB, 0 if it is absent."""
        return self.path.stat().st_size / 1e6 if self.path.is_file() else 0.0


def pretrained_folder() -> Path:
    """The folder of the shipped weights: inside the wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "pretrained"
    return inside if inside.is_dir() else package.parent / "pretrained"


def shipped() -> list[ShippedModel]:
    """List the models that come with avse, the default first.

    Examples:
        >>> import avse
        >>> avse.shipped_models()[0].name
        'avse-small'
    """
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
    """Find a model's weights by name or path.

    Returns:
        The path, and the sha256 that the file must have (None for a user's own file).

    Raises:
        MissingWeightsError: there is no model of this name, and no such file.
    """
    for entry in shipped():
        if entry.name == model:
            if not entry.path.is_file():
                raise MissingWeightsError(
                    f"the weights of {model!r} are not at {entry.path}", "reinstall avse"
                )
            return entry.path, entry.sha256
    path = user_path(model)
    if is_there(path) and path.is_file():
        return path, None
    names = ", ".join(entry.name for entry in shipped()) or "none are installed"
    raise MissingWeightsError(
        f"there is no model {model!r}", f"give the path of a .safetensors file, or one of: {names}"
    )


def verify(path: Path, expected: str | None) -> str:
    """Check the sha256 of a file, and return it.

    Args:
        path: the file.
        expected: the hash that the file must have; None accepts any.

    Raises:
        CorruptWeightsError: the hash is another one.
    """
    found = sha256(path)
    if expected is not None and found != expected:
        raise CorruptWeightsError(
            f"{path} is damaged: its sha256 is {found[:12]}…, not {expected[:12]}…",
            "reinstall avse, or fetch the file again",
        )
    return found


def find_verified(model: str) -> str:
    """Find a model's weights, check them, and return their sha256.

    Raises:
        MissingWeightsError: there is no model of this name, and no such file.
        CorruptWeightsError: the file is not the one that was shipped.
    """
    return verify(*find(model))


def open_onnx(model: str, threads: int) -> Any:
    """Open a shipped ONNX network with ONNX Runtime, on the CPU.

    Args:
        model: its name.
        threads: number of threads.

    Returns:
        An `onnxruntime.InferenceSession`.

    Raises:
        MissingWeightsError: its file is absent.
        CorruptWeightsError: its file is damaged.
    """
    path, expected = find(model)
    verify(path, expected)
    return onnx_session(path, threads)


def onnx_session(path: Path, threads: int, values: Mapping[str, Any] | None = None) -> Any:
    """Open an ONNX network with ONNX Runtime, on the CPU.

    Args:
        path: the file.
        threads: number of threads.
        values: weights that the file names and does not hold: `onnxruntime.OrtValue` by name. They
            are not copied, so they must be kept as long as the session.

    Returns:
        An `onnxruntime.InferenceSession`.

    Raises:
        CorruptWeightsError: the file is damaged, or a weight does not fit.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = _ERRORS_ONLY
    # Idle threads would take processor time from the threads that decode.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if values:
        options.add_external_initializers(list(values), list(values.values()))
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception class for each status code
        raise CorruptWeightsError(f"{path}: {error}", "reinstall avse") from error


def run_options(settings: Mapping[str, str]) -> Any:
    """Make the `onnxruntime.RunOptions` for a call of `InferenceSession.run`.

    Args:
        settings: keys and values of the run configuration.
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.log_severity_level = _ERRORS_ONLY
    for key, value in settings.items():
        options.add_run_config_entry(key, value)
    return options
