"""Lip and jaw geometry: the input of the visual stream.

A face is reduced to 43 points: 20 on the outer lip contour, 20 on the inner one and 3 on the chin.
They are expressed in a frame that is fixed to the head (origin: tip of the nose; x: to the person's
left; y: down; z: into the head) and divided by the distance between the outer eye corners. So they
do not depend on the motion of the head, only on that of mouth and jaw.

The outline of the mouth is the same for every face backend; `contour` resamples a backend that has
fewer lip points to this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from avse.types import FloatArray

RATE_HZ = 25
"""Rate of lip frames: frame k is at k / 25 s on the container's clock."""

OUTER, INNER, CHIN = 20, 20, 3
POINTS = OUTER + INNER + CHIN

MAX_GAP_S = Fraction(12, 100)
"""Longest gap between two sightings that is interpolated, in seconds."""


RIGID = 13
"""Points that hardly move in talking: outer and inner corner of the right eye, inner and outer of
the left; nose from bridge to tip in four steps; right wing, base and left wing of the nose; right
and left temple at the height of the ears. "Right" is the person's right."""

_TEMPLATE = np.array(
    [
        (-0.500, -0.448, 0.477), (-0.190, -0.426, 0.418), (0.190, -0.426, 0.418),
        (0.500, -0.448, 0.477), (0.0, -0.493, 0.232), (0.0, -0.325, 0.129), (0.0, -0.251, 0.067),
        (0.0, -0.075, -0.024), (-0.186, 0.053, 0.261), (0.0, 0.073, 0.172), (0.186, 0.053, 0.261),
        (-0.791, -0.406, 1.037), (0.791, -0.406, 1.037),
    ]
)  # fmt: skip
"""The rigid points of a frontal median face, made symmetric, in distances between the outer eye
corners; measured by the default backend on 166 clips of GRID and LRW-AR."""

_MODEL_MIDDLE = _TEMPLATE.mean(axis=0)
_MODEL = _TEMPLATE - _MODEL_MIDDLE
_MODEL_POWER = np.square(_MODEL).sum()

_ANCHORS = [0, 1, 2, 3, 9]


@dataclass(frozen=True)
class Head:
    """Pose of a head in the picture.

    Attributes:
        rotation: (3, 3); its columns are the axes of the head in the picture (x right, y down,
            z away from the camera).
        scale: pixels per unit, that is per distance between the outer eye corners.
        origin: (3,) the origin of the head's frame in pixels.
    """

    rotation: FloatArray
    scale: float
    origin: FloatArray

    def fix(self, points: FloatArray) -> FloatArray:
        """Express (n, 3) image points in pixels in the frame of the head, in eye distances."""
        fixed = (points.astype(np.float64) - self.origin) @ self.rotation / self.scale
        return np.asarray(fixed, np.float32)

    def anchors(self) -> FloatArray:
        """Points of a median face in this pose, for aligning the face: (5, 2) in pixels.

        They are the eye corners, from left to right in the picture, and the base of the nose.
        """
        points = self.origin + self.scale * _TEMPLATE[_ANCHORS] @ self.rotation.T
        return np.asarray(points[:, :2], np.float32)

    @cached_property
    def yaw(self) -> float:
        """Yaw in radians, positive to the person's left."""
        return float(np.arctan2(-self.rotation[0, 2], self.rotation[2, 2]))

    @cached_property
    def pitch(self) -> float:
        """Pitch in radians, positive upwards."""
        return float(np.arcsin(np.clip(self.rotation[1, 2], -1, 1)))

    @cached_property
    def roll(self) -> float:
        """Roll in radians, clockwise in the picture."""
        return float(np.arctan2(self.rotation[1, 0], self.rotation[0, 0]))


class Heads:
    """Poses of several heads, whose points are converted together, which takes less time.

    Args:
        heads: the poses.

    Attributes:
        rotation: (heads, 3, 3), see `Head`.
        scale: (heads,) pixels per distance between the outer eye corners.
        origin: (heads, 3) in pixels.
    """

    def __init__(self, heads: Sequence[Head]) -> None:
        self.rotation = np.stack([head.rotation for head in heads])
        self.scale = np.array([head.scale for head in heads])
        self.origin = np.stack([head.origin for head in heads])

    def fix(self, points: FloatArray) -> FloatArray:
        """`Head.fix` for (heads, n, 3) points."""
        moved = points.astype(np.float64) - self.origin[:, None]
        return np.asarray(moved @ self.rotation / self.scale[:, None, None], np.float32)

    def place(self, fixed: FloatArray) -> FloatArray:
        """The inverse of `fix`: (heads, n, 3) in eye distances to image points in pixels."""
        larger = self.scale[:, None, None] * fixed.astype(np.float64)
        moved = larger @ self.rotation.swapaxes(1, 2) + self.origin[:, None]
        return np.asarray(moved, np.float32)


