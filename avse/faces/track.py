"""From pictures to people: follow every face, through gaps and across cuts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from avse.faces.closer import largest, same_face
from avse.faces.detect import Box, Detection, FaceBackend, FaceLandmarks, reads_luma
from avse.faces.detections import DetectedFrame, Frame, FrameDetector, thinned, usual_rhythm
from avse.faces.matching import assign, crop_face, distance, number, table
from avse.faces.people import People, Person
from avse.faces.recognition import Recogniser
from avse.faces.rejoin import Track, rejoin
from avse.faces.sightings import Sightings
from avse.faces.stillness import LEAST_MOTION, is_still
from avse.media.pictures import Picture
from avse.media.read_ahead import read_ahead


@dataclass(frozen=True)
class FaceSettings:
    """How faces are looked for and followed.

    Attributes:
        detect_every: the detector looks at every so many frames, and whenever a face is lost or a
            shot begins; in between, landmarks carry the boxes on. None: as often as suits the
            backend, every 5 frames if it doesn't say.
        max_rate_hz: pictures that follow faster than this are skipped.
        max_gap_s: a face that comes back to its place within this time never went away.
        max_unconfirmed_s: a face that the detector has not seen for so long is dropped.
        min_seconds: whoever shows readable lips for less is nobody.
        min_score: whoever the detector is less sure of, on average, is nobody; where it looked and
            did not see a face that was being followed counts as 0.
        simultaneous_s: whoever comes within this of another in one shot is numbered by place.
        thumbnail: longest side of the picture kept of a face, in pixels.
        least_motion: see `avse.faces.stillness.is_still`. None: as suits the backend.
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
        """The same, with what depends on the backend."""
        least = getattr(backend, "least_motion", LEAST_MOTION)
        return replace(self, least_motion=self.least_motion or least)


@dataclass(frozen=True)
class Hint:
    """A face that somebody has pointed at.

    Attributes:
        time: seconds.
        box: x, y, width, height as fractions of the picture.
    """

    time: float
    box: tuple[float, float, float, float]


HINT_S = 2.0
"""For so long before and after its time a hint counts as seen by the detector."""

_SAME_FACE = 0.25
"""Overlap from which a detection is the face that is being followed."""

_TWICE = 0.5
"""Overlap from which two boxes are one face."""

_JUMP = 0.3
"""Overlap with its last box below which a face did not move but jump to another."""

_MANY = 256
"""Tracks that pile up before those of one person are joined, which bounds memory."""


_AHEAD = 4
"""Pictures in which faces are detected before they are followed there."""


