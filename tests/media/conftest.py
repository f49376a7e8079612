from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .media_files import Picture, Sound, write_media


@pytest.fixture
def media(tmp_path: Path) -> Callable[..., Path]:
    """Makes a file in a temporary folder: media("name.mp4", Picture(), Sound())."""

    def make(name: str, picture: Picture | None = None, *sounds: Sound, **more: Any) -> Path:
        return write_media(tmp_path / name, picture, *sounds, **more)

    return make
