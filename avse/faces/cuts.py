"""Shot boundary detection."""

from __future__ import annotations

import statistics
from collections import deque
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from avse.faces.scaling import resize
from avse.media.pictures import Picture

_SIZE = (48, 27)
_STEP = 14.0
_RATIO = 3.0
_MEMORY = 12
_OTHER = 22.0
_PAST_S, _EVERY_S = Fraction(3, 2), Fraction(1, 5)


class CutDetector:
    """Detects cuts, frame by frame.

    A cut is a large change of the reduced picture: on average 14 of 255 levels, and three times the
    change of the last dozen frames. A fast pan, in which every frame changes much, is not a cut. A
    dissolve is not a cut either, but `dissolved` is true when one face may have become another.

    Attributes:
        last_change: mean difference of the last frame from the one before, 0..255.
    """

    def __init__(self) -> None:
        self.last_change = 0.0
        self._last: npt.NDArray[np.float32] | None = None
        self._shape: tuple[int, ...] = ()
        self._recent: deque[float] = deque(maxlen=_MEMORY)
        self._past: deque[tuple[Fraction, npt.NDArray[np.float32]]] = deque()

    def change(self, picture: Picture) -> float:
        """Add the next frame; returns its mean difference from the last one, 0..255."""
        small = picture.reduced(*_SIZE)
        if small is None:
            # A sparse grid of pixels is enough, and takes a tenth of the time.
            image = picture.image
            few = max(1, min(image.shape[0] // 108, image.shape[1] // 192))
            small = resize(image[::few, ::few], *_SIZE)
        # Planes, because NumPy is slow with rows of three values.
        planes = np.ascontiguousarray(small.reshape(-1, 3).T, np.float32)
        last, self._last = self._last, planes
        return 0.0 if last is None else _difference(self._last, last)

    def dissolved(self) -> bool:
        """Whether the picture has changed altogether within about a second."""
        last = self._last
        return last is not None and any(_difference(last, s) > _OTHER for _, s in self._past)

    def is_cut(self, picture: Picture, time: Fraction) -> bool:
        """Add the next frame; returns whether it begins a shot. The very first frame does not."""
        resized = bool(self._shape) and picture.shape != self._shape
        self._shape = picture.shape
        self.last_change = change = self.change(picture)
        usual = statistics.median(self._recent) if self._recent else 0.0
        cut = resized or (change > _STEP and change > _RATIO * usual)
        if cut:
            self._recent.clear()
            self._past.clear()
        else:
            self._recent.append(change)
        if self._last is not None and (not self._past or time - self._past[-1][0] >= _EVERY_S):
            self._past.append((time, self._last))
        while self._past and time - self._past[0][0] > _PAST_S:
            self._past.popleft()
        return cut


def _difference(one: npt.NDArray[np.float32], other: npt.NDArray[np.float32]) -> float:
    """Mean absolute difference of two pictures, (3, pixels) each.

    A uniform change of brightness (a distant flash, a fade) is not a cut, and does not count.
    """
    change = one - other
    change -= np.clip(change.mean(axis=1, keepdims=True), -8.0, 8.0)
    return float(np.abs(change, out=change).mean())