def fit_head(rigid: FloatArray) -> Head:
    """Fit the coordinate frame of the head to its rigid landmarks.

    The least-squares similarity from a median face (Umeyama 1991). Compared with a frame from the
    eye corners and the nose only, it jitters a tenth less and mixes less nodding into the lips.

    Args:
        rigid: (13, 3) in pixels, z on the same scale as x and pointing away from the camera.

    Raises:
        ValueError: the points coincide or are not finite.
    """
    points = rigid.astype(np.float64)
    if points.shape != (RIGID, 3) or not np.isfinite(points).all():
        raise ValueError(f"a head needs {RIGID} points in space")
    middle = points.sum(axis=0) / RIGID
    u, size, vt = np.linalg.svd((points - middle).T @ _MODEL)
    rotation = u @ vt
    if np.linalg.det(rotation) < 0:
        u[:, 2], size[2] = -u[:, 2], -size[2]
        rotation = u @ vt
    scale = float(size.sum() / _MODEL_POWER)
    if scale < 1e-6:
        raise ValueError("the points of the head coincide")
    origin = middle - scale * rotation @ _MODEL_MIDDLE
    return Head(rotation.astype(np.float32), scale, origin.astype(np.float32))


FULL_TRUST_PX, NO_TRUST_PX = 24.0, 8.0
"""Distances between the eye corners, in pixels, from which lips are fully trusted, and below which
they are not. In GRID clips that are scaled down, the opening of the lips correlates with that at
full size by 0.98 at 24 px, 0.94 at 17, 0.83 at 12, 0.65 at 8."""

_MOUTH_BEND = 0.5
"""Radius of the upright cylinder that models the front of the face, in eye distances."""


def trust(
    head: Head, points: FloatArray, picture: tuple[int, int], presence: float = 1.0
) -> FloatArray:
    """Confidence of each landmark, for backends that do not estimate it.

    The product of: `presence`; the size of the face (1 from 24 px between the eye corners, 0 below
    8 px); how much each point of an upright cylinder faces the camera (1 up to 60 degrees, 0 at 90,
    so that the far corner of the mouth loses confidence first when a head turns); and 0 for points
    outside the picture.

    Args:
        head: pose from `fit_head`.
        points: (n, 3) in pixels.
        picture: (height, width).
        presence: probability of a face, 0..1.

    Returns:
        (n,) float32 in 0..1.
    """
    fixed, size, sure = head.fix(points), np.array([picture]), np.array([presence])
    believed = trust_all(Heads([head]), fixed[None], points[None], size, sure)
    return np.asarray(believed[0])


def trust_all(
    heads: Heads,
    fixed: FloatArray,
    points: FloatArray,
    pictures: npt.NDArray[np.int64],
    presence: npt.NDArray[np.float64],
) -> FloatArray:
    """`trust` for the faces of several pictures.

    Args:
        heads: poses of the heads.
        fixed: (faces, n, 3) in the frames of the heads, in eye distances.
        points: (faces, n, 3) the same points in pixels.
        pictures: (faces, 2), height and width of each picture.
        presence: (faces,) probability of a face, 0..1.

    Returns:
        (faces, n) float32 in 0..1.
    """
    size = np.clip((heads.scale - NO_TRUST_PX) / (FULL_TRUST_PX - NO_TRUST_PX), 0.0, 1.0)
    around = np.arcsin(np.clip(fixed[..., 0] / _MOUTH_BEND, -1.0, 1.0))
    # The normal of the cylinder, out of the face, against the direction to the camera.
    away = heads.rotation[:, 2, :, None]
    facing = away[:, 2] * np.cos(around) - away[:, 0] * np.sin(around)
    x, y = points[..., 0], points[..., 1]
    inside = (x >= 0) & (y >= 0) & (x <= pictures[:, 1:]) & (y <= pictures[:, :1])
    sure = (presence * size).astype(np.float32)[:, None]
    return np.asarray(sure * np.clip(facing / 0.5, 0.0, 1.0) * inside, np.float32)


