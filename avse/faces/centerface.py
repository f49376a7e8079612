"""The face detector CenterFace: faces of any size, with eyes, nose and mouth corners.

Xu, Yan, Yang and Cai: "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019
(https://arxiv.org/abs/1911.03599). The network is a MobileNetV2 with a feature pyramid; for every
fourth pixel in each direction it estimates the probability of the centre of a face, the size of the
face and its five points. ONNX Runtime computes it. Source and licence of the weights are in
`pretrained/MODEL_CARD.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from avse.faces.detect import Box, Detection, Image
from avse.faces.scaling import fit_inside
from avse.media.pictures import Picture
from avse.types import FloatArray
from avse.utils.shipped import open_onnx, run_options

WEIGHTS = "centerface"

SIDE, CLOSE_SIDE = 480, 1440
"""Longer side of the input in pixels, if the picture is not smaller: for ordinary detection, and
for small faces."""

_CLOSE_SHARE = 7 / 8
"""Longer side of the input for small faces, relative to that of the picture. Compared with 1, this
takes two thirds of the time and finds as many faces of 24 pixels."""

_AROUND, _AROUND_PX = 3.0, 192
"""Side of the square in which a face is detected near its last place, in face sizes, and in pixels
of the input."""

MIN_SCORE = 0.5

_GIVE_BACK = "memory.enable_memory_arena_shrinkage"
"""A setting of ONNX Runtime's runs: return memory to the system afterwards."""

_STRIDE, _MULTIPLE = 4, 32
_SAME = 0.3
"""Overlap from which two detections are one face."""

_MOST = 4096
"""Maximal number of candidates; it bounds the time on malicious pictures."""

_OUTPUTS = ("heat", "size", "offset", "points")


@dataclass(frozen=True)
class FacePoints(Detection):
    """A detection with five points of the face.

    Attributes:
        points: (5, 2) in pixels: the person's right and left eye, the tip of the nose, the right
            and left corner of the mouth; "right" is the person's right, left in the picture.
    """

    points: FloatArray = field(repr=False)

    def moved(self, x: float, y: float) -> FacePoints:
        """The same face, moved right and down by `x` and `y` pixels."""
        box = replace(self.box, x=self.box.x + x, y=self.box.y + y)
        return FacePoints(box, self.score, self.points + np.array([x, y], np.float32))

    @property
    def eyes_px(self) -> float:
        """Distance between the centres of the eyes, in pixels."""
        return float(np.hypot(*(self.points[1] - self.points[0])))


class CenterFace:
    """Finds faces and five points of each.

    Args:
        side: longer side of the input in pixels; larger pictures are scaled down, smaller ones keep
            their size. Faces are found from about 10 pixels of the input.
        min_score: minimal probability of a reported face, 0..1.
        threads: number of threads.

    Raises:
        MissingWeightsError: the weights do not exist.
        CorruptWeightsError: the weights are damaged.
    """

    def __init__(self, side: int = SIDE, min_score: float = MIN_SCORE, threads: int = 1) -> None:
        self._network: Any = open_onnx(WEIGHTS, threads)
        self._side, self._min_score = side, min_score

    every = 15
    """Recommended number of frames from one detection to the next."""

    def detect_closely(self, picture: Image | Picture, near: Box | None = None) -> list[FacePoints]:
        """Detect small faces too, best first.

        Args:
            picture: the picture, or (height, width, 3) uint8 RGB.
            near: detect only around this box, which is much faster.
        """
        if near is None:
            side = min(CLOSE_SIDE, round(_CLOSE_SHARE * max(picture.shape[:2])))
            return self.detect(picture, side)
        half = max(16.0, _AROUND * max(near.w, near.h) / 2)
        x, y = near.centre
        left, top = max(0, round(x - half)), max(0, round(y - half))
        right, bottom = max(left + 1, round(x + half)), max(top + 1, round(y + half))
        image = picture.image if isinstance(picture, Picture) else picture
        part = image[top:bottom, left:right]
        if not part.size:
            return []
        return [face.moved(left, top) for face in self.detect(part, _AROUND_PX)]

    def rest(self) -> None:
        """Return the memory of a detection of small faces to the system: 200 MB.

        To return it after each of them nearly doubles their time, because the system clears memory
        before it lends it again.
        """
        smallest = np.zeros((1, 3, _MULTIPLE, _MULTIPLE), np.float32)
        self._network.run(_OUTPUTS, {"picture": smallest}, run_options({_GIVE_BACK: "cpu:0"}))

    def detect(self, picture: Image | Picture, side: int | None = None) -> list[FacePoints]:
        """Detect the faces in a picture, best first.

        Args:
            picture: the picture, or (height, width, 3) uint8 RGB.
            side: longer side of the input, in place of that of the detector.
        """
        height, width = picture.shape[:2]
        padded, rows, columns = network_input(picture, side or self._side)
        heat, size, offset, five = self._network.run(_OUTPUTS, {"picture": padded})
        boxes, scores, points = _decode(heat[0], size[0], offset[0], five[0], self._min_score)
        scale = np.array([width / columns, height / rows], np.float32)
        boxes, points = boxes * np.tile(scale, 2), points * scale
        return [
            FacePoints(Box(x, y, w, h, _roll(five)), float(score), five)
            for (x, y, w, h), score, five in zip(boxes.tolist(), scores, points, strict=True)
        ]


