"""Decoded pictures that are converted to RGB only when needed.

Face tracking uses luma, which a decoded picture has already. Conversion to RGB takes half as long
as decoding, and is needed for few pictures.
"""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from avse.media.orientation import Orientation

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

_LUMA_FORMATS = {"gray", "nv12", "nv21"} | {
    f"yuv{full}{sampling}p" for full in ("", "j") for sampling in (420, 422, 444)
}
"""Pixel formats of FFmpeg whose first plane is luma with one byte per pixel."""


class Picture:
    """A picture.

    Args:
        image: (height, width, 3) uint8 RGB.
    """

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.image = image

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def luma(self) -> NDArray[np.uint8] | None:
        """Luma (height, width) as stored; None if it would have to be computed."""
        return None

    def reduced(self, width: int, height: int) -> NDArray[np.uint8] | None:
        """The picture (height, width, 3) uint8 RGB, scaled down; None if there is no fast way."""
        return None


class Scaler:
    """Scales the frames of a stream to RGB, in any thread.

    It keeps what FFmpeg prepares for each size, which would take a third of the time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prepared: dict[tuple[int, int], VideoReformatter] = {}

    def __call__(
        self, frame: VideoFrame, width: int, height: int, interpolation: str
    ) -> NDArray[np.uint8]:
        """Scale a frame to (height, width, 3) uint8 RGB."""
        from av.video.reformatter import VideoReformatter

        with self._lock:
            prepared = self._prepared.setdefault((width, height), VideoReformatter())
            rgb = prepared.reformat(
                frame,
                width=width,
                height=height,
                format="rgb24",
                interpolation=interpolation,
                threads=1,  # more are started anew for each picture, which takes longer
            )
        return cast("NDArray[np.uint8]", rgb.to_ndarray())


class DecodedPicture(Picture):
    """A picture from a decoder.

    Args:
        frame: the decoded frame.
        turn: the orientation.
        size: width and height after scaling and before rotation.
        scaler: of the stream.
    """

    def __init__(
        self, frame: VideoFrame, turn: Orientation, size: tuple[int, int], scaler: Scaler
    ) -> None:
        self._frame, self._turn, self._size, self._scaler = frame, turn, size, scaler

    @cached_property
    def image(self) -> NDArray[np.uint8]:  # type: ignore[override]
        """(height, width, 3) uint8 RGB, upright."""
        smaller = self._size[0] * self._size[1] < self._frame.width * self._frame.height
        return self._scaled(*self._size, "AREA" if smaller else "BICUBIC")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        width, height = self._size
        return (width, height) if self._turn.transposed else (height, width)

    @cached_property
    def luma(self) -> NDArray[np.uint8] | None:
        """Luma (height, width) as stored; None if it would have to be computed."""
        frame = self._frame
        if (frame.width, frame.height) != self._size or frame.format.name not in _LUMA_FORMATS:
            return None
        plane = frame.planes[0]
        if plane.line_size <= 0:  # stored upside down
            return None
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
        return self._turn.apply(rows[: frame.height, : frame.width])

    def reduced(self, width: int, height: int) -> NDArray[np.uint8] | None:
        """The picture (height, width, 3) uint8 RGB, scaled down; None if there is no fast way."""
        if self._turn.transposed:
            width, height = height, width
        return self._scaled(width, height, "AREA")

    def _scaled(self, width: int, height: int, interpolation: str) -> NDArray[np.uint8]:
        return self._turn.apply(self._scaler(self._frame, width, height, interpolation))
