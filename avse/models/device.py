"""Where networks run."""

from __future__ import annotations

import ctypes
import platform
from pathlib import Path

from avse.errors import UsageError

_DRIVERS = ("libcuda.so.1", "nvcuda.dll")
"""Libraries of NVIDIA's driver."""


def pick_device(name: str) -> str:
    """Turn "auto" into a device that is there.

    PyTorch is asked only where there may be a GPU, because its import takes over a second.

    Raises:
        UsageError: not a device, or one that this machine has not.
    """
    if name == "cpu" or (name == "auto" and not _may_have_gpu()):
        return "cpu"
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"the device {name!r} cannot be used: {str(error).splitlines()[0]}",
            "use --device auto, cpu, cuda, cuda:N or mps; `avse doctor` lists what is here",
        ) from error
    return name


def _may_have_gpu() -> bool:
    """Whether there is a driver for a GPU that PyTorch can use: Apple's, AMD's or NVIDIA's."""
    if platform.system() == "Darwin":
        return platform.machine() == "arm64"
    if Path("/dev/kfd").exists():
        return True
    for driver in _DRIVERS:
        try:
            ctypes.CDLL(driver)
        except OSError:
            continue
        return True
    return False
