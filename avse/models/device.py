"""Where networks run."""

from __future__ import annotations

import ctypes
import importlib.util
import platform
import re
from pathlib import Path

from avse.errors import MissingExtraError, UsageError

_DRIVERS = ("libcuda.so.1", "nvcuda.dll")
"""Libraries of NVIDIA's driver."""

_DEVICES = "use --device auto, cpu, cuda, cuda:N or mps; `avse doctor` lists what is here"


def pick_device(name: str) -> str:
    """Turn "auto" into a device that is there.

    PyTorch is asked only where there may be a GPU, because its import takes over a second.

    Raises:
        UsageError: not a device, or one that this machine has not.
        MissingExtraError: PyTorch, which computes on GPUs, is not installed.
    """
    if name == "cpu" or (name == "auto" and not (has_torch() and may_have_gpu())):
        return "cpu"
    if not has_torch() and not re.fullmatch(r"mps|cuda(:\d+)?", name):
        raise UsageError(f"there is no device {name!r}", _DEVICES)
    check_torch(f"the device {name!r}")
    try:
        import torch
    except (ImportError, OSError) as error:
        if name == "auto":
            return "cpu"
        raise MissingExtraError(
            f"the device {name!r} needs PyTorch, which cannot be loaded: {error}",
            'reinstall it: pip install --force-reinstall "avse[torch]"',
        ) from error

    if name == "auto":
        if torch.cuda.is_available():
            return "cuda"
        return "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"the device {name!r} cannot be used: {str(error).splitlines()[0]}",
            _DEVICES,
        ) from error
    return name


def has_torch() -> bool:
    """Whether PyTorch is installed; it is not imported."""
    found = importlib.util.find_spec("torch")
    return found is not None and found.origin is not None  # a folder that was left has no origin


def check_torch(purpose: str, extra: str = "torch") -> None:
    """Check that PyTorch is installed.

    Args:
        purpose: what needs it, for the message.
        extra: the extra of avse that installs it.

    Raises:
        MissingExtraError: it is not.
    """
    if not has_torch():
        raise MissingExtraError(
            f"{purpose} needs PyTorch, which is not installed", f'pip install "avse[{extra}]"'
        )


def may_have_gpu() -> bool:
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
