"""Import packages that only evaluation needs. All but `pesq` are installed with avse.

`pesq` is written in C and has no binary packages, so it needs a compiler: `pip install
"avse[metrics]"`.
"""

from __future__ import annotations

import importlib
from typing import Any

from avse.errors import MissingExtraError

INSTALL = 'pip install "avse[metrics]"'


def package(name: str) -> Any:
    """Import a module of a package that may be missing.

    Raises:
        MissingExtraError: it is not installed, or cannot be loaded.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        top = name.partition(".")[0]
        raise MissingExtraError(
            f"the package {top!r}, which evaluation needs, is not installed",
            INSTALL,
        ) from error