class FaceTracker:
    """Follows the faces of a recording, frame by frame.

    Args:
        backend: finds faces and landmarks.
        settings: see `FaceSettings`.
        scale: pixels of the source per pixel of the frames that are shown to `step`.
        recogniser: the face recognition network, if there is one.
        hints: faces that the detector may miss. Within 2 s of a hint its box is offered wherever
            the detector looks, unless a face is followed there. Who is found so is followed as
            long as landmarks are found, whether the detector ever sees the face or not.
    """

    def __init__(
        self,
        backend: FaceBackend,
        settings: FaceSettings | None = None,
        scale: float = 1.0,
        recogniser: Recogniser | None = None,
        hints: Sequence[Hint] = (),
    ) -> None:
        self._hints = tuple(hints)
        self._backend = backend
        self._recogniser = recogniser
        self._settings = (settings or FaceSettings()).suited(backend)
        self.detector = FrameDetector(backend, self._settings.detect_every or usual_rhythm(backend))
        self._scale = scale
        self._cuts: list[Fraction] = []
        self._live: list[Track] = []
        self._lost: list[Track] = []
        self._closed: list[Track] = []
        self._size = (0, 0)
        self._join_at = _MANY

    def step(self, frame: Frame) -> None:
        """Take the next frame, later than the last one."""
        self.follow(self.detector(frame))

    def follow(self, frame: DetectedFrame) -> None:
        """Take the next frame, in which `detector` has looked for faces."""
        time, picture, found = frame.time, frame.picture, frame.found
        due = found is not None
        self._size = picture.shape
        if frame.cut:
            self._cuts.append(time)
            self._end(self._live + self._lost)
            self._live, self._lost = [], []
        newly_lost = len(self._live)
        seen = self._carry_on(picture)
        newly_lost -= sum(track in seen for track in self._live)
        self._lost = [track for track in self._live + self._lost if track not in seen]
        if found is None and newly_lost:
            found = self.detector.detect(picture.image)
        if found is not None:
            found = [*found, *self._small(picture, found, frame.small, seen)]
            hinted = self._hinted(time, picture)
            found += self._missed(picture, hinted, found, seen)
            self._detected(time, picture, found, seen, hinted)
        self._live = [self._note(track, frame, face, portray=due) for track, face in seen.items()]
        self._let_go(time)
        if len(self._closed) >= self._join_at:
            self._closed = rejoin(self._closed)
            self._join_at = len(self._closed) + _MANY

    def _carry_on(self, picture: Picture) -> dict[Track, FaceLandmarks]:
        """Find each face near where it was; who jumped or doubled is not found."""
        tracks = self._live + self._lost
        faces = self._landmarks(picture, [track.box for track in tracks])
        seen = {
            track: face
            for track, face in zip(tracks, faces, strict=True)
            if face is not None and face.box.overlap(track.box) >= _JUMP
        }
        for track, other in itertools.combinations(list(seen), 2):
            if track in seen and other in seen:
                boxes = seen[track].box, seen[other].box
                if boxes[0].overlap(boxes[1]) > _TWICE:
                    # The one in front is found where it was; the one behind, where it was not.
                    moved = {t: seen[t].box.overlap(t.box) for t in (track, other)}
                    del seen[min(moved, key=lambda t: moved[t])]
        return seen

    def _landmarks(self, picture: Picture, boxes: Sequence[Box]) -> list[FaceLandmarks | None]:
        luma = picture.luma if boxes and reads_luma(self._backend) else None
        return self._backend.landmarks(picture.image if luma is None else luma, boxes)

    def _small(
        self,
        picture: Picture,
        found: Sequence[Detection],
        small: Sequence[Detection],
        seen: dict[Track, FaceLandmarks],
    ) -> list[Detection]:
        """Small faces that the detector misses in the whole picture: followed ones, new ones."""
        known = [item.box for item in found]
        followed = [face.box for face in seen.values()]
        missed = [box for box in followed if not any(same_face(box, other) for other in known)]
        again = [self.detector.detect_near(picture.image, box) for box in missed]
        fresh = largest(
            item for item in small if not any(same_face(item.box, box) for box in followed)
        )
        faces = self._landmarks(picture, [item.box for item in fresh])
        sure = [item for item, face in zip(fresh, faces, strict=True) if face is not None]
        return [*(item for item in again if item is not None), *sure]

    def _hinted(self, time: Fraction, picture: Picture) -> list[Box]:
        """The boxes of the hints that count now, in pixels."""
        height, width = picture.shape
        near = (hint.box for hint in self._hints if abs(float(time) - hint.time) <= HINT_S)
        return [Box(x * width, y * height, w * width, h * height) for x, y, w, h in near]

    def _missed(
        self,
        picture: Picture,
        hinted: Sequence[Box],
        found: Sequence[Detection],
        seen: dict[Track, FaceLandmarks],
    ) -> list[Detection]:
        """Faces that somebody has pointed at, and nobody else has found."""
        taken = [*(item.box for item in found), *(face.box for face in seen.values())]
        left = [box for box in hinted if not any(_covers(box, other) for other in taken)]
        faces = self._landmarks(picture, left)
        return [Detection(b, 1.0) for b, face in zip(left, faces, strict=True) if face is not None]

    def _detected(
        self,
        time: Fraction,
        picture: Picture,
        found: Sequence[Detection],
        seen: dict[Track, FaceLandmarks],
        hinted: Sequence[Box],
    ) -> None:
        """Confirm followed faces, pick up lost ones, begin new ones."""
        followed = list(seen)
        overlap = table([[seen[t].box.overlap(item.box) for item in found] for t in followed])
        confirmed = dict(assign(1 - overlap, 1 - _SAME_FACE))
        for row, track in enumerate(followed):
            track.score_count += 1 + track.missed
            track.missed = 0
            if row in confirmed:
                track.score_sum += found[confirmed[row]].score
                track.confirmed = time
        left = [
            item
            for i, item in enumerate(found)
            if i not in confirmed.values()
            and all(face.box.overlap(item.box) < _TWICE for face in seen.values())
        ]
        faces = self._landmarks(picture, [item.box for item in left])
        fresh: list[tuple[Detection, FaceLandmarks | None]] = []
        for item, face in zip(left, faces, strict=True):
            others = [*seen.values(), *(face for _, face in fresh if face)]
            if face is None or all(face.box.overlap(o.box) < _TWICE for o in others):
                fresh.append((item, face))
        away = table([[distance(t.box, item.box) for item, _ in fresh] for t in self._lost])
        taken = {column: self._lost[row] for row, column in assign(away, 1.0)}
        for track in self._lost:
            track.missed += track not in taken.values()
        for column, (item, face) in enumerate(fresh):
            track = taken.get(column) or Track(item.box, time, self._recogniser)
            track.hinted |= any(_covers(item.box, box) for box in hinted)
            track.confirmed = time
            track.score_sum += item.score
            track.score_count += 1 + track.missed
            track.missed = 0
            if face is not None:
                seen[track] = face
                self._lost = [other for other in self._lost if other is not track]
                continue
            # A face, but bent or turned so far that its lips cannot be read.
            track.box, track.last_seen = item.box, time
            track.sightings[0].append(time, self._corners(item.box))
            if column not in taken:
                self._lost.append(track)

    def _corners(self, box: Box) -> tuple[float, float, float, float]:
        scale = self._scale
        return box.x * scale, box.y * scale, box.w * scale, box.h * scale

    def _note(
        self, track: Track, frame: DetectedFrame, face: FaceLandmarks, *, portray: bool
    ) -> Track:
        """Write down one sighting; give the track that goes on, which may be another by now."""
        time, box = frame.time, face.box
        lips = face.head.fix(face.lips)
        pose = (face.head.yaw, face.head.pitch)
        track.sightings[0].append(time, self._corners(box), lips, face.confidence, pose)
        track.box, track.last_seen = box, time
        if portray or not track.portrait.views:
            image = frame.picture.image
            same = track.portrait.add(image, face, time, may_differ=frame.dissolved)
            if same:
                track.strange = None
            elif track.strange is None:
                track.strange = time
            else:
                # Twice in a row: since the first time it has been somebody else.
                other = track.part()
                self._end([track])
                track = other
                track.portrait.add(image, face, time)
            facing = np.cos(face.head.yaw) * np.cos(face.head.pitch)
            quality = face.head.scale * facing * float(face.confidence.mean())
            if quality > 1.05 * track.quality:
                track.quality = float(quality)
                track.thumbnail = crop_face(image, box, self._settings.thumbnail)
        return track

    def _let_go(self, time: Fraction) -> None:
        """End what has been out of sight, or seen by the mesh alone, for too long."""
        gone = [t for t in self._lost if time - t.last_seen > self._settings.max_gap_s]
        self._lost = [t for t in self._lost if t not in gone]
        limit = self._settings.max_unconfirmed_s
        drifted = [t for t in self._live if time - t.confirmed > limit and not t.hinted]
        self._live = [t for t in self._live if t not in drifted]
        self._end(gone + drifted)

    def _end(self, tracks: Iterable[Track]) -> None:
        for track in tracks:
            unconfirmed = track.last_seen - track.confirmed
            if unconfirmed > self._settings.max_unconfirmed_s and not track.hinted:
                track.sightings[0].forget_after(track.confirmed)
                track.last_seen = track.confirmed
            track.close()
            self._closed.append(track)

    def finish(self) -> People:
        """Say who was there."""
        self._closed = rejoin(self.end())
        return people_of(self._closed, self._cuts, self.source_size, self._settings)

    @property
    def cuts(self) -> Sequence[Fraction]:
        """Instants at which a new shot began so far."""
        return self._cuts

    @property
    def source_size(self) -> tuple[int, int]:
        """Width and height of the source picture in pixels; 0 before the first frame."""
        height, width = (round(side * self._scale) for side in self._size)
        return width, height

    def end(self) -> list[Track]:
        """Follow no more; give all tracks."""
        self._end(self._live + self._lost)
        self._live, self._lost = [], []
        return self._closed

    def tidy(self, many: int) -> None:
        """Join tracks that have ended and are one person's, if there are more than `many`."""
        if len(self._closed) > many:
            self._closed = rejoin(self._closed)

    def so_far(self) -> list[Track]:
        """Copies of all tracks up to now, also of those that are still followed."""
        return [track.copied() for track in (*self._closed, *self._live, *self._lost)]


