"""The orientation of a picture: how it is rotated and mirrored before it is shown."""

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
    """One of the eight orientations of a picture, from the stored to the displayed one.

    Attributes:
        transposed: whether rows become columns, before the flips.
        flip_x: whether left and right are exchanged.
        flip_y: whether top and bottom are exchanged.
    """

    transposed: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def mirrored(self) -> bool:
        """Whether the displayed picture is a mirror image of the stored one."""
        return self.transposed ^ self.flip_x ^ self.flip_y

    @property
    def rotation(self) -> int:
        """Clockwise rotation in degrees, before left and right are exchanged if `mirrored`."""
        if self.transposed:
            return 270 if self.flip_y else 90
        return 180 if self.flip_y else 0

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Rotate and mirror a stored picture, (height, width, 3) uint8, for display."""
        if self.transposed:
            image = image.swapaxes(0, 1)
        if self.flip_y:
            image = image[::-1]
        if self.flip_x:
            image = image[:, ::-1]
        return np.ascontiguousarray(image)


UPRIGHT = Orientation()


def orientation_of(frame: VideoFrame) -> Orientation:
    """Read the display matrix of a decoded frame; angles are rounded to quarter turns."""
    from av.sidedata.sidedata import SideDataContainer

    # `frame.side_data` stores a container that refers back to the frame: only the garbage collector
    # would free the frame, and until then the decoder cannot use its memory again.
    try:
        data = bytes(cast("Any", SideDataContainer)(frame)["DISPLAYMATRIX"])
    except KeyError:
        return UPRIGHT
    if len(data) < 36:
        return UPRIGHT
    # The matrix of ISO 14496-12: x' = a x + c y, y' = b x + d y, with y pointing down.
    a, b, _, c, d = struct.unpack("=9i", data[:36])[:5]
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(False, a < 0, d < 0)
    return Orientation(True, c < 0, b < 0)
