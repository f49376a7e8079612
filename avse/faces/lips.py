"""Lip and jaw geometry: what the visual stream of the network sees.

A face is reduced to 43 points: 20 on the outer lip contour, 20 on the inner one and 3 on the chin.
They are expressed in a frame that is fixed to the head (origin: tip of the nose; x: from the
outer corner of the right eye to that of the left; z: x × the direction from the nose bridge to the
chin side; y completes it, pointing down) and divided by the distance between the outer eye corners.
What is left when a head moves, turns or comes nearer is the motion of mouth and jaw.

The outline of the mouth is the same for every face backend; `contour` resamples a backend that has
fewer lip points to this one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

RATE_HZ = 25
"""Rate of lip frames: frame k stands for the instant k / 25 s on the container's clock."""

OUTER, INNER, CHIN = 20, 20, 3
POINTS = OUTER + INNER + CHIN

MAX_GAP_S = Fraction(12, 100)
"""Between two sightings further apart than this, the lips count as unseen."""


@dataclass(frozen=True)
class Anchors:
    """What fixes a head: (3,) arrays in pixels (x right, y down, z away from the camera)."""

    right_eye: FloatArray
    left_eye: FloatArray
    nose_bridge: FloatArray
    nose_tip: FloatArray


def head_fixed(points: FloatArray, anchors: Anchors) -> FloatArray:
    """Express image points in the frame of the head.

    Args:
        points: (n, 3) in pixels; z on the same scale as x.
        anchors: the head's anchor points in the same pixels. "Right" is the person's right.

    Returns:
        (n, 3) float32: x, y, z in units of the distance between the outer eye corners.

    Raises:
        ValueError: the anchors coincide, so that no frame can be laid through them.
    """
    across = (anchors.left_eye - anchors.right_eye).astype(np.float64)
    scale = float(np.linalg.norm(across))
    if scale < 1e-6:
        raise ValueError("the eye corners coincide")
    x = across / scale
    down = (anchors.nose_tip - anchors.nose_bridge).astype(np.float64)
    z = np.cross(x, down)
    length = float(np.linalg.norm(z))
    if length < 1e-6:
        raise ValueError("the nose lies on the line of the eyes")
    z /= length
    y = np.cross(z, x)
    axes = np.stack([x, y, z], axis=1)
    relative = points.astype(np.float64) - anchors.nose_tip.astype(np.float64)
    return ((relative @ axes) / scale).astype(np.float32)


def contour(points: FloatArray, count: int) -> FloatArray:
    """Resample a closed contour to `count` points at equal steps of its own length.

    Args:
        points: (n, d), in order around the contour, starting at the anchor point to keep first.
        count: how many points to give.

    Returns:
        (count, d) float32, the first being `points[0]`.
    """
    closed = np.concatenate([points, points[:1]]).astype(np.float64)
    steps = np.linalg.norm(np.diff(closed, axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0.0, along[-1], count, endpoint=False)
    columns = [np.interp(wanted, along, closed[:, d]) for d in range(closed.shape[1])]
    return np.stack(columns, axis=1).astype(np.float32)


@dataclass(frozen=True)
class LipSequence:
    """The lips of one person over a recording, on the 25 Hz grid.

    Attributes:
        first: index of the first frame; frame i stands for the instant (first + i) / 25 s.
        points: (frames, 43, 3) float32 in head-fixed units; 0 where unseen.
        confidence: (frames, 43) float32 in 0..1; 0 where a point was not seen. Gaps are marked,
            never filled with invented motion.
    """

    first: int
    points: FloatArray
    confidence: FloatArray

    @property
    def seen(self) -> npt.NDArray[np.bool_]:
        """(frames,) whether the lips were seen at all."""
        return np.asarray(self.confidence.max(axis=1, initial=0.0) > 0)

    def window(self, first: int, frames: int) -> LipSequence:
        """Cut or pad (with unseen frames) to `frames` frames beginning at frame `first`."""
        points = np.zeros((frames, POINTS, 3), np.float32)
        confidence = np.zeros((frames, POINTS), np.float32)
        lo = max(first, self.first)
        hi = min(first + frames, self.first + len(self.points))
        if hi > lo:
            points[lo - first : hi - first] = self.points[lo - self.first : hi - self.first]
            confidence[lo - first : hi - first] = self.confidence[lo - self.first : hi - self.first]
        return LipSequence(first, points, confidence)


def resample(
    times: Sequence[Fraction],
    points: FloatArray,
    confidence: FloatArray,
    *,
    rate_hz: int = RATE_HZ,
    max_gap_s: Fraction = MAX_GAP_S,
) -> LipSequence:
    """Bring sightings at any (also variable) frame rate to the even grid of the network.

    Linear in time between neighbouring sightings no further apart than `max_gap_s`; every other
    grid instant is marked unseen.

    Args:
        times: strictly increasing instants of the sightings, in seconds.
        points: (len(times), 43, 3) head-fixed lip points.
        confidence: (len(times), 43).
        rate_hz: rate of the grid.
        max_gap_s: longest distance bridged.
    """
    if not times:
        empty = np.zeros((0, POINTS, 3), np.float32)
        return LipSequence(0, empty, np.zeros((0, POINTS), np.float32))
    first = round(times[0] * rate_hz)
    last = round(times[-1] * rate_hz)
    grid = np.arange(first, last + 1)
    at = np.array([float(t * rate_hz) for t in times])
    right = np.clip(np.searchsorted(at, grid), 0, len(at) - 1)
    left = np.clip(np.searchsorted(at, grid, side="right") - 1, 0, len(at) - 1)
    # A grid instant may lie up to half a frame outside the first or last sighting.
    gap = at[right] - at[left]
    share = np.where(gap > 0, (grid - at[left]) / np.where(gap > 0, gap, 1.0), 0.0)
    share = np.clip(share, 0.0, 1.0).astype(np.float32)
    near = np.minimum(np.abs(grid - at[left]), np.abs(grid - at[right])) <= 0.5 + 1e-9
    bridged = (gap <= float(max_gap_s * rate_hz) + 1e-9) | (near & (gap == 0))
    # Beside a long gap, the sighting itself still stands for its own grid instant.
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
    return LipSequence(
        int(first), out_points.astype(np.float32), out_confidence.astype(np.float32)
    )
