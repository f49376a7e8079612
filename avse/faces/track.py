"""Face tracking: from frames to people, across gaps and cuts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from avse.faces.detect import Box, Detection, Face, FaceBackend
from avse.faces.detections import DetectedFrame, Frame, FrameDetector, thinned, usual_rhythm
from avse.faces.lip_batches import LipBatches
from avse.faces.matching import assign, crop_face, distance, number, table
from avse.faces.people import People, Person
from avse.faces.recognition import Recogniser
from avse.faces.rejoin import Track, rejoin
from avse.faces.sightings import Sightings
from avse.faces.small_faces import largest, same_face
from avse.faces.stillness import LEAST_MOTION, is_still
from avse.media.pictures import Picture
from avse.media.read_ahead import read_ahead


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

_SAME_FACE = 0.25
"""Overlap from which a detection belongs to a track."""

_TWICE = 0.5
"""Overlap from which two boxes are one face."""

_JUMP = 0.3
"""Overlap with its last box below which a track has jumped to another face."""

_MANY = 256
"""Number of finished tracks from which tracks of one person are joined, to bound memory."""


_AHEAD = 12
"""Number of frames in which faces are detected ahead of tracking, which then seldom waits."""


class FaceTracker:
    """Tracks the faces of a recording, frame by frame.

    Args:
        backend: the face backend.
        settings: see `FaceSettings`.
        scale: pixels of the source per pixel of the frames.
        recogniser: the face recognition network, if there is one.
        hints: faces that the detector may miss. Within 2 s of a hint, its box counts as a
            detection unless a face is tracked there. Such a face is tracked as long as its
            landmarks are found, with or without detections.
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
        self._recogniser = recogniser
        self._settings = (settings or FaceSettings()).suited(backend)
        self._lips = LipBatches(backend)
        self.detector = FrameDetector(backend, self._settings.detect_every or usual_rhythm(backend))
        self._scale = scale
        self._cuts: list[Fraction] = []
        self._live: list[Track] = []
        self._lost: list[Track] = []
        self._closed: list[Track] = []
        self._size = (0, 0)
        self._join_at = _MANY

    def step(self, frame: Frame) -> None:
        """Add the next frame, which is later than the last one."""
        self.follow(self.detector(frame))

    def follow(self, frame: DetectedFrame) -> None:
        """Add the next frame, with the detections of `detector`."""
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
        for track, face in seen.items():
            self._note(track, frame, face)
        self._live = [
            self._portray(track, frame, face)
            if due or track.thumbnail is None or track.portrait.lacks(face)
            else track
            for track, face in seen.items()
        ]
        self._let_go(time)
        if len(self._closed) >= self._join_at:
            self._closed = rejoin(self._closed)
            self._join_at = len(self._closed) + _MANY

    def _carry_on(self, picture: Picture) -> dict[Track, Face]:
        """Track each face from its last box; drop tracks that jump or meet."""
        tracks = self._live + self._lost
        faces = self._lips.faces(picture, [track.box for track in tracks])
        seen = {
            track: face
            for track, face in zip(tracks, faces, strict=True)
            if face is not None and face.box.overlap(track.box) >= _JUMP
        }
        for track, other in itertools.combinations(list(seen), 2):
            if track in seen and other in seen:
                boxes = seen[track].box, seen[other].box
                if boxes[0].overlap(boxes[1]) > _TWICE:
                    # Of two faces that meet, the track of the one behind jumps to the one in front.
                    moved = {t: seen[t].box.overlap(t.box) for t in (track, other)}
                    del seen[min(moved, key=lambda t: moved[t])]
        return seen

    def _small(
        self,
        picture: Picture,
        found: Sequence[Detection],
        small: Sequence[Detection],
        seen: dict[Track, Face],
    ) -> list[Detection]:
        """Small faces that the detector misses in the whole picture: tracked and new ones."""
        known = [item.box for item in found]
        followed = [face.box for face in seen.values()]
        missed = [box for box in followed if not any(same_face(box, other) for other in known)]
        again = [self.detector.detect_near(picture.image, box) for box in missed]
        fresh = largest(
            item for item in small if not any(same_face(item.box, box) for box in followed)
        )
        faces = self._lips.faces(picture, [item.box for item in fresh])
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
        seen: dict[Track, Face],
    ) -> list[Detection]:
        """Faces that the user has marked and that are not tracked or detected."""
        taken = [*(item.box for item in found), *(face.box for face in seen.values())]
        left = [box for box in hinted if not any(_covers(box, other) for other in taken)]
        faces = self._lips.faces(picture, left)
        return [Detection(b, 1.0) for b, face in zip(left, faces, strict=True) if face is not None]

    def _detected(
        self,
        time: Fraction,
        picture: Picture,
        found: Sequence[Detection],
        seen: dict[Track, Face],
        hinted: Sequence[Box],
    ) -> None:
        """Confirm tracked faces, resume lost ones, begin new ones."""
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
        faces = self._lips.faces(picture, [item.box for item in left])
        fresh: list[tuple[Detection, Face | None]] = []
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
            # A face that is turned so far that there are no landmarks.
            track.box, track.last_seen = item.box, time
            track.sightings[0].append(time, self._corners(item.box))
            if column not in taken:
                self._lost.append(track)

    def _corners(self, box: Box) -> tuple[float, float, float, float]:
        scale = self._scale
        return box.x * scale, box.y * scale, box.w * scale, box.h * scale

    def _note(self, track: Track, frame: DetectedFrame, face: Face) -> None:
        """Record a sighting."""
        corners = self._corners(face.box)
        self._lips.store(track.sightings[0], frame.time, corners, face, frame.picture)
        track.box, track.last_seen = face.box, frame.time

    def _portray(self, track: Track, frame: DetectedFrame, face: Face) -> Track:
        """Describe a face; returns the track that continues, which may be a new one."""
        time, image = frame.time, frame.picture.image
        self._lips.finish()
        confidence = track.sightings[0].last_confidence()
        same = track.portrait.add(image, face, time, may_differ=frame.dissolved)
        if same:
            track.strange = None
        elif track.strange is None:
            track.strange = time
        else:
            # Twice in a row: from the first time on, it is another person.
            other = track.part()
            self._end([track])
            track = other
            track.portrait.add(image, face, time)
        facing = np.cos(face.head.yaw) * np.cos(face.head.pitch)
        quality = face.head.scale * facing * confidence
        if quality > 1.05 * track.quality:
            track.quality = float(quality)
            track.thumbnail = crop_face(image, face.box, self._settings.thumbnail)
        return track

    def _let_go(self, time: Fraction) -> None:
        """End tracks that are off-screen or unconfirmed for too long."""
        gone = [t for t in self._lost if time - t.last_seen > self._settings.max_gap_s]
        self._lost = [t for t in self._lost if t not in gone]
        limit = self._settings.max_unconfirmed_s
        drifted = [t for t in self._live if time - t.confirmed > limit and not t.hinted]
        self._live = [t for t in self._live if t not in drifted]
        self._end(gone + drifted)

    def _end(self, tracks: Sequence[Track]) -> None:
        if tracks:
            self._lips.finish()  # before sightings are removed
        for track in tracks:
            unconfirmed = track.last_seen - track.confirmed
            if unconfirmed > self._settings.max_unconfirmed_s and not track.hinted:
                track.sightings[0].forget_after(track.confirmed)
                track.last_seen = track.confirmed
            track.close()
            self._closed.append(track)

    def finish(self) -> People:
        """End tracking, and return the people."""
        self._closed = rejoin(self.end())
        return people_of(self._closed, self._cuts, self.source_size, self._settings)

    @property
    def cuts(self) -> Sequence[Fraction]:
        """Times at which a shot began so far."""
        return self._cuts

    @property
    def source_size(self) -> tuple[int, int]:
        """Width and height of the source picture in pixels; 0 before the first frame."""
        height, width = (round(side * self._scale) for side in self._size)
        return width, height

    def end(self) -> list[Track]:
        """End tracking, and return all tracks."""
        self._end(self._live + self._lost)
        self._live, self._lost = [], []
        self.detector.rest()
        return self._closed

    def tidy(self, many: int) -> None:
        """Join finished tracks of one person, if there are more than `many`."""
        if len(self._closed) > many:
            self._closed = rejoin(self._closed)

    def so_far(self) -> list[Track]:
        """Copies of all tracks so far, including active ones."""
        self._lips.finish()
        return [track.copied() for track in (*self._closed, *self._live, *self._lost)]


