"""Is it a person, or a picture of one? Photographs, posters and frozen pictures do not talk.

A picture may be moved, turned, zoomed and encoded: its face then moves as a whole, and landmarks
shake by a fraction of a pixel. Measured on stills of real clips (static, zoomed, panned, shaken,
noisy, encoded hard), lips fixed to the head move by at most 0.0043 eye distances (root mean square
over a second) where the eyes are 38 pixels or more apart; in clips of one spoken word each, the
least was 0.0061, and in whole sentences 0.014. In smaller faces the shake is larger, so that they
pass for people.
"""

from __future__ import annotations

import numpy as np

from avse.faces.lips import RATE_HZ, FloatArray, LipSequence

LEAST_MOTION = 0.005
"""Root mean square of the motion of lips within any one second, in eye distances, from which
somebody is alive."""

LEAST_TURN = 0.06
"""Radians by which a head turns or nods, leaving out the outer 5 percent to each side, from which
it is alive, even if its lips never move."""

_SMOOTH = 5
_LEAST_SEEN = 20


def is_still(lips: LipSequence, pose: FloatArray) -> bool:
    """Whether a face is a still picture: in no second of its own did it move its lips or its head.

    Args:
        lips: over the whole recording.
        pose: (n, 2) yaw and pitch at each sighting, radians.
    """
    if len(pose) and float(np.ptp(np.percentile(pose, [5, 95], axis=0), axis=0).max()) > LEAST_TURN:
        return False
    motions = [_motion(lips, first) for first in range(0, len(lips.points), RATE_HZ // 2)]
    known = [motion for motion in motions if motion is not None]
    return bool(known) and max(known) < LEAST_MOTION


def _motion(lips: LipSequence, first: int) -> float | None:
    """In the second from a frame on; None if too little of it was seen."""
    here = slice(first, first + RATE_HZ)
    points = lips.points[here][lips.seen[here], :, :2].astype(np.float64)
    if len(points) < _LEAST_SEEN:
        return None
    sums = np.cumsum(np.pad(points, ((1, 0), (0, 0), (0, 0))), axis=0)
    smooth = (sums[_SMOOTH:] - sums[:-_SMOOTH]) / _SMOOTH  # landmarks shake from frame to frame
    return float(np.sqrt(np.mean(np.square(smooth - np.median(smooth, axis=0)))))
