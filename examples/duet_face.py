"""Animate a talking portrait: deform the face mesh of one photograph frame by frame.

MediaPipe finds 468 landmarks once. Opening, spreading, rounding and blinking are fixed
displacements of the landmarks. For each frame, their weighted sum displaces the landmarks, and the
photograph is warped with them, triangle by triangle. The inside of the mouth is painted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import mediapipe as mp
import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator
from scipy.spatial import Delaunay

Floats = NDArray[np.float64]
Image = NDArray[np.uint8]  # (height, width, 3), BGR

# Landmarks of MediaPipe's face mesh, from the left corner in the image to the right one.
_INNER_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_INNER_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
_UPPER_RINGS = (
    _INNER_UPPER,
    (62, 183, 42, 41, 38, 12, 268, 271, 272, 407, 292),
    (76, 184, 74, 73, 72, 11, 302, 303, 304, 408, 306),
    (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291),
)
_LOWER_RINGS = (
    _INNER_LOWER,
    (62, 96, 89, 179, 86, 15, 316, 403, 319, 325, 292),
    (76, 77, 90, 180, 85, 16, 315, 404, 320, 307, 306),
    (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291),
)
_CHIN = {152: 1.0, 148: 0.97, 377: 0.97, 176: 0.85, 400: 0.85, 149: 0.65, 378: 0.65}
_STILL = (
    *(1, 2, 4, 98, 327, 168, 33, 133, 362, 263, 159, 145, 386, 374, 50, 280, 117, 346, 205, 425),
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 109, 67, 103, 54, 21, 162, 127, 234, 93),
)
_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
_LIDS = (
    *zip((161, 160, 159, 158, 157), (163, 144, 145, 153, 154), strict=True),
    *zip((388, 387, 386, 385, 384), (390, 373, 374, 380, 381), strict=True),
)
_LID_FOLDS = ((30, 29, 27, 28, 56), (260, 259, 257, 258, 286))

# In units of the distance between the outer eye corners, about 9 cm.
_WIDEST_GAP = 0.20
_TEETH_LENGTH = 0.045

_THROAT_COLOUR = np.array([28.0, 18.0, 45.0])  # BGR
_TONGUE_COLOUR = np.array([62.0, 55.0, 125.0])
_TEETH_COLOUR = np.array([165.0, 190.0, 210.0])
_SEAM_COLOUR = np.array([25.0, 20.0, 70.0])  # where the lips meet


@dataclass(frozen=True)
class Pose:
    """The pose of the face in one frame. With zeros it is at rest: lips closed, eyes open."""

    opening: float  # 0 lips closed, 1 widest
    spread: float  # -1 rounded, +1 spread
    blink: float  # 0 eyes open, 1 shut
    shift_x: float  # of the head, in units of the eye distance
    shift_y: float
    roll_deg: float


class TalkingPortrait:
    """Draws a photograph of a face with any `Pose`.

    Frames are drawn at twice their size and scaled down, so that edges are smooth.
    """

    def __init__(
        self, photograph: Image, *, smile: float = 0.0, lip_inset: float = 0.0, lids: float = 1.0
    ) -> None:
        """Find the face and compute the displacements.

        Args:
            photograph: twice as large as the frames to draw.
            smile: how much of a smile to remove, because smiling lips look parted even when closed.
            lip_inset: by how much to move the edges of parted lips away from the teeth, in units of
                the eye distance.
            lids: how far a blink closes the eyes, 0 to 1.

        Raises:
            RuntimeError: there is no face in the photograph.
        """
        self._photograph = photograph
        found = _landmarks(photograph)
        self._eye_distance = float(np.linalg.norm(found[263] - found[33]))
        right = (found[263] - found[33]) / self._eye_distance
        self._axes = np.stack([right, (-right[1], right[0])])  # rows: to the right, down
        self._centre = found[[78, 308]].mean(axis=0)
        oval = found[list(_OVAL)]
        middle = oval.mean(axis=0)
        frame = np.concatenate([middle + (oval - middle) * scale for scale in (1.25, 1.6)])
        # In coordinates of the face: origin between the lip corners, eye distance 1, y down.
        face = np.concatenate([self._to_face(found), self._to_face(frame)])
        source = face.copy()
        source[list(_INNER_UPPER[1:-1]), 1] -= lip_inset
        source[list(_INNER_LOWER[1:-1]), 1] += lip_inset
        self._source = self._to_image(source)
        closed = _close(face)
        self._rest = closed + smile * _sober_direction(closed, len(found))
        self._opening = _opening_direction(self._rest, len(found))
        self._width = _width_direction(self._rest, len(found))
        self._blink = lids * _blink_direction(face)
        self._triangles = self._triangulate()
        self._grid = np.stack(
            np.meshgrid(*(np.arange(n, dtype=np.float64) for n in photograph.shape[1::-1])), axis=-1
        )
        self._head = self._head_weight(middle)
        self._throat, self._teeth = self._mouth_cavity()
        self._pivot = found[152]

    def _to_face(self, points: Floats) -> Floats:
        return np.asarray((points - self._centre) @ self._axes.T / self._eye_distance)

    def _to_image(self, points: Floats) -> Floats:
        return np.asarray(points @ self._axes * self._eye_distance + self._centre)

    def _triangulate(self) -> NDArray[np.int64]:
        """Triangulate the landmarks of an open mouth, without triangles between the lips."""
        triangles = Delaunay(self._rest + 0.6 * self._opening).simplices
        between = np.isin(triangles, _INNER_UPPER + _INNER_LOWER).all(axis=1)
        return np.asarray(triangles[~between], dtype=np.int64)

    def _head_weight(self, middle: Floats) -> Floats:
        """Compute how much each pixel moves with the head: 1 on the face, 0 at the edges."""
        offset = (self._grid - middle) / self._eye_distance
        radius = np.hypot(offset[..., 0] / 1.45, offset[..., 1] / 1.75)
        x, y = self._grid[..., 0], self._grid[..., 1]
        height, width = x.shape
        edge = np.minimum.reduce([x, y, width - 1 - x, height - 1 - y]) / (
            0.35 * self._eye_distance
        )
        return _smoothstep(1.6 - radius) * _smoothstep(edge)

    def _mouth_cavity(self) -> tuple[Floats, Floats]:
        """Paint the inside of an open mouth: colours of throat and tongue, and weight of teeth."""
        at = self._to_face(self._grid.reshape(-1, 2)).reshape(self._grid.shape)
        across = at[..., 0] / (np.ptp(self._rest[[78, 308], 0]) / 2)
        below = at[..., 1] - self._rest[[13, 14], 1].mean()
        tongue = _smoothstep((below - 0.05) / 0.12)[..., None]
        throat = _THROAT_COLOUR + tongue * (_TONGUE_COLOUR - _THROAT_COLOUR)
        edge = _TEETH_LENGTH * (1 - 0.4 * across**2) - below
        teeth = _smoothstep(edge / 0.02 + 0.5) * _smoothstep((0.9 - np.abs(across)) / 0.4)
        return throat, teeth

    def draw(self, pose: Pose) -> Image:
        """Draw one frame, half the size of the photograph."""
        width = pose.spread * (0.10 if pose.spread > 0 else 0.30)
        face = self._rest + pose.opening * self._opening + width * self._width
        target = self._to_image(face + pose.blink * self._blink)
        image = _sample(self._photograph, self._pull_back(target))
        image = self._paint_mouth(image, target, pose)
        image = _sample(image, self._move_head(pose))
        size = (image.shape[1] // 2, image.shape[0] // 2)
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)

    def _pull_back(self, target: Floats) -> Floats:
        """Compute the place in the photograph of each pixel, by one affine map per triangle."""
        corners = target[self._triangles]  # (triangles, 3, 2)
        ones = np.ones((*corners.shape[:2], 1))
        drawn = np.abs(np.linalg.det(np.concatenate([corners, ones], axis=2))) > 1e-3
        corners, ones = corners[drawn], ones[drawn]
        maps = np.linalg.solve(
            np.concatenate([corners, ones], axis=2), self._source[self._triangles[drawn]]
        )  # (triangles, 3, 2): [x, y, 1] @ map = source
        label = np.full(self._grid.shape[:2], -1, dtype=np.int32)
        for index, corner in enumerate(np.round(corners * 16).astype(np.int32)):
            cv2.fillConvexPoly(label, corner, (index,), shift=4)
        inside = label >= 0
        chosen, at = maps[label[inside]], self._grid[inside]
        source_at = self._grid.copy()
        source_at[inside] = at[:, :1] * chosen[:, 0] + at[:, 1:] * chosen[:, 1] + chosen[:, 2]
        return np.asarray(source_at)

    def _move_head(self, pose: Pose) -> Floats:
        angle = np.deg2rad(pose.roll_deg)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        shift = np.array([pose.shift_x, pose.shift_y]) * self._eye_distance
        moved = (self._grid - self._pivot) @ turn.T + self._pivot + shift
        return np.asarray(self._grid - self._head[..., None] * (moved - self._grid))

    def _paint_mouth(self, image: Image, target: Floats, pose: Pose) -> Image:
        """Paint the area between the lips: dark, with the tongue below and upper teeth above."""
        contour = target[[*_INNER_UPPER, *_INNER_LOWER[-2:0:-1]]]
        points = [np.round(contour * 16).astype(np.int32)]
        hole = np.zeros(image.shape[:2], dtype=np.uint8)
        cv2.fillPoly(hole, points, (255,), cv2.LINE_AA, shift=4)
        seam = np.zeros_like(hole)
        thickness = max(1, round(0.012 * self._eye_distance))
        cv2.polylines(seam, points, True, (255,), thickness, cv2.LINE_AA, shift=4)
        blur = 0.006 * self._eye_distance
        # Rounded lips hide the teeth; between lips that are nearly closed it is dark.
        shown = min(1.0, 0.15 + 1.5 * pose.opening) * (1 + 0.7 * min(pose.spread, 0.0))
        teeth = self._teeth * shown
        paint = self._throat + teeth[..., None] * (_TEETH_COLOUR - self._throat)
        shade = cv2.GaussianBlur(hole, (0, 0), 3 * blur)[..., None] / 255.0
        paint *= 0.4 + 0.6 * shade
        lip = 0.55 * cv2.GaussianBlur(seam, (0, 0), 1.5 * blur)[..., None] / 255.0
        result = image * (1 - lip) + lip * _SEAM_COLOUR
        inside = cv2.GaussianBlur(hole, (0, 0), blur)[..., None] / 255.0
        result += inside * (paint - result)
        return np.asarray(np.clip(np.round(result), 0, 255), dtype=np.uint8)


def _landmarks(photograph: Image) -> Floats:
    """Find the 468 landmarks in pixels: (468, 2)."""
    with mp.solutions.face_mesh.FaceMesh(static_image_mode=True, refine_landmarks=True) as mesh:
        found = mesh.process(cv2.cvtColor(photograph, cv2.COLOR_BGR2RGB)).multi_face_landmarks
    if not found:
        raise RuntimeError("No face found in the photograph.")
    height, width = photograph.shape[:2]
    # The ten further landmarks of the irises are not used.
    return np.array([(p.x * width, p.y * height) for p in found[0].landmark[:468]])


def _sample(image: Image, at: Floats) -> Image:
    """Sample an image at places (height, width, 2), x and y in pixels."""
    x, y = np.moveaxis(at.astype(np.float32), -1, 0)
    sampled = cv2.remap(image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, dtype=np.uint8)


def _smoothstep(value: Floats) -> Floats:
    value = np.clip(value, 0.0, 1.0)
    return np.asarray(value * value * (3 - 2 * value))


def _close(face: Floats) -> Floats:
    """Close parted lips: the inner edges meet half way."""
    rest = face.copy()
    gap = face[list(_INNER_LOWER), 1] - face[list(_INNER_UPPER), 1]
    for fade, upper, lower in zip((1, 1, 1, 0.9), _UPPER_RINGS, _LOWER_RINGS, strict=True):
        rest[list(upper), 1] += 0.5 * fade * gap
        rest[list(lower), 1] -= 0.5 * fade * gap
    return rest


def _spread_to_face(face: Floats, moved: dict[int, Floats], landmarks: int) -> Floats:
    """Interpolate displacements of some landmarks to the whole face; the frame does not move."""
    direction = np.zeros_like(face)
    outer = {*_UPPER_RINGS[-1], *_LOWER_RINGS[-1]}
    rings = {i for ring in (*_UPPER_RINGS, *_LOWER_RINGS) for i in ring}
    known = {i: d for i, d in moved.items() if i in outer or i not in rings}
    known |= {i: np.zeros(2) for i in (*_STILL, *range(landmarks, len(face)))}
    at = list(known)
    carry = RBFInterpolator(face[at], np.stack([known[i] for i in at]), kernel="linear")
    direction[:landmarks] = carry(face[:landmarks])
    for index, displacement in moved.items():
        direction[index] = displacement
    return direction


def _sober_direction(face: Floats, landmarks: int) -> Floats:
    """Displacement that removes a smile from closed lips: straighter, narrower, and fuller."""
    middle = face[list(_INNER_UPPER), 1].mean()
    half_width = np.ptp(face[[78, 308], 0]) / 2
    moved: dict[int, Floats] = {}
    for rings, fuller in ((_UPPER_RINGS, -0.03), (_LOWER_RINGS, 0.04)):
        for ring, share in zip(rings, (0.0, 0.33, 0.67, 1.0), strict=True):
            for index, inner in zip(ring, _INNER_UPPER, strict=True):
                bulge = fuller * share * (1 - np.clip(face[inner, 0] / half_width, -1, 1) ** 2)
                down = middle - face[inner, 1] + bulge
                moved[index] = np.array([-0.2 * face[inner, 0], down])
    moved |= {index: np.zeros(2) for index in _CHIN}
    return _spread_to_face(face, moved, landmarks)


def _opening_direction(face: Floats, landmarks: int) -> Floats:
    """Displacement that opens the mouth: 80 % by the lower lip, 20 % by the upper lip."""
    half_width = np.ptp(face[[78, 308], 0]) / 2
    moved: dict[int, Floats] = {}
    for rings, share, fades in (
        (_UPPER_RINGS, -0.2, (1, 0.95, 0.85, 0.7)),
        (_LOWER_RINGS, 0.8, (1, 1, 0.98, 0.95)),
    ):
        for ring, fade in zip(rings, fades, strict=True):
            for index, inner in zip(ring, rings[0], strict=True):
                across = np.clip(face[inner, 0] / half_width, -1, 1)
                drop = share * fade * (1 - across**2) ** 0.7
                corners = np.array([-0.12 * across, 0.15]) * abs(across) ** 2
                moved[index] = _WIDEST_GAP * (np.array([0.0, drop]) + corners)
    for index, weight in _CHIN.items():
        moved[index] = np.array([0.0, 0.6 * weight * _WIDEST_GAP])
    return _spread_to_face(face, moved, landmarks)


def _width_direction(face: Floats, landmarks: int) -> Floats:
    """Displacement that widens the mouth by its own width; negative, it rounds the lips."""
    moved = {
        index: np.array([face[index, 0], -0.5 * face[index, 1]])
        for ring in (*_UPPER_RINGS, *_LOWER_RINGS)
        for index in ring
    }
    moved |= {index: np.zeros(2) for index in _CHIN}
    for upper, lower in zip(_INNER_UPPER, _INNER_LOWER, strict=True):
        middle = (face[upper, 1] + face[lower, 1]) / 2
        moved[upper] = moved[lower] = np.array([face[upper, 0], -0.5 * middle])
    return _spread_to_face(face, moved, landmarks)


def _blink_direction(face: Floats) -> Floats:
    """Displacement of a blink: the upper lids close, and the folds above them move half as far."""
    direction = np.zeros_like(face)
    folds = [index for eye in _LID_FOLDS for index in eye]
    for (upper, lower), fold in zip(_LIDS, folds, strict=True):
        direction[upper] = 0.92 * (face[lower] - face[upper])
        direction[fold] = 0.5 * direction[upper]
    return direction
