"""Store the results of single clips in PACK/.work, for the pack and for later runs.

Each result is a safetensors file, which is renamed into place. It states the settings that it was
measured with and the state of the source files, so that a later run can tell whether it is valid.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from avse.media.atomic_files import appearing
from avse.prepare.clip import FileState, Measured, files_of
from avse.prepare.layouts import SourceFile
from avse.utils.schema import build, load_json

WORK = ".work"

_RECORD = "clip"


@dataclass(frozen=True)
class StoredResult:
    """The stored result of a clip; its arrays are read on demand.

    Attributes:
        id: of the clip.
        measured_with: digest of the settings of the measurement.
        derived_with: digest of the settings of what is derived from the measured arrays.
        measured: the result without its arrays.
        path: the file.
    """

    id: str
    measured_with: str
    derived_with: str
    measured: Measured
    path: Path

    def arrays(self, *names: str) -> dict[str, npt.NDArray[Any]]:
        """Read arrays by name; names that the result does not have are left out."""
        with safe_open(self.path, framework="numpy") as file:
            there = set(file.keys())
            return {name: file.get_tensor(name) for name in names if name in there}

    def everything(self) -> Measured:
        """Read the result with all its arrays."""
        with safe_open(self.path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        old = self.measured
        return Measured(old.files, old.flags, old.lost, old.detail, arrays)


def result_path(work: Path, identity: str) -> Path:
    """Path of the result of a clip, in one of 256 folders."""
    name = hashlib.sha256(identity.encode()).hexdigest()[:32]
    return work / name[:2] / f"{name}.safetensors"


def write_result(
    work: Path, identity: str, measured: Measured, measured_with: str, derived_with: str
) -> None:
    """Write the result of a clip; an older one is replaced.

    Raises:
        OutputError: the file cannot be written.
    """
    path = result_path(work, identity)
    record = {
        "id": identity,
        "measured_with": measured_with,
        "derived_with": derived_with,
        "files": [asdict(state) for state in measured.files],
        "flags": measured.flags,
        "lost": measured.lost,
        "detail": measured.detail,
    }
    arrays = {name: np.ascontiguousarray(value) for name, value in measured.arrays.items()}
    # Some readers refuse a file without tensors.
    arrays = arrays or {"nothing": np.zeros(1, np.uint8)}
    with appearing(path) as temporary:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(save(arrays, metadata={_RECORD: json.dumps(record)}))


def read_result(work: Path, identity: str) -> StoredResult | None:
    """Read the result of a clip; None if there is none, or if it is damaged."""
    path = result_path(work, identity)
    try:
        with safe_open(path, framework="numpy") as file:
            record = build(_Record, load_json(file.metadata()[_RECORD], finite=False), "a result")
            if record.lost is None and "sound" not in file.keys():  # noqa: SIM118
                return None
        if not all(isinstance(value, int | float) for value in record.flags.values()):
            return None
        measured = Measured(record.files, record.flags, record.lost, record.detail, {})
        return StoredResult(record.id, record.measured_with, record.derived_with, measured, path)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None


@dataclass(frozen=True)
class _Record:
    """The metadata in the file of a result."""

    id: str
    measured_with: str
    files: tuple[FileState, ...]
    flags: dict[str, Any]  # some may be infinite
    lost: str | None
    detail: str
    derived_with: str = ""


def unchanged(result: StoredResult, source: SourceFile) -> bool:
    """Whether the files of a clip are unchanged, by size and time, or else by their hash."""
    from avse.errors import InputError
    from avse.prepare.clip import state_of

    paths = files_of(source)
    if len(paths) != len(result.measured.files):
        return False
    for path, state in zip(paths, result.measured.files, strict=True):
        try:
            status = path.stat()
            if (status.st_size, status.st_mtime_ns) == (state.size, state.mtime_ns):
                continue
            if status.st_size != state.size or state_of(path).sha256 != state.sha256:
                return False
        except (OSError, InputError):
            return False
    return True