def people_of(
    tracks: Sequence[Track],
    cuts: Sequence[Fraction],
    size: tuple[int, int],
    settings: FaceSettings | None = None,
) -> People:
    """The people that tracks show; tracks that are too short or too doubtful are nobody.

    Args:
        tracks: of one person each, see `avse.faces.rejoin.rejoin`.
        cuts: instants at which shots begin.
        size: width and height of the source picture in pixels.
        settings: see `FaceSettings`.
    """
    settings = settings or FaceSettings()
    kept = [track for track in tracks if is_somebody(track, settings)]
    order = number(
        [(track.first_seen, track.first_box) for track in kept], cuts, settings.simultaneous_s
    )
    persons = [
        person_of(kept[index], place + 1, size, settings) for place, index in enumerate(order)
    ]
    return People(tuple(persons), *size, tuple(cuts))


def is_somebody(track: Track, settings: FaceSettings) -> bool:
    """Whether a track is a face whose lips are in sight for long enough to count as a person."""
    readable = Sightings.joined(track.sightings).readable().seconds(settings.max_gap_s)
    sure = track.hinted or track.score >= settings.min_score
    return readable >= settings.min_seconds and sure


def person_of(
    track: Track, number: int, size: tuple[int, int], settings: FaceSettings | None = None
) -> Person:
    """A track as a person.

    Args:
        track: all that was seen of one person.
        number: of the person.
        size: width and height of the source picture in pixels.
        settings: see `FaceSettings`.
    """
    settings = settings or FaceSettings()
    whole = Sightings.joined(track.sightings)
    x, y, w, h = (float(value) for value in np.median(whole.boxes, axis=0))
    thumbnail = track.thumbnail
    if thumbnail is None:
        thumbnail = np.zeros((settings.thumbnail, settings.thumbnail, 3), np.uint8)
    lips = whole.lips()
    width, height = size
    return Person(
        number,
        track.first_seen,
        whole.seconds(settings.max_gap_s),
        (x, y, w, h),
        whole.times.copy(),
        whole.boxes / np.array([width, height, width, height], np.float32),
        lips,
        thumbnail,
        face=track.portrait.face,
        still=is_still(lips, whole.readable().pose, settings.least_motion or LEAST_MOTION),
    )


