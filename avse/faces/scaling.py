"""Pictures made smaller, without OpenCV."""

from __future__ import annotations

import numpy as np
from PIL import Image as Pillow

from avse.faces.detect import Image

_ROUGH = 1.5
"""How many times larger than wanted a picture may be left by the quick first step of shrinking."""


def fit_inside(image: Image, side: int) -> Image:
    """The picture made smaller, if it has to be, so that its longer side is `side` pixels."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return image
    return resize(image, max(1, round(width * scale)), max(1, round(height * scale)))


def resize(image: Image, width: int, height: int) -> Image:
    """A picture of another size; where it gets smaller, every pixel counts."""
    larger = width > image.shape[1] or height > image.shape[0]
    way = Pillow.Resampling.BICUBIC if larger else Pillow.Resampling.BILINEAR
    picture = Pillow.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((width, height), way, reducing_gap=_ROUGH), np.uint8)
