"""Interpolation of a face between two frames."""

from __future__ import annotations

import numpy as np

from avse.faces.detect import Box, Face
from avse.faces.lips import Head
from avse.types import FloatArray


def face_between(first: Face, last: Face, share: float) -> Face:
    """Interpolate a face linearly.

    Args:
        first: the face in an earlier frame.
        last: the same face in a later frame.
        share: time since the earlier frame, as a share of the time between both, 0..1.
    """
    head = _head_between(first.head, last.head, share)
    one, two = first.box, last.box
    box = Box(
        _mix(one.x, two.x, share),
        _mix(one.y, two.y, share),
        _mix(one.w, two.w, share),
        _mix(one.h, two.h, share),
        head.roll,
    )
    shape = first.shape + np.float32(share) * (last.shape - first.shape)
    presence = min(first.presence, last.presence)
    return Face(head=head, shape=shape, box=box, presence=presence)


def _head_between(first: Head, last: Head, share: float) -> Head:
    blend = (1 - share) * first.rotation.astype(np.float64) + share * last.rotation
    # Newton's iteration to the nearest rotation; both ends are so close that two steps suffice.
    for _ in range(2):
        blend = 1.5 * blend - 0.5 * blend @ blend.T @ blend
    origin = first.origin + np.float32(share) * (last.origin - first.origin)
    rotation: FloatArray = blend.astype(np.float32)
    return Head(rotation, _mix(first.scale, last.scale, share), origin)


def _mix(first: float, last: float, share: float) -> float:
    return first + share * (last - first)