def people_of(
    tracks: Sequence[Track],
    cuts: Sequence[Fraction],
    size: tuple[int, int],
    settings: FaceSettings | None = None,
) -> People:
    """Convert tracks to people; tracks that are too short or too uncertain are dropped.

    Args:
        tracks: joined tracks, one for each person, see `avse.faces.rejoin.rejoin`.
        cuts: times at which shots begin.
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
    """Whether lips are visible for long enough, and the score is high enough, for a person."""
    readable = Sightings.joined(track.sightings).readable().seconds(settings.max_gap_s)
    sure = track.hinted or track.score >= settings.min_score
    return readable >= settings.min_seconds and sure


def person_of(
    track: Track, number: int, size: tuple[int, int], settings: FaceSettings | None = None
) -> Person:
    """Convert a track to a person.

    Args:
        track: the joined track.
        number: number of the person.
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
    """Find the people in a recording.

    Args:
        frames: frames in order of time; each is used once and not kept.
        backend: see `avse.faces.detect.open_backend`.
        settings: see `FaceSettings`.
        scale: pixels of the source per pixel of the frames.
        recogniser: the face recognition network, if there is one.
        hints: see `FaceTracker`.
        progress: called with the time of each finished frame.
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
    """Whether two boxes are of one face; one of them may be drawn by hand."""
    return one.overlap(other) >= _SAME_FACE or one.centred_in(other)
