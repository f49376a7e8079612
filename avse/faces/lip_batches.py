"""Lips of tracked faces, estimated for the faces of several frames at a time.

Tracking needs only the head and the box of a face, so its lips may follow later. One call of the
network for 16 mouths takes less time than eight calls for two, and other threads run meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from avse.faces.detect import (
    Box,
    Face,
    FaceBackend,
    FaceLandmarks,
    Image,
    Mouth,
    lip_reader_of,
    reads_luma,
)
from avse.faces.sightings import Sightings
from avse.media.pictures import Picture

_MOST = 16
"""Number of mouths whose lips are estimated together; larger batches are not faster."""

_SETTLING = 3
"""Number of further searches for a new face, until it no longer moves by more than it jitters."""


class LipBatches:
    """Finds faces, and stores their sightings, whose lips follow at `finish` at the latest.

    Args:
        backend: the face backend. Without a `LipReader` all lips are found at once.
    """

    def __init__(self, backend: FaceBackend) -> None:
        self._backend, self._reader = backend, lip_reader_of(backend)
        self._luma = reads_luma(backend)
        self._waiting: list[tuple[Sightings, int, Mouth]] = []

    @property
    def separate(self) -> bool:
        """Whether lips are found apart from faces, so that `store` takes any face."""
        return self._reader is not None

    def faces(self, picture: Picture, boxes: Sequence[Box]) -> Sequence[Face | None]:
        """Find the face in each box; None if there is no face."""
        if not boxes:
            return []
        find = self._backend.landmarks if self._reader is None else self._reader.faces
        return find(self._image(picture), boxes)

    def new_faces(self, picture: Picture, boxes: Sequence[Box]) -> Sequence[Face | None]:
        """Find the face in each box of a detector.

        Such boxes differ from those of landmarks, which shifts the landmarks; so faces are searched
        for again in their own boxes.
        """
        faces = list(self.faces(picture, boxes))
        for _ in range(_SETTLING if self.separate else 0):
            known = [index for index, face in enumerate(faces) if face is not None]
            again = self.faces(picture, [face.box for face in faces if face is not None])
            for index, face in zip(known, again, strict=True):
                faces[index] = face or faces[index]
        return faces

    def store(
        self,
        sightings: Sightings,
        time: Fraction,
        box: tuple[float, float, float, float],
        face: Face,
        picture: Picture,
    ) -> None:
        """Add a face from `faces` to sightings.

        Args:
            sightings: the sightings; they must not lose sightings before `finish`.
            time, box: see `Sightings.append`.
            face: the face.
            picture: its picture.
        """
        sightings.append(time, box, pose=(face.head.yaw, face.head.pitch))
        row = len(sightings) - 1
        if isinstance(face, FaceLandmarks):
            sightings.fill(row, face.head.fix(face.lips), face.confidence)
        elif self._reader is not None:
            mouth = self._reader.mouth(self._image(picture), face)
            self._waiting.append((sightings, row, mouth))
            if len(self._waiting) >= _MOST:
                self.finish()

    def finish(self) -> None:
        """Find the lips that are still missing."""
        waiting, self._waiting = self._waiting, []
        if self._reader is None or not waiting:
            return
        lips, confidence = self._reader.lips([mouth for _, _, mouth in waiting])
        for (sightings, row, _), points, sure in zip(waiting, lips, confidence, strict=True):
            sightings.fill(row, points, sure)

    def _image(self, picture: Picture) -> Image:
        luma = picture.luma if self._luma else None
        return picture.image if luma is None else luma
