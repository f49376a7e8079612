"""The default face backend: CenterFace finds faces, and two small networks of avse read them.

The face network takes a grey square of 112 pixels around a face and gives the points of
`avse.faces.mesh_points`, from which the head is known. The mouth network takes a square of 64
pixels around the mouth, upright and at the scale of the head, and gives lips and chin in the frame
of the head, so that errors of the head do not shake the lips. MediaPipe's attention mesh taught
both; see `pretrained/MODEL_CARD.md`. All faces of a picture go through them as one batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image as Pillow

from avse.faces.centerface import CenterFace
from avse.faces.detect import Box, Detection, FaceLandmarks, Image, backend_version
from avse.faces.lips import Head, trust
from avse.faces.mesh_points import face_of
from avse.types import FloatArray
from avse.utils.shipped import open_onnx

FACE, MOUTH = "avse-face", "avse-mouth"
"""Names of the weights."""

FACE_PX, MOUTH_PX = 112, 64
"""Sides of the squares that the networks take."""

MARGIN = 1.45
"""Side of the square around a face over the longer side of the face."""

MOUTH_SIDE, MOUTH_DOWN = 1.5, 0.5
"""Side of the square around a mouth, and how far its middle lies below the tip of the nose, in
distances between the outer eye corners."""

CONTRAST = 8.0
"""Added to the deviation of grey levels that a square is divided by: less is noise."""

_MIN_PRESENCE = 0.5

_MOST_ROLL = 1.2
"""Radians by which a head may lean; see `avse.faces.turning` for those that lie."""


class NativeBackend:
    """CenterFace, the face network and the mouth network.

    Args:
        threads: how many compute.

    Raises:
        MissingWeightsError: a file of weights is absent.
        CorruptWeightsError: one is damaged.
    """

    name = "native"
    close_px: int | None = None
    reads_luma = True
    least_motion = 0.002
    """Its landmarks hardly shake: of 18 stills of real clips (zoomed, shaken, noisy; faces from 61
    pixels on) lips move by 0.0009 at most, of people who talk by 0.004 and more."""

    def __init__(self, threads: int = 1) -> None:
        self.version = backend_version(self.name)
        self.close_detector = CenterFace(threads=threads)
        self._face: Any = open_onnx(FACE, threads)
        self._mouth: Any = open_onnx(MOUTH, threads)

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Find the faces in each of the images, best first."""
        return [list(self.close_detector.detect(image)) for image in images]

    def landmarks(self, image: Image, boxes: Sequence[Box]) -> list[FaceLandmarks | None]:
        """Find the points of the face in each box; None where there is none after all."""
        if not boxes:
            return []
        places = [face_place(box) for box in boxes]
        squares = [square(image, *place, FACE_PX) for place in places]
        points, _, presence = self._face.run(None, {"crops": as_batch(squares, contrast_of(image))})
        size = (image.shape[0], image.shape[1])
        faces = [
            face_of(_in_picture(found, *place), size, float(sure))
            if sure >= _MIN_PRESENCE
            else None
            for place, found, sure in zip(places, points, _share(presence), strict=True)
        ]
        # The detector is unsure of heads that lie, so their picture is to be turned first.
        faces = [
            face if face is not None and abs(face.head.roll) < _MOST_ROLL else None
            for face in faces
        ]
        found = [face for face in faces if face is not None]
        read = iter(self._lips(image, found))
        return [None if face is None else next(read) for face in faces]

    def _lips(self, image: Image, faces: Sequence[FaceLandmarks]) -> list[FaceLandmarks]:
        """The same faces, with lips and chin as the mouth network reads them."""
        if not faces:
            return []
        squares = [square(image, *_mouth(face.head), MOUTH_PX) for face in faces]
        lips, visible = self._mouth.run(None, {"crops": as_batch(squares, contrast_of(image))})
        size = (image.shape[0], image.shape[1])
        out = []
        for face, fixed, shown in zip(faces, lips, _share(visible), strict=True):
            points = face.head.place(fixed)
            sure = trust(face.head, points, size, face.presence) * shown
            out.append(replace(face, lips=points, confidence=sure))
        return out


def square(
    image: Image, centre: tuple[float, float], side: float, roll: float, pixels: int
) -> FloatArray:
    """A square of a picture, upright: (pixels, pixels) grey levels, 0 outside the picture.

    Args:
        image: (height, width, 3) RGB, or (height, width) brightness.
        centre: of the square, x and y in pixels of the picture.
        side: of the square, in pixels of the picture.
        roll: by which it leans, radians, clockwise.
        pixels: how many along a side of what is given.
    """
    x, y = centre
    reach = side * (abs(math.cos(roll)) + abs(math.sin(roll))) / 2 + 1
    height, width = image.shape[:2]
    left, top = max(0, math.floor(x - reach)), max(0, math.floor(y - reach))
    right, bottom = min(width, math.ceil(x + reach)), min(height, math.ceil(y + reach))
    if right <= left or bottom <= top:
        return np.zeros((pixels, pixels), np.float32)
    part = Pillow.fromarray(np.ascontiguousarray(image[top:bottom, left:right]))
    if part.mode != "L":
        part = part.convert("L")
    # A bilinear look-up skips pixels where it makes a picture less than half as large.
    coarse = max(1, int(side / pixels / 1.4))
    if coarse > 1:
        part = part.reduce(coarse)
    step = side / pixels / coarse
    across, down = step * math.cos(roll), step * math.sin(roll)
    u, v, middle = (x - left) / coarse, (y - top) / coarse, pixels / 2
    turn = (
        *(across, -down, u - middle * (across - down)),
        *(down, across, v - middle * (down + across)),
    )
    found = part.transform(
        (pixels, pixels), Pillow.Transform.AFFINE, turn, Pillow.Resampling.BILINEAR
    )
    return np.asarray(found, np.float32)


def contrast_of(image: Image) -> float:
    """The value of `CONTRAST` for a picture: luma has levels of 16 to 235 in place of 0 to 255."""
    return CONTRAST * 219 / 255 if image.ndim == 2 else CONTRAST


def face_place(box: Box) -> tuple[tuple[float, float], float, float]:
    """Centre, side and roll of the square around a face."""
    return box.centre, MARGIN * max(box.w, box.h, 1.0), box.roll


def _mouth(head: Head) -> tuple[tuple[float, float], float, float]:
    """Centre, side and roll of the square around a mouth."""
    down, roll = MOUTH_DOWN * head.scale, head.roll
    x, y = float(head.origin[0]), float(head.origin[1])
    centre = (x - down * math.sin(roll), y + down * math.cos(roll))
    return centre, MOUTH_SIDE * head.scale, roll


def as_batch(squares: Sequence[FloatArray], contrast: float = CONTRAST) -> FloatArray:
    """Squares as (n, 1, pixels, pixels), without their means, at the usual contrast."""
    grey = np.stack(squares)[:, None]
    spread = grey.std(axis=(2, 3), keepdims=True) + np.float32(contrast)
    return np.asarray((grey - grey.mean(axis=(2, 3), keepdims=True)) / spread, np.float32)


def _in_picture(
    points: FloatArray, centre: tuple[float, float], side: float, roll: float
) -> FloatArray:
    """Points in units of half the square, from its middle, in pixels of the picture."""
    cosine, sine = math.cos(roll), math.sin(roll)
    x, y, z = points.T * np.float32(side / 2)
    turned = [centre[0] + cosine * x - sine * y, centre[1] + sine * x + cosine * y, z]
    return np.asarray(np.stack(turned, axis=1), np.float32)


def _share(logits: FloatArray) -> FloatArray:
    """Logits as 0..1."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)
