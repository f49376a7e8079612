"""The appearance of the faces of a clip, recorded during face tracking.

The face backend is wrapped, so that no frame is processed twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avse.faces.detect import (
    Box,
    CloseDetector,
    Detection,
    FaceBackend,
    FaceLandmarks,
    Image,
    close_detector_of,
)
from avse.faces.identity import MAX_YAW, clothes, skull
from avse.faces.scaling import warp
from avse.faces.stillness import LEAST_MOTION
from avse.types import FloatArray

PORTRAIT = 64
"""Side of a portrait in pixels; the outer eye corners are 24 pixels apart."""

PORTRAITS = 5
"""Maximum number of portraits of a clip, evenly spaced."""

_REACH, _UP = 1.35, 0.25
"""Distance from the centre of a portrait to its edge, and of its centre above the nose, in eye
distances."""

_EVERY = 6
"""A face is described in every sixth frame, because it changes little from frame to frame."""

_MOST = 64
"""Maximum number of descriptions; of longer clips, every second, fourth, ... is stored."""


@dataclass(frozen=True)
class Appearance:
    """The appearance of a person.

    Attributes:
        portraits: (n, 64, 64, 3) uint8 RGB, n up to 5: the face with the roll of the head removed,
            and the tip of its nose a little below the centre.
        skull: (points · 3,) mean shape in eye distances.
        clothes: (4 · 8 · 3,) 0..1; NaN if the clothes are outside the picture.
        eyes_px: median distance between the outer eye corners, in pixels of the frames.
    """

    portraits: Image
    skull: FloatArray
    clothes: FloatArray
    eyes_px: float


@dataclass(frozen=True)
class _Sighting:
    box: Box
    eyes_px: float
    skull: FloatArray
    portrait: Image | None = None
    clothes: FloatArray | None = None


class AppearanceRecorder:
    """A face backend that records the appearance of the faces that another backend finds.

    Args:
        backend: the other backend.
    """

    def __init__(self, backend: FaceBackend) -> None:
        self._backend = backend
        self._sightings: list[_Sighting] = []
        self._described: list[_Sighting] = []
        self._stride, self._calls = _EVERY, 0

    @property
    def name(self) -> str:
        """Name of the backend."""
        return self._backend.name

    @property
    def close_px(self) -> int | None:
        """See `FaceBackend`."""
        return self._backend.close_px

    @property
    def least_motion(self) -> float:
        """See `avse.faces.face_settings.FaceSettings`."""
        return float(getattr(self._backend, "least_motion", LEAST_MOTION))

    @property
    def close_detector(self) -> CloseDetector | None:
        """See `CloseDetector`."""
        return close_detector_of(self._backend)

    def detect(self, images: Sequence[Image]) -> list[list[Detection]]:
        """See `FaceBackend`."""
        return self._backend.detect(images)

    def landmarks(self, image: Image, boxes: Sequence[Box]) -> list[FaceLandmarks | None]:
        """See `FaceBackend`."""
        faces = self._backend.landmarks(image, boxes)
        due = self._calls % self._stride == 0
        self._calls += 1
        for face in faces:
            if face is None:
                continue
            seen = _Sighting(face.box, face.head.scale, skull(face))
            self._sightings.append(seen)
            if due and abs(face.head.yaw) <= MAX_YAW:
                self._described.append(
                    _Sighting(
                        seen.box,
                        seen.eyes_px,
                        seen.skull,
                        portrait(image, face),
                        clothes(image, face),
                    )
                )
        if len(self._described) > _MOST:
            self._described, self._stride = self._described[::2], 2 * self._stride
        return faces

    def looks(self, box: tuple[float, float, float, float]) -> Appearance | None:
        """Describe the person whose face is usually in a box.

        Args:
            box: x, y, width, height in pixels of the frames.

        Returns:
            The appearance; None if there was no frontal face.
        """
        here = Box(*box)
        seen = [s for s in self._sightings if _near(s.box, here)]
        described = [s for s in self._described if _near(s.box, here)]
        if not described:
            return None
        worn = np.stack([s.clothes for s in described if s.clothes is not None])
        there = np.isfinite(worn).all(axis=1)
        missing = np.full(worn.shape[1], np.nan)
        faces = [s.portrait for s in described if s.portrait is not None]
        some = np.linspace(0, len(faces) - 1, min(len(faces), PORTRAITS)).round().astype(int)
        return Appearance(
            np.stack([faces[n] for n in some]),
            np.asarray(np.mean([s.skull for s in seen], axis=0), np.float32),
            np.asarray(worn[there].mean(axis=0) if there.any() else missing, np.float32),
            float(np.median([s.eyes_px for s in seen])),
        )


def portrait(image: Image, face: FaceLandmarks) -> Image:
    """Crop a face, (64, 64, 3) uint8, with the roll of the head removed."""
    head = face.head
    unit = head.scale * 2 * _REACH / PORTRAIT
    turn = np.array(
        [[np.cos(head.roll), -np.sin(head.roll)], [np.sin(head.roll), np.cos(head.roll)]]
    )
    middle = head.origin[:2] - turn @ np.array([0.0, _UP * head.scale])
    matrix = turn * unit
    corner = middle - matrix @ np.full(2, (PORTRAIT - 1) / 2)
    return warp(image, np.column_stack([matrix, corner]), PORTRAIT, PORTRAIT)


def _near(one: Box, other: Box) -> bool:
    """Whether the centre of a face lies in a box, and their sizes are similar."""
    (x, y), (u, v) = one.centre, other.centre
    alike = 0.4 < one.w / max(other.w, 1e-6) < 2.5
    return alike and abs(x - u) < other.w / 2 and abs(y - v) < other.h / 2
