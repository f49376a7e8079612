"""Descriptions of faces, by which a person is recognised after a cut or a gap.

With `avse[identity]`, a face recognition network describes faces (`recognition.py`), and only its
descriptions decide. Without it, the description is a small picture of the face, aligned to the
head, with hair and surroundings; the shape of the skull; and the colours of the clothes. This
distinguishes the people of one recording, but cannot find a person among thousands. Its errors are
mostly people who are not recognised, rather than people who are confused.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from avse.faces.detect import Face, Image
from avse.faces.scaling import warp
from avse.types import FloatArray

if TYPE_CHECKING:
    from avse.faces.recognition import Recogniser

VIEW = 32
"""Side of the small picture in pixels."""

_REACH = 1.35
"""Distance from the centre of the picture to its edge, in eye distances."""

MAX_YAW = 0.6
"""Faces with a larger yaw, in radians, are not described."""

MIN_LIKENESS, MIN_LIKENESS_DRESSED = 0.90, 0.84
"""Smallest similarity of two faces of one person, and of two faces with the same clothes."""

SAME_CLOTHES, OTHER_CLOTHES = 0.05, 0.10
"""Mean difference of the clothes, 0..1: below the first they are the same, above the second they
are different."""

MAX_SKULL = 0.012
"""Largest root mean square difference of the face shapes of one person, in eye distances."""

MIN_LIKENESS_STAYED, MAX_SKULL_STAYED = 0.82, 0.02
"""The same limits across a cut after which a face is at the place of an earlier one; the picture
may be mirrored. Of 64 clips followed by themselves, all pass, and 62 followed by their mirror
image; of 2,014 pairs of clips of different people (some may be one person), 1.7 %."""

STRANGER = 0.6
"""With a lower similarity, a face at the same place and with the same pose is another person's."""

SAME_FACE = 0.45
"""Largest distance of two network descriptions of one person; see docs/identity.md."""

_LOOKS, _FIRST_WAIT_S = 3, Fraction(2, 5)
"""Maximum number of network descriptions of a face track, and the time from the first to the second
one, which then doubles. A description takes 0.1 s on one core."""

_SMALLEST = 12.0
"""Smallest eye distance for the network, in pixels."""

_SETTLED_S = Fraction(1, 2)
_SAME_SIDE = 0.15
_VIEWS, _NEW_VIEW = 4, 0.95

_GAMMA = np.array([np.sqrt(v / 255) for v in range(256)], np.float32)


CLOTHES = (4, 8)
"""Rows and columns of the picture of the clothes below the chin."""


def view(image: Image, face: Face) -> FloatArray:
    """Crop a face, aligned to the head, and normalise its brightness and contrast.

    Returns:
        (32 * 32 * 3,) float32 of mean 0 and length 1.
    """
    crop, _ = _patch(image, face, 0.25, (_REACH, _REACH), (VIEW, VIEW))
    values = _GAMMA[crop]
    values = values - values.mean()
    length = float(np.linalg.norm(values))
    return np.asarray(values.ravel() / max(length, 1e-6), np.float32)


def clothes(image: Image, face: Face) -> FloatArray:
    """Crop a small picture of the clothes below the chin.

    Returns:
        (4 * 8 * 3,) float32 in 0..1; NaN if the clothes are outside the picture.
    """
    crop, inside = _patch(image, face, -1.75, (0.4, 1.1), CLOTHES)
    values = _GAMMA[crop].ravel()
    return np.full_like(values, np.nan) if inside < 0.7 else values


def _patch(
    image: Image, face: Face, up: float, reach: tuple[float, float], size: tuple[int, int]
) -> tuple[Image, float]:
    """Crop a rectangle that is aligned to the roll of the head.

    Args:
        image: (height, width, 3) uint8.
        face: the face.
        up: distance of the centre of the rectangle above the nose, in eye distances.
        reach: half height and half width, in eye distances.
        size: height and width of the result, in pixels.

    Returns:
        The rectangle, and the share of it that lies inside the picture.
    """
    head = face.head
    turn = np.array(
        [[np.cos(head.roll), -np.sin(head.roll)], [np.sin(head.roll), np.cos(head.roll)]]
    )
    step = 2 * head.scale * np.array([reach[1] / size[1], reach[0] / size[0]])
    middle = head.origin[:2] - turn @ np.array([0.0, up * head.scale])
    matrix = turn * step
    corner = middle - matrix @ np.array([(size[1] - 1) / 2, (size[0] - 1) / 2])
    crop = warp(image, np.column_stack([matrix, corner]), size[1], size[0])
    rows, columns = np.mgrid[: size[0], : size[1]]
    x, y = matrix @ np.stack([columns.ravel(), rows.ravel()]) + corner[:, None]
    inside = (x >= 0) & (x < image.shape[1]) & (y >= 0) & (y < image.shape[0])
    return crop, float(inside.mean())


def skull(face: Face) -> FloatArray:
    """The shape of the face without expression: its rigid points in the frame of the head."""
    return face.head.fix(face.shape).ravel()


