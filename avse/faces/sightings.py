"""Storage of a face in every frame in which it was tracked: about 330 bytes per frame."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from avse.faces.lips import POINTS, Lips, resample_stretches
from avse.types import FloatArray

_FIRST_ROOM = 64


class Sightings:
    """Times, boxes and head-fixed lips of one face, in order of time, in growing arrays."""

    def __init__(self) -> None:
        self._count = 0
        self._arrays: dict[str, npt.NDArray[Any]] = {
            "times": np.empty((_FIRST_ROOM,), np.float64),
            "boxes": np.empty((_FIRST_ROOM, 4), np.float32),
            "lips": np.empty((_FIRST_ROOM, POINTS, 3), np.float16),
            "confidence": np.empty((_FIRST_ROOM, POINTS), np.uint8),
            "pose": np.empty((_FIRST_ROOM, 2), np.float16),
        }

    def __len__(self) -> int:
        return self._count

    def append(
        self,
        time: Fraction,
        box: tuple[float, float, float, float],
        lips: FloatArray | None = None,
        confidence: FloatArray | None = None,
        pose: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        """Add a sighting.

        Args:
            time: of the sighting, in seconds.
            box: x, y, width, height, in any unit.
            lips: (43, 3) head-fixed; None without landmarks.
            confidence: (43,) of the lips.
            pose: yaw and pitch of the head, in radians.
        """
        if self._count == len(self._arrays["times"]):
            for name, array in self._arrays.items():
                grown = np.empty((2 * max(1, len(array)), *array.shape[1:]), array.dtype)
                grown[: len(array)] = array
                self._arrays[name] = grown
        row = self._count
        self._arrays["times"][row] = float(time)
        self._arrays["boxes"][row] = box
        self._arrays["lips"][row] = 0
        self._arrays["confidence"][row] = 0
        self._arrays["pose"][row] = pose
        self._count += 1
        if lips is not None and confidence is not None:
            self.fill(row, lips, confidence)

    def fill(self, row: int, lips: FloatArray, confidence: FloatArray) -> None:
        """Add the lips of a sighting that was added without them; arguments as in `append`."""
        self._arrays["lips"][row] = lips
        self._arrays["confidence"][row] = np.round(np.clip(confidence, 0, 1) * 255)

    def forget_after(self, time: Fraction) -> None:
        """Remove every sighting later than `time`."""
        self._count = int(np.searchsorted(self.times, float(time), side="right"))

    def part(self, time: Fraction) -> Sightings:
        """Split off the sightings at `time` and later."""
        start = int(np.searchsorted(self.times, float(time)))
        rest = Sightings()
        rest._arrays = {
            name: array[start : self._count].copy() for name, array in self._arrays.items()
        }
        rest._count = self._count - start
        self._count = start
        return rest

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """(n,) seconds."""
        return self._arrays["times"][: self._count]

    @property
    def boxes(self) -> FloatArray:
        """(n, 4) x, y, w, h."""
        return np.asarray(self._arrays["boxes"][: self._count])

    def last_confidence(self) -> float:
        """Mean confidence of the lips of the last sighting, 0..1."""
        return float(self._arrays["confidence"][self._count - 1].mean()) / 255

    @property
    def pose(self) -> FloatArray:
        """(n, 2) yaw and pitch of the head, in radians."""
        return self._arrays["pose"][: self._count].astype(np.float32)

    def seconds(self, longest_s: float) -> float:
        """Time in sight in seconds, without gaps longer than `longest_s`."""
        if not len(self):
            return 0.0
        steps = np.diff(self.times)
        steps = steps[steps <= longest_s]
        usual = float(np.median(steps)) if len(steps) else 0.0
        return float(steps.sum()) + usual

    def readable(self) -> Sightings:
        """The sightings with lip landmarks."""
        keep = self._arrays["confidence"][: self._count].any(axis=1)
        part = Sightings()
        part._arrays = {name: array[: self._count][keep] for name, array in self._arrays.items()}
        part._count = int(keep.sum())
        return part

    def lips(self) -> Lips:
        """The lips on the grid of the network."""
        part = self.readable()
        return resample_stretches(
            part.times,
            part._arrays["lips"].astype(np.float32),
            part._arrays["confidence"].astype(np.float32) / np.float32(255),
        )

    @classmethod
    def joined(cls, parts: Iterable[Sightings]) -> Sightings:
        """Join several that do not overlap in time."""
        ordered = sorted((part for part in parts if len(part)), key=lambda part: part.times[0])
        whole = cls()
        if ordered:
            whole._count = sum(len(part) for part in ordered)
            whole._arrays = {
                name: np.concatenate([part._arrays[name][: len(part)] for part in ordered])
                for name in whole._arrays
            }
        return whole