def network_input(picture: Image | Picture, side: int) -> tuple[FloatArray, int, int]:
    """The input of the network: (1, 3, rows, columns), zero-padded below and on the right.

    Args:
        picture: the picture, or (height, width, 3) uint8 RGB.
        side: longer side of the scaled picture, in pixels.

    Returns:
        The input, and the number of its rows and columns that the picture fills.
    """
    small = fit_inside(picture, side)
    rows, columns = small.shape[:2]
    padded = np.zeros((1, 3, _up(rows), _up(columns)), np.float32)
    padded[0, :, :rows, :columns] = small.transpose(2, 0, 1)
    return padded, rows, columns


def _up(length: int) -> int:
    """Round up to a multiple of the stride of the network."""
    return -(-length // _MULTIPLE) * _MULTIPLE


def _roll(points: FloatArray) -> float:
    across, down = (points[1] - points[0]).tolist()
    return math.atan2(down, across)


def _decode(
    heat: FloatArray, size: FloatArray, offset: FloatArray, five: FloatArray, min_score: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Decode faces from the outputs of the network.

    Args:
        heat: (1, rows, columns), probability of the centre of a face.
        size: (2, rows, columns), logarithms of height and width, in strides.
        offset: (2, rows, columns), offset of the centre from the cell, down and right, in strides.
        five: (10, rows, columns), position of each point, down and right of the upper left corner
            of the face, in face sizes.
        min_score: minimal value of `heat`.

    Returns:
        Boxes (n, 4): left, top, width, height; scores (n,), descending; points (n, 5, 2), x and y;
        in pixels of the input.
    """
    rows, columns = np.nonzero(heat[0] >= min_score)
    order = np.argsort(-heat[0, rows, columns], kind="stable")[:_MOST]
    rows, columns = rows[order], columns[order]
    scores = heat[0, rows, columns]
    sides = np.exp(np.minimum(size[::-1, rows, columns].T, 8.0)) * _STRIDE
    places = np.stack([columns, rows], axis=1) + offset[::-1, rows, columns].T + 0.5
    corners = places * _STRIDE - sides / 2
    points = five[:, rows, columns].T.reshape(-1, 5, 2)[..., ::-1]
    points = corners[:, None] + points * sides[:, None]
    boxes = np.concatenate([corners, sides], axis=1)
    kept = _apart(boxes)
    return (
        np.asarray(boxes[kept], np.float32),
        np.asarray(scores[kept], np.float32),
        np.asarray(points[kept], np.float32),
    )


def _apart(boxes: npt.NDArray[np.floating[Any]]) -> list[int]:
    """Non-maximum suppression: indices of the boxes that overlap with no better one."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    areas = boxes[:, 2] * boxes[:, 3]
    left, kept = np.arange(len(boxes)), []
    while len(left):
        best, left = int(left[0]), left[1:]
        kept.append(best)
        shared = np.minimum(high[best], high[left]) - np.maximum(low[best], low[left])
        area = np.prod(np.maximum(shared, 0.0), axis=1)
        left = left[area < _SAME * (areas[best] + areas[left] - area)]
    return kept
