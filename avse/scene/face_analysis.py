"""Pass 1: detect and track the people in the picture; `avse.scene.cache` stores the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

import av
import numpy as np
import PIL

from avse.errors import NoFaceError
from avse.faces.detect import FaceBackend
from avse.faces.detections import Frame as PictureAt
from avse.faces.face_settings import FaceSettings, Hint
from avse.faces.people import People
from avse.faces.recognition import Recogniser, open_recogniser, recogniser_version
from avse.faces.storing import pack, unpack
from avse.faces.track import find_people
from avse.faces.turning import Samples, find_turn, turn_back, turn_boxes, turn_frames
from avse.media import Frame, MediaInfo, VideoStream, read_frames
from avse.media.read_ahead import read_ahead
from avse.scene.cache import FACES, FileCache, code_digest
from avse.scene.part import Part

_FORMAT = 1
"""Format version of the cache entry: increase it when `avse.faces.storing` changes."""

_AHEAD_BYTES, _LEAST_AHEAD, _MOST_AHEAD = 48_000_000, 4, 32
"""Memory for the frames that are decoded ahead, and the same again for those in which faces are
detected ahead; and the smallest and largest number of such frames. With few, the threads wait for
each other whenever one of them has more to do than usual."""

_FEWEST_HZ = 1
"""Frame rate below which faces cannot be tracked from frame to frame."""


class Tools:
    """The face backend and the face recognition network, opened on first use.

    Args:
        opener: opens the face backend.
        version: version of that backend; see `avse.faces.detect.backend_version`.
        backend: an open face backend, in place of `opener`.
    """

    def __init__(
        self, opener: Callable[[], FaceBackend], version: str, backend: FaceBackend | None
    ) -> None:
        self._opener, self._backend = opener, backend
        self.version = version if backend is None else getattr(backend, "version", None)

    @cached_property
    def backend(self) -> FaceBackend:
        """The face backend."""
        return self._opener() if self._backend is None else self._backend

    @cached_property
    def recogniser(self) -> Recogniser | None:
        """The face recognition network, if there is one."""
        return open_recogniser()


@dataclass(frozen=True)
class FaceAnalysis:
    """The input of a face analysis: which pictures to read, and how.

    Attributes:
        info: what the file holds.
        video: the video stream.
        picture: index of the video stream, as in `avse.media.read_frames`.
        part: the part of the recording to process.
        origin: zero of the times of people, on the container's clock.
        side: largest longer side of the frames in pixels; larger frames are scaled down.
        hints: faces that the detector may miss; see `avse.faces.track.FaceTracker`.
    """

    info: MediaInfo
    video: VideoStream
    picture: int
    part: Part
    origin: Fraction
    side: int
    hints: tuple[Hint, ...] = ()

    @property
    def scale(self) -> float:
        """Pixels of the video per pixel of the frames."""
        return max(1.0, max(self.video.width, self.video.height) / self.side)

    @property
    def ahead(self) -> int:
        """Number of frames by which each thread may be ahead of the next one."""
        frame_bytes = 2 * self.video.width * self.video.height  # 1.5 of 8 bits, 3 of 10
        return min(max(_LEAST_AHEAD, _AHEAD_BYTES // max(1, frame_bytes)), _MOST_AHEAD)

    def frames(self) -> Iterator[Frame]:
        """The frames, on the container's clock."""
        frames = read_frames(
            self.info.path,
            picture=self.picture,
            max_side=self.side,
            start=self.part.start,
            stop=self.part.stop,
            rough=True,
        )
        return read_ahead(frames, self.ahead)

    def facts(self, tools: Tools) -> dict[str, object]:
        """Everything that the result depends on, except the content of the file."""
        return {
            "format": _FORMAT,
            "code": code_digest("faces", "media", "scene/face_analysis.py"),
            "container": self.info.format,
            "picture": self.picture,
            "part": [str(self.part.start), str(self.part.stop)],
            "origin": str(self.origin),
            "side": self.side,
            "hints": [[hint.time, *hint.box] for hint in self.hints],
            "backend": tools.version,
            "recogniser": recogniser_version(),
            "packages": [av.__version__, PIL.__version__, np.__version__],
        }


