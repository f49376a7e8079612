"""Where networks run."""

from __future__ import annotations

from avse.errors import UsageError


def pick_device(name: str) -> str:
    """Turn "auto" into a device that is there.

    Raises:
        UsageError: not a device, or one that this machine has not.
    """
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
