"""Whose face is it? What is remembered of a face, to know it again.

With `avse[identity]` installed a face recognition network describes faces (`recognition.py`), and
its word alone counts. Without it this looks at what stays the same from shot to shot of one
recording: the face, hair and surroundings of the face as a small picture squared up to the eyes,
and the shape of the skull. That tells apart the people of one recording; it is no good for finding
a stranger among thousands, and errs towards not knowing a person again.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from avse.faces.detect import FaceLandmarks, Image
from avse.faces.scaling import warp
from avse.types import FloatArray

if TYPE_CHECKING:
    from avse.faces.recognition import Recogniser

VIEW = 32
"""Side of the small picture."""

_REACH = 1.35
"""How far the picture reaches from its middle, in eye distances."""

MAX_YAW = 0.6
"""A face turned further than this, in radians, is not described."""

MIN_LIKENESS, MIN_LIKENESS_DRESSED = 0.90, 0.84
"""Likeness asked for to know a face again, and to know it again in the same clothes."""

SAME_CLOTHES, OTHER_CLOTHES = 0.05, 0.10
"""Mean difference of the clothes (0..1) below which they are the same, above which they are not."""

MAX_SKULL = 0.012
"""Root mean square difference of face shapes, in eye distances, above which people differ."""

MIN_LIKENESS_STAYED, MAX_SKULL_STAYED = 0.82, 0.02
"""The same across a cut after which a face is where one was before, mirrored or not. Of 64 clips
cut against themselves all pass, and 62 against their mirror image; of 2,014 pairs of clips of
different people 1.7 percent, some of whom may be one person."""

STRANGER = 0.6
"""Likeness below which a face in the same place and attitude is somebody else's."""

SAME_FACE = 0.45
"""Distance of two network descriptions below which they are of one person; see docs/identity.md."""

_LOOKS, _FIRST_WAIT_S = 3, Fraction(2, 5)
"""How often the network looks at a face that is followed, and how long after the first time it
looks again; then twice as long. A look takes 0.1 s of one core."""

_SMALLEST = 12.0
"""Eye distance in pixels below which the network is not asked."""

_SETTLED_S = Fraction(1, 2)
_SAME_SIDE = 0.15
_VIEWS, _NEW_VIEW = 4, 0.95

_GAMMA = np.array([np.sqrt(v / 255) for v in range(256)], np.float32)


CLOTHES = (4, 8)
"""Rows and columns of the picture of what is worn under the chin."""


def view(image: Image, face: FaceLandmarks) -> FloatArray:
    """The face squared up to its eyes, free of brightness and contrast.

    Returns:
        (32 * 32 * 3,) float32 of mean 0 and length 1.
    """
    crop, _ = _patch(image, face, 0.25, (_REACH, _REACH), (VIEW, VIEW))
    values = _GAMMA[crop]
    values = values - values.mean()
    length = float(np.linalg.norm(values))
    return np.asarray(values.ravel() / max(length, 1e-6), np.float32)


def clothes(image: Image, face: FaceLandmarks) -> FloatArray:
    """What is worn under the chin.

    Returns:
        (4 * 8 * 3,) float32 in 0..1, not a number where the picture ends above it.
    """
    crop, inside = _patch(image, face, -1.75, (0.4, 1.1), CLOTHES)
    values = _GAMMA[crop].ravel()
    return np.full_like(values, np.nan) if inside < 0.7 else values


def _patch(
    image: Image, face: FaceLandmarks, up: float, reach: tuple[float, float], size: tuple[int, int]
) -> tuple[Image, float]:
    """A rectangle upright to the head, `up` eye distances above the nose, and its share in sight.

    `reach` and `size` are (height, width), from the middle in eye distances, and in pixels.
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


def skull(face: FaceLandmarks) -> FloatArray:
    """The shape of the face without expression, as far as the backend's rigid points tell it."""
    return face.head.fix(face.shape).ravel()


class Portrait:
    """What is remembered of a face: up to four different views, its shape, its clothes.

    Args:
        recogniser: the face recognition network, if there is one.
    """

    def __init__(self, recogniser: Recogniser | None = None) -> None:
        self._recogniser = recogniser
        self._face = _Mean()
        self._look_at: Fraction | None = None
        self.views: list[FloatArray] = []
        self._sittings: list[tuple[Fraction, float, float]] = []
        self._skull = _Mean()
        self._clothes = _Mean()

    def add(
        self, image: Image, face: FaceLandmarks, time: Fraction, *, may_differ: bool = False
    ) -> bool:
        """Look once more, unless the head is turned away.

        Args:
            image: the picture.
            face: the face in it.
            time: its instant.
            may_differ: whether the picture has become another lately. One person's likeness to
                half a second ago falls below that of two people now and then, so it alone says
                nothing.

        Returns:
            False if this is not the face of half a second ago and before, seen from the same side:
            another has dissolved into its place. Then nothing is remembered.
        """
        head = face.head
        if abs(head.yaw) > MAX_YAW:
            return True
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

    @property
    def face(self) -> FloatArray | None:
        """(128,) mean of what the network said, None if it never saw the face."""
        return self._face.value

    def copied(self) -> Portrait:
        """A copy that can absorb others while this one goes on."""
        other = Portrait(self._recogniser)
        other._look_at = self._look_at
        other.absorb(self)
        return other

    def absorb(self, other: Portrait) -> None:
        """Remember what another portrait of the same person does."""
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
        """Of the most similar views, 1 for the same picture; -1 where either has none."""
        if not self.views or not other.views:
            return -1.0
        return float((np.stack(self.views) @ np.stack(other.views).T).max())

    def same_person(self, other: Portrait) -> float:
        """How much likeness exceeds what is asked for; at most 0: not known to be the same.

        Where the network has seen both faces, by how much they are nearer than `SAME_FACE`.
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
        """As `same_person`, for a face that is there right after a cut where this one was before.

        Clothes and surroundings may differ, and one half of the picture may have been mirrored.
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

    def _recognise(self, image: Image, face: FaceLandmarks, time: Fraction) -> None:
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
