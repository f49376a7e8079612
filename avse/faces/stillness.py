"""Detection of still pictures: photographs, posters and frozen pictures do not talk.

A picture may be moved, turned, zoomed and encoded: its face then moves as a whole, and landmarks
shake by a fraction of a pixel. Measured with MediaPipe on 39 stills of real clips (zoomed, panned,
shaken, noisy, encoded hard) whose outer eye corners are 38 pixels or more apart: all are still; in
smaller ones its landmarks shake more, so that most pass for people. Of 425 clips of one spoken word
each, which last 1.2 s, one is still; in whole sentences lips move three times as much as
`LEAST_MOTION`. The native backend shakes less, see its `least_motion`.
"""

from __future__ import annotations

import numpy as np

from avse.faces.lips import RATE_HZ, AnyLips, LipSequence
from avse.types import FloatArray

LEAST_MOTION = 0.005
"""`least_motion` of MediaPipe's landmarks, in eye distances."""

LEAST_TURN = 0.06
"""Radians by which a head turns or nods, leaving out the outer 5 percent to each side, from which
it is alive, even if its lips never move."""

_SMOOTH = 5
_LEAST_SEEN = 20
_LEAST_WINDOWS = 3
"""Overlapping seconds with lips below which nothing is said: about two seconds in all."""


def is_still(lips: AnyLips, pose: FloatArray, least_motion: float = LEAST_MOTION) -> bool:
    """Whether a face is a still picture: neither lips nor head move within any second.

    Args:
        lips: over the whole recording.
        pose: (n, 2) yaw and pitch at each sighting, radians.
        least_motion: root mean square of the motion of lips within any one second, in eye
            distances, from which somebody is alive.
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
    """In the second from a frame on; None if too little of it was seen."""
    here = slice(first, first + RATE_HZ)
    points = lips.points[here][lips.seen[here], :, :2].astype(np.float64)
    if len(points) < _LEAST_SEEN:
        return None
    sums = np.cumsum(np.pad(points, ((1, 0), (0, 0), (0, 0))), axis=0)
    smooth = (sums[_SMOOTH:] - sums[:-_SMOOTH]) / _SMOOTH  # landmarks shake from frame to frame
    return float(np.sqrt(np.mean(np.square(smooth - np.median(smooth, axis=0)))))