class Portrait:
    """The description of a face: up to four different views, its shape, and the clothes.

    Args:
        recogniser: the face recognition network, if there is one.

    Attributes:
        views: (32 * 32 * 3,) pictures, see `view`.
    """

    def __init__(self, recogniser: Recogniser | None = None) -> None:
        self._recogniser = recogniser
        self._face = _Mean()
        self._look_at: Fraction | None = None
        self.views: list[FloatArray] = []
        self._sittings: list[tuple[Fraction, float, float]] = []
        self._skull = _Mean()
        self._clothes = _Mean()

    def add(self, image: Image, face: Face, time: Fraction, *, may_differ: bool = False) -> bool:
        """Add a frame to the description, unless the head is turned away.

        Args:
            image: the picture.
            face: the face in it.
            time: of the picture, in seconds.
            may_differ: whether there may have been a dissolve. Only then is the face compared with
                earlier frames, because one person's similarity is sometimes as low as that of two
                people.

        Returns:
            False if this is another person's face than that of the earlier frames, more than half a
            second ago, with the same pose. The frame is then not added.
        """
        head = face.head
        if abs(head.yaw) > MAX_YAW:
            return True
        if may_differ or len(self.views) < _VIEWS:
            picture = view(image, face)
            like = [
                float(picture @ known)
                for known, (when, yaw, pitch) in zip(self.views, self._sittings, strict=True)
                if time - when > _SETTLED_S
                and max(abs(head.yaw - yaw), abs(head.pitch - pitch)) < _SAME_SIDE
            ]
            if may_differ and like and max(like) < STRANGER:
                return False
            self._remember(picture, (time, head.yaw, head.pitch))
        self._skull.add(skull(face), 1)
        worn = clothes(image, face)
        if np.isfinite(worn).all():
            self._clothes.add(worn, 1)
        self._recognise(image, face, time)
        return True

    def lacks(self, face: Face) -> bool:
        """Whether there is no view yet, and this face, which is not turned away, would give one."""
        return not self.views and abs(face.head.yaw) <= MAX_YAW

    @property
    def face(self) -> FloatArray | None:
        """Mean network description, (128,); None if there is none."""
        return self._face.value

    def copied(self) -> Portrait:
        """Make an independent copy."""
        other = Portrait(self._recogniser)
        other._look_at = self._look_at
        other.absorb(self)
        return other

    def absorb(self, other: Portrait) -> None:
        """Add another description of the same person."""
        for picture, sitting in zip(other.views, other._sittings, strict=True):
            self._remember(picture, sitting)
        for mine, theirs in (
            (self._skull, other._skull),
            (self._clothes, other._clothes),
            (self._face, other._face),
        ):
            if theirs.value is not None:
                mine.add(theirs.value, theirs.count)

    def likeness(self, other: Portrait) -> float:
        """Cosine of the most similar views, 1 for the same picture; -1 if there are no views."""
        if not self.views or not other.views:
            return -1.0
        return float((np.stack(self.views) @ np.stack(other.views).T).max())

    def same_person(self, other: Portrait) -> float:
        """Compare two faces.

        Returns:
            By how much their similarity exceeds the limit for one person. With network descriptions
            of both, it is `SAME_FACE` minus their distance. With 0 or less, the faces are not known
            to be of one person.
        """
        if self.face is not None and other.face is not None:
            return SAME_FACE - float(np.linalg.norm(self.face - other.face))
        if self._skull.value is None or other._skull.value is None:
            return -1.0
        apart = float(np.sqrt(np.mean(np.square(self._skull.value - other._skull.value))))
        asked = MIN_LIKENESS
        if self._clothes.value is not None and other._clothes.value is not None:
            change = float(np.abs(self._clothes.value - other._clothes.value).mean())
            if change > OTHER_CLOTHES:
                return -1.0
            if change < SAME_CLOTHES:
                asked = MIN_LIKENESS_DRESSED
        return self.likeness(other) - asked if apart <= MAX_SKULL else -1.0

    def may_have_stayed(self, other: Portrait) -> float:
        """As `same_person`, for a face that is at the place of this one right after a cut.

        Clothes and surroundings may differ, and the picture may be mirrored.
        """
        if self._skull.value is None or other._skull.value is None:
            return -1.0
        if not self.views or not other.views:
            return -1.0
        apart = float(np.sqrt(np.mean(np.square(self._skull.value - other._skull.value))))
        mine, theirs = np.stack(self.views), np.stack(other.views)
        mirrored = mine.reshape(-1, VIEW, VIEW, 3)[:, :, ::-1].reshape(mine.shape)
        alike = max(float((mine @ theirs.T).max()), float((mirrored @ theirs.T).max()))
        return alike - MIN_LIKENESS_STAYED if apart <= MAX_SKULL_STAYED else -1.0

    def _recognise(self, image: Image, face: Face, time: Fraction) -> None:
        if self._recogniser is None or face.head.scale < _SMALLEST:
            return
        looks = self._face.count
        if looks >= _LOOKS or (self._look_at is not None and time < self._look_at):
            return
        self._face.add(self._recogniser.describe(image, face), 1)
        self._look_at = time + _FIRST_WAIT_S * 2**looks

    def _remember(self, picture: FloatArray, sitting: tuple[Fraction, float, float]) -> None:
        if len(self.views) < _VIEWS and all(float(v @ picture) < _NEW_VIEW for v in self.views):
            self.views.append(picture)
            self._sittings.append(sitting)


class _Mean:
    def __init__(self) -> None:
        self.value: FloatArray | None = None
        self.count = 0

    def add(self, value: FloatArray, count: int) -> None:
        self.count += count
        if self.value is None:
            self.value = value.copy()
        else:
            self.value += (value - self.value) * np.float32(count / self.count)
