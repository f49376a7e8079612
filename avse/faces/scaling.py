"""Scale pictures, and crop rotated parts of them, with Pillow."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from avse.faces.detect import Image
from avse.media.pictures import Picture

_ROUGH = 2.0
"""Largest reduction by interpolation without visible aliasing."""

_GAP = 1.2
"""Reduction that is left to the filter after whole blocks were averaged, which is much faster than
to
filter the whole picture."""


def fit_inside(picture: Image | Picture, side: int) -> Image:
    """Scale a picture down so that its longer side is at most `side` pixels.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    height, width = picture.shape[:2]
    scale = side / max(height, width)
    if scale >= 1:
        return picture.image if isinstance(picture, Picture) else picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if isinstance(picture, Picture):
        # The decoder's scaler takes a quarter of the time of a conversion to RGB and `resize`.
        small = picture.reduced(*size)
        return resize(picture.image, *size) if small is None else small
    return resize(picture, *size)


def resize(image: Image, width: int, height: int) -> Image:
    """Scale a picture; a reduction averages all pixels."""
    if (height, width) == image.shape[:2]:
        return image
    larger = width > image.shape[1] or height > image.shape[0]
    way = Pillow.Resampling.BICUBIC if larger else Pillow.Resampling.HAMMING
    picture = Pillow.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((width, height), way, reducing_gap=_GAP), np.uint8)


def warp(image: Image, matrix: npt.NDArray[np.float64], width: int, height: int) -> Image:
    """Crop a rotated and scaled part of a picture; edge pixels are repeated outside.

    Args:
        image: (h, w, 3) uint8.
        matrix: (2, 3): where in the picture a pixel (x, y, 1) of the part lies, both counted from
            the middle of the upper left pixel.
        width, height: of the part.

    Returns:
        (height, width, 3) uint8, linearly interpolated; averaged first where it is much smaller.
    """
    turn, start = matrix[:, :2], matrix[:, 2]
    corners = np.array([(x, y) for x in (0, width - 1) for y in (0, height - 1)]) @ turn.T + start
    step = float(min(np.hypot(*turn[:, 0]), np.hypot(*turn[:, 1])))
    air = math.ceil(step) + 1
    left, top = (math.floor(low) - air for low in corners.min(axis=0).tolist())
    right, bottom = (math.ceil(high) + air for high in corners.max(axis=0).tolist())
    part = _with_edges(image, (top, bottom), (left, right))
    part = np.ascontiguousarray(part)
    shrink = np.ones(2)
    if step >= _ROUGH:
        size = [max(1, round(length / step)) for length in part.shape[1::-1]]
        shrink = np.array(size) / part.shape[1::-1]
        part = resize(part, *size)
    # Pillow counts from the corner of the upper left pixel.
    turn, start = turn * shrink[:, None], (start - (left, top) + 0.5) * shrink
    start = start - turn @ (0.5, 0.5)
    (a, b), (c, d) = turn.tolist()
    way = (a, b, float(start[0]), c, d, float(start[1]))
    shown = Pillow.fromarray(part).transform(
        (width, height), Pillow.Transform.AFFINE, way, Pillow.Resampling.BILINEAR
    )
    return np.asarray(shown, np.uint8)


def _with_edges(image: Image, rows: tuple[int, int], columns: tuple[int, int]) -> Image:
    """Crop a part of a picture that may reach outside; edge pixels are repeated there.

    Args:
        image: (h, w, 3) uint8.
        rows, columns: first one and stop of the part; may be negative, or beyond the picture.
    """
    inside, missing = [], []
    for (start, stop), length in zip((rows, columns), image.shape, strict=False):
        low, high = min(max(start, 0), length - 1), min(max(stop, 1), length)
        absent = stop - start - (high - low)
        before = min(max(low - start, 0), absent)
        inside.append(slice(low, high))
        missing.append((before, absent - before))
    part = image[tuple(inside)]
    return np.pad(part, (*missing, (0, 0)), mode="edge") if np.any(missing) else part