def contour(points: FloatArray, count: int) -> FloatArray:
    """Resample a closed contour to `count` points at equal distances along it.

    Args:
        points: (n, d), in order around the contour.
        count: number of points.

    Returns:
        (count, d) float32; the first point is `points[0]`.
    """
    closed = np.concatenate([points, points[:1]]).astype(np.float64)
    steps = np.linalg.norm(np.diff(closed, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0.0, along[-1], count, endpoint=False)
    columns = [np.interp(wanted, along, closed[:, d]) for d in range(closed.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)


USUAL_MOTION = 0.0146
"""Root mean square of `motion` of a usual speaker, in eye distances: the median over LRW-AR clips.
Two of three GRID speakers, who were instructed to read clearly, move 1.5 times as much."""


def motion(points: FloatArray, seen: npt.NDArray[np.bool_]) -> FloatArray:
    """Lip landmarks minus the person's median mouth.

    Args:
        points: (frames, n, 3), head-fixed.
        seen: (frames,) bool, where the lips are visible.

    Returns:
        (frames, n, 3), 0 where unseen.
    """
    if not seen.any():
        return np.zeros_like(points)
    return np.asarray((points - np.median(points[seen], axis=0)) * seen[:, None, None], np.float32)


def motion_scale(moved: FloatArray, seen: npt.NDArray[np.bool_]) -> float:
    """Gain that scales a person's `motion` to that of a usual speaker, 0.5 to 1.5.

    It is at most 1.5, so that a still face is not amplified to speech.
    """
    if not seen.any():
        return 1.0
    size = float(np.sqrt(np.mean(np.square(moved[seen], dtype=np.float64))))
    return float(np.clip(USUAL_MOTION / max(size, 1e-6), 0.5, 1.5))


APART_S = Fraction(1)
"""Lips that are off-screen for longer are stored as two stretches."""


def network_motion(points: FloatArray, seen: npt.NDArray[np.bool_]) -> FloatArray:
    """The input of the network: motion, scaled to that of a usual speaker.

    Args:
        points: (frames, points, 3), head-fixed.
        seen: (frames,) bool, where the lips are visible.
    """
    moved = motion(points, seen)
    return np.asarray(moved * np.float32(motion_scale(moved, seen)), np.float32)


@dataclass(frozen=True)
class LipSequence:
    """The lips of one person over a stretch of time, on the 25 Hz grid.

    Attributes:
        first: index of the first frame; frame i is at (first + i) / 25 s.
        points: (frames, 43, 3) float32, head-fixed, in eye distances; 0 where not visible.
        confidence: (frames, 43) float32 in 0..1; 0 where a point is not visible. Gaps longer than
            `MAX_GAP_S` are not interpolated.
    """

    first: int
    points: FloatArray
    confidence: FloatArray

    @property
    def stop(self) -> int:
        """Index of the frame after the last."""
        return self.first + len(self.points)

    @property
    def stretches(self) -> tuple[LipSequence, ...]:
        """As in `Lips`: this sequence, unless it is empty."""
        return (self,) if len(self.points) else ()

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """(frames,) bool, whether any point is visible."""
        return np.asarray(self.confidence.max(axis=1, initial=0.0) > 0)

    def window(self, first: int, frames: int) -> LipSequence:
        """Cut or pad (with unseen frames) to `frames` frames beginning at frame `first`."""
        return Lips(self.stretches).window(first, frames)


@dataclass(frozen=True)
class Lips:
    """The lips of one person over a recording; memory grows with the time in sight.

    `points`, `confidence` and `seen` are those of `whole`, computed on use.

    Attributes:
        stretches: stretches in which they are visible, in order, more than `APART_S` apart.
    """

    stretches: tuple[LipSequence, ...]

    @property
    def first(self) -> int:
        """Index of the first frame; 0 if there is none."""
        return self.stretches[0].first if self.stretches else 0

    @property
    def stop(self) -> int:
        """Index of the frame after the last."""
        return self.stretches[-1].stop if self.stretches else 0

    @property
    def points(self) -> FloatArray:
        """(frames, 43, 3); see `LipSequence`."""
        return self.whole().points

    @property
    def confidence(self) -> FloatArray:
        """(frames, 43); see `LipSequence`."""
        return self.whole().confidence

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """(frames,); see `LipSequence`."""
        return self.whole().seen

    def whole(self) -> LipSequence:
        """One sequence from the first stretch to the last; for short recordings."""
        return self.window(self.first, self.stop - self.first)

    def window(self, first: int, frames: int) -> LipSequence:
        """Cut or pad (with unseen frames) to `frames` frames beginning at frame `first`."""
        points = np.zeros((frames, POINTS, 3), np.float32)
        confidence = np.zeros((frames, POINTS), np.float32)
        for one in self.stretches:
            lo, hi = max(first, one.first), min(first + frames, one.stop)
            if hi > lo:
                points[lo - first : hi - first] = one.points[lo - one.first : hi - one.first]
                there = one.confidence[lo - one.first : hi - one.first]
                confidence[lo - first : hi - first] = there
        return LipSequence(first, points, confidence)

    def sightings(self) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray]:
        """The frames with visible lips, (n,), and their points and confidence."""
        found = [(one, np.flatnonzero(one.seen)) for one in self.stretches]
        return (
            np.concatenate([np.zeros(0, np.int64), *(one.first + at for one, at in found)]),
            np.concatenate(
                [np.zeros((0, POINTS, 3), np.float32), *(one.points[at] for one, at in found)]
            ),
            np.concatenate(
                [np.zeros((0, POINTS), np.float32), *(one.confidence[at] for one, at in found)]
            ),
        )

    def filled_from(self, other: Lips) -> Lips:
        """Fill frames in which these lips are not visible with other lips."""
        spans: list[tuple[int, int]] = []
        for one in sorted((*self.stretches, *other.stretches), key=lambda one: one.first):
            if spans and one.first <= spans[-1][1]:
                spans[-1] = (spans[-1][0], max(spans[-1][1], one.stop))
            else:
                spans.append((one.first, one.stop))
        return Lips(tuple(_filled(self, other, first, stop) for first, stop in spans))


def _filled(lips: Lips, other: Lips, first: int, stop: int) -> LipSequence:
    mine, more = (one.window(first, stop - first) for one in (lips, other))
    seen = mine.seen
    mine.points[~seen] = more.points[~seen]
    mine.confidence[~seen] = more.confidence[~seen]
    return mine


AnyLips: TypeAlias = Lips | LipSequence


def resample_stretches(
    times: npt.NDArray[np.float64],
    points: FloatArray,
    confidence: FloatArray,
    *,
    max_gap_s: Fraction = MAX_GAP_S,
) -> Lips:
    """Resample sightings as `resample` does, to stretches, so that long gaps take no memory."""
    cuts = np.flatnonzero(np.diff(times) > float(APART_S)) + 1
    parts = zip(
        *(np.split(values, cuts) for values in (times, points, confidence)),
        strict=True,
    )
    return Lips(tuple(resample(*part, max_gap_s=max_gap_s) for part in parts if len(part[0])))


def resample(
    times: Sequence[Fraction] | npt.NDArray[np.float64],
    points: FloatArray,
    confidence: FloatArray,
    *,
    rate_hz: int = RATE_HZ,
    max_gap_s: Fraction = MAX_GAP_S,
) -> LipSequence:
    """Resample sightings at any frame rate, also variable, to the grid of the network.

    Points are interpolated linearly between sightings that are at most `max_gap_s` apart; other
    grid frames are not visible.

    Args:
        times: (n,) strictly increasing times of the sightings, in seconds.
        points: (len(times), 43, 3) head-fixed lip points.
        confidence: (len(times), 43).
        rate_hz: rate of the grid.
        max_gap_s: longest interpolated gap.
    """
    if not len(times):
        empty = np.zeros((0, POINTS, 3), np.float32)
        return LipSequence(0, empty, np.zeros((0, POINTS), np.float32))
    first = round(times[0] * rate_hz)
    last = round(times[-1] * rate_hz)
    grid = np.arange(first, last + 1)
    at = np.array([float(t * rate_hz) for t in times])
    right = np.clip(np.searchsorted(at, grid), 0, len(at) - 1)
    left = np.clip(np.searchsorted(at, grid, side="right") - 1, 0, len(at) - 1)
    # A grid frame may be up to half a frame before the first sighting or after the last.
    gap = at[right] - at[left]
    share = np.where(gap > 0, (grid - at[left]) / np.where(gap > 0, gap, 1.0), 0.0)
    share = np.clip(share, 0.0, 1.0).astype(np.float32)
    near = np.minimum(np.abs(grid - at[left]), np.abs(grid - at[right])) <= 0.5 + 1e-9
    bridged = (gap <= float(max_gap_s * rate_hz) + 1e-9) | (near & (gap == 0))
    # Beside a long gap, the grid frame nearest to a sighting has its points.
    nearest = np.where(share < 0.5, left, right)
    alone = ~bridged & near
    seen = bridged | alone
    a = np.where(alone, nearest, left)
    b = np.where(alone, nearest, right)
    blend = np.where(alone, np.float32(0), share)[:, None]
    out_points = points[a] * (1 - blend[..., None]) + points[b] * blend[..., None]
    out_confidence = np.minimum(confidence[a], confidence[b])
    out_points[~seen] = 0
    out_confidence[~seen] = 0
    return LipSequence(int(first), out_points.astype(np.float32), out_confidence.astype(np.float32))
