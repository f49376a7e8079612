"""The default face backend: CenterFace detects faces, two small networks estimate landmarks.

The input of the face network is a grey square of 112 pixels around a face; its output are the
points of `avse.faces.mesh_points`, to which the head pose is fitted. The input of the mouth network
is a square of 64 pixels around the mouth, aligned to the roll and scale of the head; its output are
lips and chin in the frame of the head, so that errors of the head pose do not move the lips. Both
were trained with MediaPipe's attention mesh as the teacher; see `pretrained/MODEL_CARD.md`. All
faces of a picture are one batch of the face network; the mouths of several pictures may be one
batch of the mouth network.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image as Pillow

from avse.faces.centerface import CenterFace
from avse.faces.detect import (
    Box,
    Detection,
    Face,
    FaceLandmarks,
    Image,
    LipReader,
    Mouth,
    backend_version,
    with_lips,
)
from avse.faces.lips import Head, Heads, trust_all
from avse.faces.mesh_points import face_of
from avse.types import FloatArray
from avse.utils.shipped import open_onnx

FACE, MOUTH = "avse-face", "avse-mouth"
"""Names of the weights."""

FACE_PX, MOUTH_PX = 112, 64
"""Sides of the squares for the two networks, in pixels."""

MARGIN = 1.45
"""Side of the square around a face, relative to the longer side of the face."""

MOUTH_SIDE, MOUTH_DOWN = 1.5, 0.5
"""Side of the square around a mouth, and distance of its centre below the tip of the nose, in
distances between the outer eye corners."""

CONTRAST = 8.0
"""Added to the standard deviation by which grey levels are divided, so that noise is not
amplified."""

_MIN_PRESENCE = 0.5

_MOST_ROLL = 1.2
"""Largest roll of a head in radians; `avse.faces.turning` handles rotated pictures."""


class NativeBackend:
    """CenterFace, the face network and the mouth network.

    Args:
        threads: number of threads.

    Raises:
        MissingWeightsError: a file of weights is absent.
        CorruptWeightsError: a file of weights is damaged.
    """

    name = "native"
    close_px: int | None = None
    reads_luma = True
    least_motion = 0.0025
    """Its landmarks hardly jitter: in 34 stills of real clips (zoomed, shaken, noisy; faces of 61
    pixels and more), lips move by 0.0027 at most, but for one (0.004); in people who talk, by 0.005
    and more."""

    def __init__(self, threads: int = 1) -> None:
        self.version = backend_version(self.name)
        self.close_detector = CenterFace(threads=threads)
        self._face: Any = open_onnx(FACE, threads)
        self._mouth: Any = open_onnx(MOUTH, threads)

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Find the faces in each of the images, best first."""
        return [list(self.close_detector.detect(image)) for image in images]

    @property
    def lip_reader(self) -> LipReader:
        """This backend: its mouth network has a batch of its own."""
        return self

    def landmarks(self, image: Image, boxes: Sequence[Box]) -> list[FaceLandmarks | None]:
        """Estimate the landmarks of the face in each box; None if there is no face."""
        faces = self.faces(image, boxes)
        found = [face for face in faces if face is not None]
        if not found:
            return [None] * len(faces)
        fixed, confidence = self.lips([self.mouth(image, face) for face in found])
        points = Heads([face.head for face in found]).place(fixed)
        read = map(with_lips, found, points, confidence)
        return [None if face is None else next(read) for face in faces]

    def faces(self, image: Image, boxes: Sequence[Box]) -> list[Face | None]:
        """Find the face in each box, without its lips; None if there is no face."""
        if not boxes:
            return []
        places = [face_place(box) for box in boxes]
        squares = [square(image, *place, FACE_PX) for place in places]
        points, presence = self._face.run(
            ("points", "presence"), {"crops": as_batch(squares, contrast_of(image))}
        )
        faces = [
            face_of(_in_picture(found, *place), sure) if sure >= _MIN_PRESENCE else None
            for place, found, sure in zip(places, points, _share(presence).tolist(), strict=True)
        ]
        # Detections of rotated heads are uncertain; `avse.faces.turning` rotates the picture first.
        return [
            face if face is not None and abs(face.head.roll) < _MOST_ROLL else None
            for face in faces
        ]

    def mouth(self, image: Image, face: Face) -> Mouth:
        """Crop the mouth of a face in its picture."""
        crop = square(image, *_mouth(face.head), MOUTH_PX)
        size = (image.shape[0], image.shape[1])
        return Mouth(crop, contrast_of(image), face.head, size, face.presence)

    def lips(self, mouths: Sequence[Mouth]) -> tuple[FloatArray, FloatArray]:
        """Find lips, (n, 43, 3) in the frames of the heads, and their confidence, (n, 43)."""
        contrast = np.array([mouth.contrast for mouth in mouths], np.float32)
        crops = as_batch([mouth.crop for mouth in mouths], contrast[:, None, None, None])
        lips, visible = self._mouth.run(("lips", "visible"), {"crops": crops})
        heads = Heads([mouth.head for mouth in mouths])
        pictures = np.array([mouth.picture for mouth in mouths])
        presence = np.array([mouth.presence for mouth in mouths])
        points = heads.place(lips)
        fixed = heads.fix(points)  # rounded as those of `landmarks`
        return fixed, trust_all(heads, fixed, points, pictures, presence) * _share(visible)


