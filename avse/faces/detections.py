"""The part of face tracking that does not depend on tracks: cuts and detections.

It depends only on the frames, so it runs ahead of tracking, in another thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from avse.faces.cuts import CutDetector
from avse.faces.detect import Box, Detection, FaceBackend, Image, close_detector_of
from avse.faces.small_faces import SmallFaceDetector
from avse.media.pictures import Picture

_LONGEST_S = Fraction(4, 5)
"""Longest interval between detections in seconds, for low frame rates: faces must be confirmed well
within `FaceSettings.max_unconfirmed_s`."""

_EVERY = 5
"""Default number of frames from one detection to the next."""


class Frame(Protocol):
    """A picture and its instant; `avse.media.Frame` also has a `picture`, which saves work."""

    @property
    def time(self) -> Fraction:
        """Seconds."""
        ...

    @property
    def image(self) -> Image:
        """(h, w, 3) uint8 RGB."""
        ...


def picture_of(frame: Frame) -> Picture:
    """The picture of a frame."""
    picture: Picture | None = getattr(frame, "picture", None)
    return Picture(frame.image) if picture is None else picture


@dataclass(frozen=True)
class DetectedFrame:
    """A frame with its detections.

    Attributes:
        time: time in seconds.
        picture: the picture.
        cut: whether it begins a shot.
        change: mean difference from the last frame, 0..255; see `avse.faces.cuts.CutDetector`.
        dissolved: whether the picture has changed altogether within about a second; False if
            `found` is None.
        found: detected faces; None if the detector did not run.
        small: further, small faces.
    """

    time: Fraction
    picture: Picture = field(repr=False)
    cut: bool
    change: float
    dissolved: bool
    found: Sequence[Detection] | None
    small: Sequence[Detection]


class FrameDetector:
    """Detects cuts and faces, frame by frame.

    One thread may call it while another calls `detect` and `detect_near`.

    Args:
        backend: the face backend.
        every: number of frames from one detection to the next; each cut adds one.
    """

    def __init__(self, backend: FaceBackend, every: int) -> None:
        self._backend, self._every = backend, every
        self._detector = close_detector_of(backend)
        self._small_faces = SmallFaceDetector(backend)
        self._cut = CutDetector()
        self._index = 0
        self._ran: Fraction | None = None
        self._lock = threading.Lock()

    def __call__(self, frame: Frame) -> DetectedFrame:
        """Add the next frame."""
        time = frame.time
        picture = picture_of(frame)
        late = self._ran is not None and time - self._ran >= _LONGEST_S
        due = self._index % self._every == 0 or late
        self._index += 1
        cut = self._cut.is_cut(picture, time)
        change = self._cut.last_change
        if cut:
            self._small_faces.shot()
        if not (due or cut):
            return DetectedFrame(time, picture, cut, change, dissolved=False, found=None, small=())
        self._ran = time
        found = self.detect(picture)
        with self._lock:
            small = self._small_faces.look_around(picture, time, [face.box for face in found])
        dissolved = self._cut.dissolved()
        return DetectedFrame(time, picture, cut, change, dissolved, found, small)

    def detect(self, picture: Picture) -> Sequence[Detection]:
        """Detect the faces in a picture, best first."""
        with self._lock:
            if self._detector is not None:
                return self._detector.detect(picture)
            return self._backend.detect([picture.image])[0]

    def detect_near(self, picture: Picture, box: Box) -> Detection | None:
        """Detect a small face near its last place; None if there is none, or it is not small."""
        with self._lock:
            return self._small_faces.look_at(picture, box)

    def rest(self) -> None:
        """Return memory to the system at the end, or before a pause."""
        with self._lock:
            self._small_faces.rest()


def usual_rhythm(backend: FaceBackend) -> int:
    """Number of frames from one detection to the next for a backend."""
    detector = close_detector_of(backend)
    return _EVERY if detector is None else detector.every


def thinned(frames: Iterable[Frame], max_rate_hz: float) -> Iterator[Frame]:
    """Skip frames above a frame rate, and frames whose time stamps do not increase."""
    last: Fraction | None = None
    for frame in frames:
        if last is None or (frame.time - last) * max_rate_hz >= 1:
            last = frame.time
            yield frame
