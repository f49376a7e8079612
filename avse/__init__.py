"""avse: point at a face in a video, get that person's voice.

    import avse
    avse.separate("talk.mp4", speaker=2).save("voice.wav")

Public names are imported when first used, so that `import avse` is quick.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# ONNX Runtime reads it when it is imported. Without it, 1.32 stores an ID of the machine in the
# user's cache and looks up a server.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from avse.diarization.who import Activity as Activity
    from avse.diarization.who import who as who
    from avse.errors import AvseError as AvseError
    from avse.inference.networks import open_network as load_network  # noqa: F401
    from avse.scene.scene import Scene as Scene
    from avse.scene.scene import look as look
    from avse.separation.separator import Block as Block
    from avse.separation.separator import Separation as Separation
    from avse.separation.separator import Separator as Separator
    from avse.separation.separator import separate as separate
    from avse.settings import Settings as Settings
    from avse.utils.shipped import shipped as shipped_models  # noqa: F401

_HOME = {
    "Activity": ("avse.diarization.who", "Activity"),
    "AvseError": ("avse.errors", "AvseError"),
    "Block": ("avse.separation.separator", "Block"),
    "Scene": ("avse.scene.scene", "Scene"),
    "Separation": ("avse.separation.separator", "Separation"),
    "Separator": ("avse.separation.separator", "Separator"),
    "Settings": ("avse.settings", "Settings"),
    "load_network": ("avse.inference.networks", "open_network"),
    "look": ("avse.scene.scene", "look"),
    "separate": ("avse.separation.separator", "separate"),
    "shipped_models": ("avse.utils.shipped", "shipped"),
    "who": ("avse.diarization.who", "who"),
}

__all__ = [*_HOME, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'avse' has no attribute {name!r}")
    module, attribute = _HOME[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