def find_people(
    frames: Iterable[Frame],
    backend: FaceBackend,
    settings: FaceSettings | None = None,
    *,
    scale: float = 1.0,
    recogniser: Recogniser | None = None,
    hints: Sequence[Hint] = (),
    progress: Callable[[Fraction], None] | None = None,
) -> People:
    """Find everybody whose face can be seen.

    Args:
        frames: pictures in order of time; each is looked at once and not kept.
        backend: see `avse.faces.detect.open_backend`.
        settings: see `FaceSettings`.
        scale: pixels of the source per pixel of the frames, if they were made smaller.
        recogniser: the face recognition network, if there is one.
        hints: see `FaceTracker`.
        progress: called with the instant of each frame that is done with.
    """
    settings = settings or FaceSettings()
    tracker = FaceTracker(backend, settings, scale, recogniser, hints)
    kept = thinned(frames, settings.max_rate_hz)
    for frame in read_ahead(map(tracker.detector, kept), _AHEAD):
        tracker.follow(frame)
        if progress is not None:
            progress(frame.time)
    return tracker.finish()


def _covers(one: Box, other: Box) -> bool:
    """Whether boxes are of one face, one of them perhaps drawn by hand."""
    return one.overlap(other) >= _SAME_FACE or one.centred_in(other)