def find_faces(
    analysis: FaceAnalysis,
    tools: Tools,
    kept: FileCache | None,
    progress: Callable[[Fraction], None],
) -> tuple[People, int]:
    """Find the people in the picture, and the rotation of the picture in quarter turns.

    Args:
        analysis: the input.
        tools: the face backend and recogniser.
        kept: the cache; None to detect faces in any case.
        progress: called with the time of each finished frame; not called if the cache is used.

    Raises:
        MediaError: the file cannot be read.
        NoFaceError: no face was found.
    """
    if kept is None or tools.version is None:
        return _find(analysis, tools, progress)
    known = faces_in_cache(analysis, tools, kept)
    if known is not None:
        return known
    people, turned = _find(analysis, tools, progress)
    keep_faces(analysis, tools, kept, people, turned)
    return people, turned


def keep_faces(
    analysis: FaceAnalysis, tools: Tools, kept: FileCache, people: People, turned: int = 0
) -> None:
    """Store people in the cache for `find_faces`."""
    kept.put(FACES, pack(people, turned), **analysis.facts(tools))


def faces_in_cache(
    analysis: FaceAnalysis, tools: Tools, kept: FileCache
) -> tuple[People, int] | None:
    """The cached result of `find_faces`; None if it is missing or damaged."""
    payload = None if tools.version is None else kept.get(FACES, **analysis.facts(tools))
    if payload is None:
        return None
    try:
        return unpack(payload)
    except ValueError:  # a damaged entry; it is replaced
        return None


def _find(
    analysis: FaceAnalysis, tools: Tools, progress: Callable[[Fraction], None]
) -> tuple[People, int]:
    def find(pictures: Iterator[PictureAt], hints: Sequence[Hint] = analysis.hints) -> People:
        return find_people(
            pictures,
            tools.backend,
            scale=analysis.scale,
            recogniser=tools.recogniser,
            hints=hints,
            progress=progress,
            ahead=analysis.ahead,
        )

    pictures, samples = _Pictures(analysis.frames(), analysis.origin), Samples()
    people, turned = find(samples.watch(iter(pictures))), 0
    if not len(people):
        turned = find_turn(samples.images, tools.backend)
    if turned:
        again = iter(_Pictures(analysis.frames(), analysis.origin))
        hints = tuple(
            replace(hint, box=tuple(turn_boxes(np.array([hint.box]), turned)[0].tolist()))
            for hint in analysis.hints
        )
        people = turn_back(find(turn_frames(again, turned), hints), turned)
    if not len(people):
        pictures.check_enough(analysis.info.path.name, analysis.part)
        raise NoFaceError(
            f"{analysis.info.path.name}: no face was found in the picture, whichever way up",
            _too_small(analysis.video, analysis.side),
        )
    return people, turned


_SMALLEST_PX, _SQUARE_PX = 24, 440
"""Width of the smallest face of which the native backend finds 98 in 100
(`benchmarks/faces_found.py`). In smaller pictures it is proportionally smaller."""


def _too_small(video: VideoStream, side: int) -> str:
    """The requirements for a face to be found."""
    longer = max(video.width, video.height)
    width = round(_SMALLEST_PX * max(1.0, longer / side) * min(1.0, longer / _SQUARE_PX))
    return (
        f"faces must be in sight for more than half a second, look towards the camera and be wider "
        f"than about {width} pixels of {video.width}x{video.height}"
    )


class _Pictures:
    """Frames with times relative to an origin; counts them."""

    def __init__(self, frames: Iterator[Frame], origin: Fraction) -> None:
        self._frames, self._origin = frames, origin
        self._count = 0
        self._first = self._last = Fraction(0)

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            self._first = self._first if self._count else frame.time
            self._last = frame.time
            self._count += 1
            yield Frame(frame.time - self._origin, frame.picture)

    def check_enough(self, name: str, part: Part) -> None:
        """Raise an error if there are too few frames to find a face.

        Args:
            name: name of the recording.
            part: the processed part of the recording.

        Raises:
            NoFaceError: there are too few frames, or their duration is too short.
        """
        least_s = FaceSettings.min_seconds
        length_s = float(self._last - self._first)
        if not self._count and not part.is_whole:
            raise NoFaceError(
                f"{name}: there are no pictures in the part that is worked on",
                f"choose another --start or --end: a face must be in sight for {least_s:g} s",
            )
        if not self._count:
            raise NoFaceError(
                f"{name}: none of its pictures can be decoded", "copy or download the file again"
            )
        if length_s < least_s:
            raise NoFaceError(
                f"{name}: the picture is too short to find a face in ({length_s:.1f} s)",
                f"a face must be in sight for {least_s:g} s",
            )
        if self._count < length_s * _FEWEST_HZ:
            raise NoFaceError(
                f"{name}: there are too few pictures to follow a face: {self._count} in "
                f"{length_s:.1f} s",
                "lips can be read from about 10 pictures a second on; 25 are good",
            )
