"""Pass 1, picture by picture: who can be seen. What was found is kept in `avse.scene.cache`."""

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
from avse.faces.people import People
from avse.faces.recognition import Recogniser, open_recogniser, recogniser_version
from avse.faces.storing import pack, unpack
from avse.faces.track import FaceSettings, Hint, find_people
from avse.faces.turning import Samples, find_turn, turn_back, turn_boxes, turn_frames
from avse.media import Frame, MediaInfo, VideoStream, read_frames
from avse.media.read_ahead import read_ahead
from avse.scene.cache import FACES, FileCache, code_digest
from avse.scene.part import Part

_FORMAT = 1
"""Of what is kept: raise it when `avse.faces.storing` changes."""

_AHEAD = 4
"""Pictures that are decoded while others are looked at."""

_FEWEST_HZ = 1
"""Pictures a second below which faces are lost from one picture to the next."""


class Tools:
    """The face detector and the face recogniser, opened when they are needed.

    Args:
        opener: opens the face backend.
        version: of what it opens; see `avse.faces.detect.backend_version`.
        backend: one that is open already, instead.
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
class Look:
    """What is to be looked at.

    Attributes:
        info: what the file holds.
        video: the picture.
        picture: which one that is, as `avse.media.read_frames` counts them.
        part: what of the recording is worked on.
        origin: the instant, on the container's clock, that times count from.
        side: pictures are made smaller than this (longer side, pixels).
        hints: faces that may be missed; see `avse.faces.track.FaceTracker`.
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
        """Pixels of the picture per pixel that is looked at."""
        return max(1.0, max(self.video.width, self.video.height) / self.side)

    def frames(self) -> Iterator[Frame]:
        """The pictures, on the container's clock."""
        frames = read_frames(
            self.info.path,
            picture=self.picture,
            max_side=self.side,
            start=self.part.start,
            stop=self.part.stop,
        )
        return read_ahead(frames, _AHEAD)

    def facts(self, tools: Tools) -> dict[str, object]:
        """All that decides what is found, but for the content of the file."""
        return {
            "format": _FORMAT,
            "code": code_digest("faces", "media", "scene/looking.py"),
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
    look: Look, tools: Tools, kept: FileCache | None, progress: Callable[[Fraction], None]
) -> tuple[People, int]:
    """Everybody in a picture, and by how many quarters it had to be turned.

    Args:
        look: what is looked at.
        tools: who finds faces.
        kept: where to keep what is found, or to find it; None to look in any case.
        progress: called with the instant of each frame that is done with; not if nothing is looked
            at.

    Raises:
        MediaError: the file cannot be read.
        NoFaceError: nobody can be seen.
    """
    if kept is None or tools.version is None:
        return _find(look, tools, progress)
    known = faces_in_cache(look, tools, kept)
    if known is not None:
        return known
    people, turned = _find(look, tools, progress)
    keep_faces(look, tools, kept, people, turned)
    return people, turned


def keep_faces(look: Look, tools: Tools, kept: FileCache, people: People, turned: int = 0) -> None:
    """Keep what was found for `find_faces`."""
    kept.put(FACES, pack(people, turned), **look.facts(tools))


def faces_in_cache(look: Look, tools: Tools, kept: FileCache) -> tuple[People, int] | None:
    """What `find_faces` found before; None if it did not, or what is there is damaged."""
    payload = None if tools.version is None else kept.get(FACES, **look.facts(tools))
    if payload is None:
        return None
    try:
        return unpack(payload)
    except ValueError:  # whoever wrote it: it is written anew
        return None


def _find(look: Look, tools: Tools, progress: Callable[[Fraction], None]) -> tuple[People, int]:
    def find(pictures: Iterator[PictureAt], hints: Sequence[Hint] = look.hints) -> People:
        return find_people(
            pictures,
            tools.backend,
            scale=look.scale,
            recogniser=tools.recogniser,
            hints=hints,
            progress=progress,
        )

    pictures, samples = _Pictures(look.frames(), look.origin), Samples()
    people, turned = find(samples.watch(iter(pictures))), 0
    if not len(people):
        turned = find_turn(samples.images, tools.backend)
    if turned:
        again = iter(_Pictures(look.frames(), look.origin))
        hints = tuple(
            replace(hint, box=tuple(turn_boxes(np.array([hint.box]), turned)[0].tolist()))
            for hint in look.hints
        )
        people = turn_back(find(turn_frames(again, turned), hints), turned)
    if not len(people):
        pictures.check_enough(look.info.path.name, look.part)
        raise NoFaceError(
            f"{look.info.path.name}: no face was found in the picture, whichever way up",
            _too_small(look.video, look.side),
        )
    return people, turned


_SMALLEST_PX, _SQUARE_PX = 24, 440
"""Width of the smallest face that the native backend finds 99 times in 100
(`benchmarks/faces_found.py`); in smaller pictures, less in proportion."""


def _too_small(video: VideoStream, side: int) -> str:
    """What a face must be like to be found."""
    longer = max(video.width, video.height)
    width = round(_SMALLEST_PX * max(1.0, longer / side) * min(1.0, longer / _SQUARE_PX))
    return (
        f"faces must be in sight for more than half a second, look towards the camera and be wider "
        f"than about {width} pixels of {video.width}x{video.height}"
    )


class _Pictures:
    """Frames whose times count from an instant; knows afterwards how many there were."""

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
        """Refuse what is too little to find anybody in, which is not the same as nobody.

        Args:
            name: of the recording.
            part: of it that the pictures are from.

        Raises:
            NoFaceError: there are too few pictures, or they last too short.
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
