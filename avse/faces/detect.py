"""What a face backend is, and how one is opened by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from avse.errors import UsageError
from avse.faces.lips import Anchors, FloatArray

Image = npt.NDArray[np.uint8]
"""(height, width, 3) RGB."""


@dataclass(frozen=True)
class Box:
    """A face in a picture, in pixels.

    Attributes:
        x, y: left and top edge.
        w, h: width and height.
        roll: how far the head leans in the picture, radians, clockwise; 0 where unknown.
    """

    x: float
    y: float
    w: float
    h: float
    roll: float = 0.0

    @property
    def centre(self) -> tuple[float, float]:
        """Middle of the box."""
        return self.x + self.w / 2, self.y + self.h / 2

    def overlap(self, other: Box) -> float:
        """Intersection over union of two boxes, 0..1, leaving roll aside."""
        across = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        down = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        if across <= 0 or down <= 0:
            return 0.0
        shared = across * down
        return shared / (self.w * self.h + other.w * other.h - shared)


@dataclass(frozen=True)
class Detection:
    """A face that a detector found, with how sure it is (0..1)."""

    box: Box
    score: float


@dataclass(frozen=True)
class FaceLandmarks:
    """One face, point by point.

    Attributes:
        lips: (43, 3) in pixels, as `avse.faces.lips` orders them.
        anchors: what fixes the head.
        rigid: (n, 3) in pixels: points that talking hardly moves, the same n at every face of one
            backend. They say which way the head points and, roughly, whose it is.
        box: the bounds of the face, good for finding it again in the next frame.
        presence: 0..1, how sure the backend is that this is a face at all.
    """

    lips: FloatArray
    anchors: Anchors
    rigid: FloatArray = field(repr=False)
    box: Box
    presence: float = 1.0


class FaceBackend(Protocol):
    """Finds faces, and the points of a face."""

    @property
    def name(self) -> str:
        """The name that `open_backend` takes."""
        ...

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """Find the faces in each of the images, best first."""
        ...

    def landmarks(self, image: Image, boxes: Sequence[Box]) -> list[FaceLandmarks | None]:
        """Find the points of the face in each box; None where there is none after all."""
        ...
