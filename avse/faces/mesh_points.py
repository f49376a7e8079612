"""The points of MediaPipe's face mesh that are used, and their conversion to a face.

The face network of `avse.faces.native_backend` estimates the same points; it was trained with the
mesh as the teacher.
"""

from __future__ import annotations

import numpy as np

from avse.faces.detect import Box, Face, FaceLandmarks, with_lips
from avse.faces.lips import fit_head, trust
from avse.types import FloatArray

# Indices into the mesh; see mediapipe's face_mesh_connections. Contours start at the person's
# right corner and pass over the upper lip first.
_OUTER = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
_INNER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 324, 318, 402, 317, 14, 87, 178, 88, 95)
_CHIN = (176, 152, 400)
LIPS = _OUTER + _INNER + _CHIN
RIGID = (33, 133, 362, 263, 168, 197, 195, 4, 98, 2, 327, 127, 356)
# Eye corners, nose, forehead, temples and cheek bones.
SHAPE = (
    *(33, 133, 362, 263, 168, 6, 197, 195, 5, 4, 1, 2, 98, 327, 48, 278, 129, 358, 64, 294),
    *(10, 151, 9, 8, 109, 338, 67, 297, 54, 284, 21, 251, 127, 356, 234, 454, 93, 323),
    *(116, 345, 117, 346, 111, 340),
)
USED = tuple(dict.fromkeys([*LIPS, *RIGID, *SHAPE]))
"""Indices of the points that are used, without repetition; lips and chin come first."""

_RIGID, _SHAPE = (np.array([USED.index(i) for i in some]) for some in (RIGID, SHAPE))


def face_of(
    points: FloatArray, presence: float, *, bounds: FloatArray | None = None
) -> Face | None:
    """Convert points to a face; None if they coincide or are not finite.

    Args:
        points: (87, 3) the points of `USED`, in pixels; z on the same scale, away from the camera.
        presence: probability that this is a face, 0..1.
        bounds: (n, 2) points whose bounds are the box; None for `points`.
    """
    try:
        head = fit_head(points[_RIGID])
    except ValueError:
        return None
    outline = points[:, :2] if bounds is None else bounds
    low, high = outline.min(axis=0), outline.max(axis=0)
    (x, y), (w, h) = low.tolist(), (high - low).tolist()
    return Face(head=head, shape=points[_SHAPE], box=Box(x, y, w, h, head.roll), presence=presence)


def landmarks_of(
    points: FloatArray,
    picture: tuple[int, int],
    presence: float,
    *,
    bounds: FloatArray | None = None,
) -> FaceLandmarks | None:
    """Convert points, with the lips among them, to a face; None if there is none.

    Args:
        points, presence, bounds: see `face_of`.
        picture: (height, width).
    """
    face = face_of(points, presence, bounds=bounds)
    if face is None:
        return None
    lips = points[: len(LIPS)]
    return with_lips(face, lips, trust(face.head, lips, picture, presence))
