"""Detection of faces in still pictures: photographs, posters and frozen video, which do not talk.

A still picture may be moved, rotated, zoomed and encoded: its face then moves as a whole, and the
landmarks jitter by a fraction of a pixel. With MediaPipe, all of 39 stills of real clips are
detected (zoomed, panned, shaken, noisy, strongly compressed; outer eye corners at least 38 pixels
apart). In smaller faces the landmarks jitter more, so that most stills count as people. Of 425
clips of one spoken word each, which last 1.2 s, one counts as still; in whole sentences lips move
three times as much as `LEAST_MOTION`. The landmarks of the native backend jitter less; see its
`least_motion`.
"""

from __future__ import annotations

import numpy as np

from avse.faces.lips import RATE_HZ, AnyLips, LipSequence
from avse.types import FloatArray

LEAST_MOTION = 0.005
"""`least_motion` of MediaPipe's landmarks, in eye distances."""

LEAST_TURN = 0.06
"""Smallest range of yaw or pitch of a living head, in radians, without the extreme 5 % on each
side; such a face is not a still picture, even if its lips never move."""

_SMOOTH = 5
_LEAST_SEEN = 20
_LEAST_WINDOWS = 3
"""A face with fewer overlapping seconds of lips (about two seconds in all) is not judged."""


def is_still(lips: AnyLips, pose: FloatArray, least_motion: float = LEAST_MOTION) -> bool:
    """Whether a face is a still picture: the head never turns, and lips never move.

    Args:
        lips: over the whole recording.
        pose: (n, 2) yaw and pitch of each sighting, in radians.
        least_motion: smallest root mean square of the motion of living lips within their most
            active second, in eye distances.
    """
    if len(pose) and float(np.ptp(np.percentile(pose, [5, 95], axis=0), axis=0).max()) > LEAST_TURN:
        return False
    motions = [
        _motion(one, first)
        for one in lips.stretches
        for first in range(0, len(one.points), RATE_HZ // 2)
    ]
    known = [motion for motion in motions if motion is not None]
    return len(known) >= _LEAST_WINDOWS and max(known) < least_motion


def _motion(lips: LipSequence, first: int) -> float | None:
    """Motion of the lips in the second from a frame on; None if they are seldom visible in it."""
    here = slice(first, first + RATE_HZ)
    points = lips.points[here][lips.seen[here], :, :2].astype(np.float64)
    if len(points) < _LEAST_SEEN:
        return None
    sums = np.cumsum(np.pad(points, ((1, 0), (0, 0), (0, 0))), axis=0)
    smooth = (sums[_SMOOTH:] - sums[:-_SMOOTH]) / _SMOOTH  # landmarks jitter from frame to frame
    return float(np.sqrt(np.mean(np.square(smooth - np.median(smooth, axis=0)))))
