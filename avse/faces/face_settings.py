"""Parameters of face detection and tracking."""

from __future__ import annotations

from dataclasses import dataclass, replace

from avse.faces.detect import FaceBackend
from avse.faces.stillness import LEAST_MOTION


@dataclass(frozen=True)
class FaceSettings:
    """Parameters of detection and tracking.

    Attributes:
        detect_every: number of frames from one detection to the next; the detector also runs when a
            face is lost or a shot begins. In between, landmarks track the faces. None: the
            number of the backend, or 5.
        max_rate_hz: largest frame rate; frames above it are skipped.
        max_gap_s: longest gap in a track, in seconds.
        max_unconfirmed_s: longest time without a detection, in seconds; then the track ends.
        min_seconds: minimal time with visible lips of a person, in seconds.
        min_score: minimal mean detection score of a person; a detection that misses a tracked face
            counts as 0.
        simultaneous_s: people who appear within this time of each other in one shot are numbered by
            position.
        thumbnail: longer side of the stored picture of a face, in pixels.
        least_motion: see `avse.faces.stillness.is_still`; None for that of the backend.
    """

    detect_every: int | None = None
    max_rate_hz: float = 45.0
    max_gap_s: float = 1.0
    max_unconfirmed_s: float = 2.0
    min_seconds: float = 0.6
    min_score: float = 0.3
    simultaneous_s: float = 0.5
    thumbnail: int = 160
    least_motion: float | None = None

    def suited(self, backend: FaceBackend) -> FaceSettings:
        """The same settings, with the defaults of the backend."""
        least = getattr(backend, "least_motion", LEAST_MOTION)
        return replace(self, least_motion=self.least_motion or least)


@dataclass(frozen=True)
class Hint:
    """A face that the user has marked.

    Attributes:
        time: time in seconds.
        box: x, y, width, height as fractions of the picture.
    """

    time: float
    box: tuple[float, float, float, float]


HINT_S = 2.0
"""Time in seconds before and after a hint in which it counts as a detection."""