def square(
    image: Image, centre: tuple[float, float], side: float, roll: float, pixels: int
) -> FloatArray:
    """Crop a rotated square of a picture.

    Args:
        image: (height, width, 3) RGB, or (height, width) brightness.
        centre: x and y of the centre of the square, in pixels of the picture.
        side: of the square, in pixels of the picture.
        roll: rotation of the square, in radians, clockwise.
        pixels: side of the result.

    Returns:
        (pixels, pixels) float32 grey levels; 0 outside the picture.
    """
    x, y = centre
    reach = side * (abs(math.cos(roll)) + abs(math.sin(roll))) / 2 + 1
    height, width = image.shape[:2]
    left, top = max(0, math.floor(x - reach)), max(0, math.floor(y - reach))
    right, bottom = min(width, math.ceil(x + reach)), min(height, math.ceil(y + reach))
    if right <= left or bottom <= top:
        return np.zeros((pixels, pixels), np.float32)
    # Bilinear sampling skips pixels if it scales to less than half: reduce the picture first.
    coarse = max(1, int(side / pixels / 1.4))
    if image.ndim == 2:  # without a copy
        part, frame = Pillow.fromarray(np.ascontiguousarray(image)), (left, top, right, bottom)
    else:
        part = Pillow.fromarray(np.ascontiguousarray(image[top:bottom, left:right])).convert("L")
        frame = (0, 0, *part.size)
    part = part.reduce(coarse, frame)
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
    """Compute centre, side and roll of the square around a face."""
    return box.centre, MARGIN * max(box.w, box.h, 1.0), box.roll


def _mouth(head: Head) -> tuple[tuple[float, float], float, float]:
    """Compute centre, side and roll of the square around a mouth."""
    down, roll = MOUTH_DOWN * head.scale, head.roll
    x, y = float(head.origin[0]), float(head.origin[1])
    centre = (x - down * math.sin(roll), y + down * math.cos(roll))
    return centre, MOUTH_SIDE * head.scale, roll


def as_batch(squares: Sequence[FloatArray], contrast: float | FloatArray = CONTRAST) -> FloatArray:
    """Normalise the mean and the contrast of squares: (n, 1, pixels, pixels) float32.

    Args:
        squares: n of (pixels, pixels) float32 grey levels.
        contrast: value of `CONTRAST` for all, or (n, 1, 1, 1) float32 for each.
    """
    grey = np.stack(squares)[:, None]
    grey -= grey.mean(axis=(2, 3), keepdims=True)
    spread = np.sqrt(np.square(grey).mean(axis=(2, 3), keepdims=True)) + np.float32(contrast)
    return np.asarray(grey / spread, np.float32)


def _in_picture(
    points: FloatArray, centre: tuple[float, float], side: float, roll: float
) -> FloatArray:
    """Convert points from coordinates of a square, in half sides, to pixels of the picture."""
    cosine, sine = math.cos(roll), math.sin(roll)
    x, y, z = points.T * np.float32(side / 2)
    turned = [centre[0] + cosine * x - sine * y, centre[1] + sine * x + cosine * y, z]
    return np.asarray(np.stack(turned, axis=1), np.float32)


def _share(logits: FloatArray) -> FloatArray:
    """The logistic function of logits, 0..1."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logits, -30, 30))), np.float32)
