"""Face tracking: from frames to people, across gaps and cuts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

import numpy as np

from avse.faces.detect import Box, Detection, Face, FaceBackend
from avse.faces.detections import DetectedFrame, Frame, FrameDetector, thinned, usual_rhythm
from avse.faces.face_settings import HINT_S, FaceSettings, Hint
from avse.faces.interpolation import face_between
from avse.faces.lip_batches import LipBatches
from avse.faces.matching import assign, crop_face, distance, table
from avse.faces.people import People
from avse.faces.recognition import Recogniser
from avse.faces.rejoin import Track, rejoin
from avse.faces.small_faces import largest, same_face
from avse.faces.tracked_people import people_of
from avse.media.pictures import Picture
from avse.media.read_ahead import read_ahead

_SAME_FACE = 0.25
"""Overlap from which a detection belongs to a track."""

_TWICE = 0.5
"""Overlap from which two boxes are one face."""

_JUMP = 0.3
"""Overlap with its last box below which a track has jumped to another face."""

_NEAR_S = Fraction(1, 20)
"""Longest time from one frame to the next for interpolation, in seconds."""

_MOST_BETWEEN = 2
"""Maximal number of frames in a row in which faces are interpolated. With four, the lips of unseen
people choose the wrong one of two voices more often, 2.8 % in place of 2.2 % (GRID)."""

_SLOW = 0.07
"""Overlap that the box of a slow face loses at most from one frame to the next."""

_CALM = 5.0
"""Largest change of the picture from frame to frame, 0..255, with which faces are interpolated. A
shaken camera may bring faces back to their places after three frames; it changes the picture by
more than this, talking people by 1 to 3."""

_MANY = 256
"""Number of finished tracks from which tracks of one person are joined, to bound memory."""

_AHEAD = 12


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
        self._live: dict[Track, Face] = {}
        self._lost: list[Track] = []
        self._waiting: list[DetectedFrame] = []
        self._last: Fraction | None = None
        self._slow = True
        self._closed: list[Track] = []
        self._size = (0, 0)
        self._join_at = _MANY

    def step(self, frame: Frame) -> None:
        """Add the next frame, which is later than the last one."""
        self.follow(self.detector(frame))

    def follow(self, frame: DetectedFrame) -> None:
        """Add the next frame, with the detections of `detector`.

        Where faces move slowly, only every third frame is searched for them. In the frames between,
        they are interpolated; their lips are found in every frame.
        """
        if self._may_wait(frame):
            self._waiting.append(frame)
            return
        if self._waiting and not frame.cut and frame.change <= _CALM:
            seen = self._carry_on(frame.picture)
            if self._interpolate(frame, seen):
                self._waiting = []
                self._follow(frame, seen)
                return
        self.settle()
        self._follow(frame)

    def _may_wait(self, frame: DetectedFrame) -> bool:
        """Whether a frame may wait until a later one is searched, to have its faces interpolated.

        No frame waits at the end of a second, so that a reader of parts, which end at whole
        seconds, finds what a reader of the whole finds.
        """
        last = self._waiting[-1].time if self._waiting else self._last
        return (
            self._lips.separate
            and len(self._waiting) < _MOST_BETWEEN
            and last is not None
            and frame.time - last <= _NEAR_S
            and frame.time // 1 == (frame.time + _NEAR_S) // 1
            and frame.found is None
            and not frame.cut
            and frame.change <= _CALM
            and not self._lost
            and self._slow
        )

    def _interpolate(self, frame: DetectedFrame, seen: dict[Track, Face]) -> bool:
        """Interpolate all faces in the frames that wait, unless one moves quickly.

        Args:
            frame: the frame after them.
            seen: its faces.

        Returns:
            Whether they were interpolated.
        """
        assert self._last is not None
        length, steps = frame.time - self._last, 1 + len(self._waiting)
        if length > steps * _NEAR_S or not _are_slow(self._live, seen, steps):
            return False
        for between in self._waiting:
            share = float((between.time - self._last) / length)
            for track, before in self._live.items():
                self._note(track, between, face_between(before, seen[track], share))
        return True

    def settle(self) -> None:
        """Search the frames that wait for faces, at the end of a part or of the recording."""
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            self._follow(frame)

    def _follow(self, frame: DetectedFrame, carried: dict[Track, Face] | None = None) -> None:
        """Track the faces in the next frame.

        Args:
            frame: the frame.
            carried: the result of `_carry_on` if the frames before were interpolated with it.
        """
        time, picture, found = frame.time, frame.picture, frame.found
        due = found is not None
        self._size, self._last = picture.shape, time
        if frame.cut:
            self._cuts.append(time)
            self._end([*self._live, *self._lost])
            self._live, self._lost = {}, []
        seen = self._carry_on(picture) if carried is None else carried
        newly_lost = any(track not in seen for track in self._live)
        self._lost = [track for track in (*self._live, *self._lost) if track not in seen]
        if found is None and newly_lost:
            found = self.detector.detect(picture)
        if found is not None:
            found = [*found, *self._small(picture, found, frame.small, seen)]
            hinted = self._hinted(time, picture)
            found += self._missed(picture, hinted, found, seen)
            self._detected(time, picture, found, seen, hinted)
        for track, face in seen.items():
            self._note(track, frame, face)
        if carried is None:
            self._slow = _are_slow(self._live, seen, 1)
        self._live = {}
        for track, face in seen.items():
            described = due or track.thumbnail is None or track.portrait.lacks(face)
            self._live[self._portray(track, frame, face) if described else track] = face
        self._let_go(time)
        if len(self._closed) >= self._join_at:
            self._closed = rejoin(self._closed)
            self._join_at = len(self._closed) + _MANY

    def _carry_on(self, picture: Picture) -> dict[Track, Face]:
        """Track each face from its last box; drop tracks that jump or meet."""
        tracks = [*self._live, *self._lost]
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
        again = [self.detector.detect_near(picture, box) for box in missed]
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
        faces = self._lips.new_faces(picture, [item.box for item in left])
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
        for track in drifted:
            del self._live[track]
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
        self.settle()
        self._end([*self._live, *self._lost])
        self._live, self._lost = {}, []
        self.detector.rest()
        return self._closed

    def forget_waiting(self) -> None:
        """Forget the last frames if they still wait for another one."""
        self._waiting = []

    def tidy(self, many: int) -> None:
        """Join finished tracks of one person, if there are more than `many`."""
        if len(self._closed) > many:
            self._closed = rejoin(self._closed)

    def so_far(self) -> list[Track]:
        """Copies of all tracks so far, including active ones, without the frames that wait."""
        self._lips.finish()
        return [track.copied() for track in (*self._closed, *self._live, *self._lost)]


def find_people(
    frames: Iterable[Frame],
    backend: FaceBackend,
    settings: FaceSettings | None = None,
    *,
    scale: float = 1.0,
    recogniser: Recogniser | None = None,
    hints: Sequence[Hint] = (),
    progress: Callable[[Fraction], None] | None = None,
    ahead: int = _AHEAD,
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
        ahead: number of frames in which faces are detected ahead of tracking.
    """
    settings = settings or FaceSettings()
    tracker = FaceTracker(backend, settings, scale, recogniser, hints)
    kept = thinned(frames, settings.max_rate_hz)
    for frame in read_ahead(map(tracker.detector, kept), ahead):
        tracker.follow(frame)
        if progress is not None:
            progress(frame.time)
    return tracker.finish()


def _covers(one: Box, other: Box) -> bool:
    """Whether two boxes are of one face; one of them may be drawn by hand."""
    return one.overlap(other) >= _SAME_FACE or one.centred_in(other)


def _are_slow(before: dict[Track, Face], after: dict[Track, Face], steps: int) -> bool:
    """Whether all faces are still there after some frames, and have moved slowly."""
    least = 1 - steps * _SLOW
    return all(
        track in after and face.box.overlap(after[track].box) >= least
        for track, face in before.items()
    )
