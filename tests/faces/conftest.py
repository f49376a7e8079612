"""Faces to look at, and where the real recordings are."""

from __future__ import annotations

import warnings
from pathlib import Path

import cv2
import numpy as np
import pytest

from avse.faces.detect import Image
from avse.faces.mediapipe_backend import MediaPipeBackend

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(scope="session")
def backend() -> MediaPipeBackend:
    return MediaPipeBackend()


@pytest.fixture(scope="session")
def hopper() -> Image:
    """A woman in uniform, 512 x 600, looking ahead; her face is about 200 pixels wide."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from matplotlib import cbook

        path = cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    picture = cv2.imread(str(path))
    assert picture is not None
    return np.ascontiguousarray(picture[:, :, ::-1])


@pytest.fixture
def shared_media() -> Path:
    folder = SHARED / "data" / "media"
    if not folder.is_dir():
        pytest.skip(f"no real recordings at {folder}")
    return folder
