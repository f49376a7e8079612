"""Detection of small faces in large pictures, at intervals, at a higher resolution.

Some detectors scale pictures to 192 x 192 pixels, in which a face of 50 pixels in 1080 lines is
lost. They are run on a dozen squares of the picture, at the beginning of a shot and every 1.5 s; in
between, landmarks track the face as usual. A `CloseDetector` needs no squares: it processes the
whole picture at a higher resolution.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np

from avse.faces.detect import Box, Detection, FaceBackend, Image, close_detector_of
from avse.media.pictures import Picture

_EVERY_S = Fraction(3, 2)
_SELDOM_S = 6
"""Longest interval of a `CloseDetector`, in seconds: the interval doubles each time that no new
face is found."""

_OVERLAP = 0.2
_MIN_SCORE, _MIN_PX = 0.75, 32
"""Minimal score and size of a face that is detected only in a square. Faces of 40 pixels and more
have a score of 0.85; textures, stars and parts of machines sometimes have 0.8, mostly small
ones."""

_SMALL = 0.5
"""A face is small below this share of the side of a square; larger ones are detected in the whole
picture."""

_MOST = 12
"""Maximal number of new faces from one detection."""


class SmallFaceDetector:
    """Detects small faces, at its own intervals.

    Args:
        backend: the face backend; nothing is done if its `close_px` is None and it has no
            `close_detector`.
    """

    def __init__(self, backend: FaceBackend) -> None:
        self._backend = backend
        self._next: Fraction | None = None
        self._wait = _EVERY_S
        self._before: list[Box] = []
        self._detector = close_detector_of(backend)

    def shot(self) -> None:
        """Start a shot: detect at the next call."""
        self._next, self._wait, self._before = None, _EVERY_S, []

    def rest(self) -> None:
        """Return memory to the system that the next detection would need again."""
        if self._detector is not None:
            self._detector.rest()

    def look_around(
        self, picture: Picture, time: Fraction, known: Sequence[Box]
    ) -> list[Detection]:
        """Detect small faces in the whole picture; returns nothing before the next interval.

        Args:
            picture: the picture.
            time: its instant.
            known: faces that are known already, and not returned.
        """
        if self._next is not None and time < self._next:
            return []
        if self._detector is not None:
            seen = self._detector.detect_closely(picture)
            fresh = [face for face in seen if not any(same_face(face.box, box) for box in known)]
            new = any(not any(same_face(f.box, box) for box in self._before) for f in fresh)
            self._wait = _EVERY_S if new else min(2 * self._wait, Fraction(_SELDOM_S))
            self._next, self._before = time + self._wait, [face.box for face in seen]
            return fresh
        side = self._backend.close_px
        if side is None:
            return []
        self._next = time + _EVERY_S
        height, width = picture.shape
        if max(height, width) <= side:
            return []
        found: list[Detection] = []
        for y in _starts(height, side):
            for x in _starts(width, side):
                found += [
                    face
                    for face in self._look(picture.image, x, y, side)
                    if not any(same_face(face.box, box) for box in known)
                ]
        found.sort(key=lambda face: -face.score)
        apart: list[Detection] = []
        for face in found:
            if not any(face.box.centred_in(other.box) for other in apart):
                apart.append(face)
        return apart

    def look_at(self, picture: Picture, box: Box) -> Detection | None:
        """Detect a small face near its last place; None if there is none, or it is not small."""
        if self._detector is not None:
            near = [f for f in self._detector.detect_closely(picture, box) if f.box.centred_in(box)]
            return max(near, key=lambda face: face.box.overlap(box), default=None)
        side = self._backend.close_px
        if side is None or max(box.w, box.h) > _SMALL * side:
            return None
        x, y = (
            int(np.clip(round(middle - side / 2), 0, max(0, length - side)))
            for middle, length in zip(box.centre, picture.shape[::-1], strict=True)
        )
        seen = [f for f in self._look(picture.image, x, y, side) if f.box.centred_in(box)]
        return max(seen, key=lambda face: face.box.overlap(box), default=None)

    def _look(self, image: Image, x: int, y: int, side: int) -> list[Detection]:
        """Detect the faces in a square, except for those that its edges cut."""
        height, width = image.shape[:2]
        square = np.ascontiguousarray(image[y : y + side, x : x + side])
        edges = (x > 0, y > 0, x + side < width, y + side < height)
        return [
            replace(face, box=replace(face.box, x=face.box.x + x, y=face.box.y + y))
            for face in self._backend.detect([square])[0]
            if face.score >= _MIN_SCORE
            and max(face.box.w, face.box.h) >= _MIN_PX
            and not any(_over(face.box, side, edges))
        ]


def largest(faces: Iterable[Detection]) -> list[Detection]:
    """The largest of many new faces, which bounds the cost of tracking."""
    return sorted(faces, key=lambda face: -face.box.w)[:_MOST]


def same_face(one: Box, other: Box) -> bool:
    """Whether two boxes are of one face; boxes of small faces may be far too large."""
    return one.centred_in(other) and 0.5 < one.w / max(other.w, 1e-6) < 2.0


def _over(box: Box, side: int, edges: tuple[bool, bool, bool, bool]) -> list[bool]:
    """Whether a face crosses each edge of a square inside the picture."""
    beyond = (box.x < 0, box.y < 0, box.x + box.w > side, box.y + box.h > side)
    return [more and over for more, over in zip(edges, beyond, strict=True)]


def _starts(length: int, side: int) -> list[int]:
    """Positions of the squares along a side of the picture."""
    if length <= side:
        return [0]
    count = 1 + int(np.ceil((length - side) / (side * (1 - _OVERLAP))))
    return [round(k * (length - side) / (count - 1)) for k in range(count)]
