"""How a stored picture is turned before it is shown (phones film sideways and say so)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to lay a picture on its frame.

    Attributes:
        transposed: rows become columns, before the flips.
        flip_x: left and right change places.
        flip_y: top and bottom change places.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def mirrored(self) -> bool:
        """Whether text in the picture would read backwards."""
        return self.transposed ^ self.flip_x ^ self.flip_y

    @property
    def rotation(self) -> int:
        """Clockwise turn in degrees, the mirroring (left to right, done last) aside."""
        if self.transposed:
            return 270 if self.flip_y else 90
        return 180 if self.flip_y else 0

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Lay a picture, (height, width, 3), as it is to be shown."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        if self.flip_y:
            image = image[::-1]
        if self.flip_x:
            image = image[:, ::-1]
        return np.ascontiguousarray(image)


UPRIGHT = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read a decoded frame's display matrix; angles in between go to the nearest quarter turn."""
    try:
        data = bytes(cast("Any", frame.side_data)["DISPLAYMATRIX"])
    except KeyError:
        return UPRIGHT
    if len(data) < 36:
        return UPRIGHT
    # Column x, y of the matrix (ISO 14496-12): x' = a x + c y, y' = b x + d y, with y downwards.
    a, b, _, c, d = struct.unpack("=9i", data[:36])[:5]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)
