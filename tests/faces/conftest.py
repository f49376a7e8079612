"""Faces to look at, and where the real recordings are."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from avse.errors import MissingExtraError
from avse.faces.detect import FaceBackend, Image, open_backend

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(scope="session", params=["native", "mediapipe"])
def backend(request: pytest.FixtureRequest) -> FaceBackend:
    try:
        return open_backend(request.param)
    except MissingExtraError as error:
        pytest.skip(f"{error}; {error.hint}")


@pytest.fixture(scope="session")
def hopper() -> Image:
    """A woman in uniform, 512 x 600, looking ahead; her face is about 200 pixels wide."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from matplotlib import cbook

        path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    return np.asarray(Pillow.open(path).convert("RGB"))


@pytest.fixture
def shared_media() -> Path:
    folder = SHARED / "data" / "media"
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder}")
    return folder
