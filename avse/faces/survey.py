"""Find the people of a recording chunk by chunk, in any order, for the page.

`avse.scene.scene.look` reads a recording from the first frame to the last. A survey reads the chunk
that is needed next, and joins the tracks of all chunks. A person keeps the same number in all
chunks, in whatever order they are read, as far as face tracks can be joined across cuts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from avse.faces.detect import Box, FaceBackend
from avse.faces.detections import Frame, thinned
from avse.faces.face_settings import HINT_S, FaceSettings, Hint
from avse.faces.matching import number
from avse.faces.people import People
from avse.faces.recognition import Recogniser
from avse.faces.rejoin import Track, rejoin
from avse.faces.sightings import Sightings
from avse.faces.track import FaceTracker
from avse.faces.tracked_people import is_somebody, person_of

OpenFrames = Callable[[Fraction], Iterator[Frame]]
"""Time -> frames from there on, with times on the same clock."""

_MANY = 64
"""Number of finished tracks from which tracks of one person are joined, to bound computing time."""

_SAME = 0.4
"""Median overlap of boxes over time, above which two tracks are of one face."""

_RUNS = 2
"""Maximum number of open readers: one near the playhead, and one for the rest."""


@dataclass
class _Run:
    """A tracker that reads consecutive chunks.

    Attributes:
        tracker: the tracker.
        frames: the frames to come.
        next: the next chunk.
        inside: whether some frames of that chunk are read already.
        pending: the first frame of that chunk, if it is read but not tracked.
    """

    tracker: FaceTracker
    frames: Iterator[Frame]
    next: int
    inside: bool = False
    pending: Frame | None = None


class FaceSurvey:
    """Finds people, chunk by chunk.

    Args:
        open_frames: opens the frames from a time on.
        backend: the face backend.
        begin: time at which chunk 0 begins, in seconds.
        chunk_s: length of a chunk in seconds.
        scale: pixels of the source per pixel of the frames.
        recogniser: the face recognition network, if there is one.
        settings: see `FaceSettings`.

    Attributes:
        done: chunks in which faces were detected.
    """

    def __init__(
        self,
        open_frames: OpenFrames,
        backend: FaceBackend,
        *,
        begin: Fraction,
        chunk_s: Fraction,
        scale: float = 1.0,
        recogniser: Recogniser | None = None,
        settings: FaceSettings | None = None,
    ) -> None:
        self._open, self._backend, self._recogniser = open_frames, backend, recogniser
        self._begin, self._chunk, self._scale = begin, chunk_s, scale
        self._settings = (settings or FaceSettings()).suited(backend)
        self._runs: list[_Run] = []
        self._ended: list[Track] = []
        self._pointed: list[Track] = []
        self._cuts: set[Fraction] = set()
        self._size = (0, 0)
        self._numbers: dict[int, int] = {}
        self._count = 0
        self.done: set[int] = set()

    def look(self, chunk: int, stop: Callable[[], bool] = lambda: False) -> bool:
        """Detect the faces in a chunk, unless this was done before.

        Args:
            chunk: its number.
            stop: called after each frame; if it returns True, the chunk is left, and the next call
                continues there.

        Returns:
            Whether the chunk is done.
        """
        if chunk in self.done:
            return True
        run = self._run_at(chunk)
        end = self._start_of(chunk + 1)
        try:
            for frame in self._frames_until(run, end):
                run.inside = True
                run.tracker.step(frame)
                if stop():
                    return False
            run.tracker.settle()
        except BaseException:
            self._end(run)
            raise
        run.next, run.inside = chunk + 1, False
        run.tracker.detector.rest()
        self._size = max(self._size, run.tracker.source_size)
        self.done.add(chunk)
        if chunk + 1 in self.done:
            self._end(run)
        return True

    def people(self) -> People:
        """All people so far. Their numbers stay the same from call to call.

        Two people who are found to be one keep the lower number; the other number is in `also`.
        """
        if len(self._ended) > _MANY:
            self._ended = rejoin(self._ended)
        tracks = [track.copied() for track in self._ended]
        for run in self._runs:
            run.tracker.tidy(_MANY)
            tracks += run.tracker.so_far()
        # A face that the user has marked may also be tracked, when its chunk is done.
        tracks += [
            track.copied()
            for track in self._pointed
            if not any(_is_same_face(track, other) for other in tracks)
        ]
        cuts = sorted(self._cuts.union(*(run.tracker.cuts for run in self._runs)))
        kept = [track for track in rejoin(tracks) if is_somebody(track, self._settings)]
        seen = [(track.first_seen, track.first_box) for track in kept]
        kept = [kept[i] for i in number(seen, cuts, self._settings.simultaneous_s)]
        size = max([self._size, *(run.tracker.source_size for run in self._runs)])
        persons = []
        for track, numbers in zip(kept, self._numbered(kept), strict=True):
            person = person_of(track, numbers[0], size, self._settings)
            persons.append(replace(person, also=tuple(numbers[1:])))
        persons.sort(key=lambda person: person.number)
        return People(tuple(persons), *size, tuple(cuts))

    def look_again(self, hint: Hint) -> bool:
        """Detect a missed face near the time and place at which the user has marked it.

        Returns:
            Whether a face was found there.
        """
        tracker = FaceTracker(self._backend, self._settings, self._scale, self._recogniser, [hint])
        begin, end = hint.time - HINT_S, hint.time + HINT_S
        frames = thinned(self._open(max(self._begin, Fraction(begin))), self._settings.max_rate_hz)
        for frame in frames:
            if frame.time > end:
                break
            tracker.step(frame)
        found = [track for track in tracker.end() if track.hinted]
        self._size = max(self._size, tracker.source_size)
        self._pointed += found
        return bool(found)

    def close(self) -> None:
        """Close all readers."""
        for run in list(self._runs):
            self._end(run)

    def _start_of(self, chunk: int) -> Fraction:
        return self._begin + chunk * self._chunk

    def _run_at(self, chunk: int) -> _Run:
        """Find the run whose next chunk is this one, or start a new run."""
        for run in self._runs:
            if run.next == chunk:
                self._runs.remove(run)
                self._runs.append(run)
                return run
        for old in self._runs[: max(0, len(self._runs) - _RUNS + 1)]:
            self._end(old)
        tracker = FaceTracker(self._backend, self._settings, self._scale, self._recogniser)
        frames = thinned(self._open(self._start_of(chunk)), self._settings.max_rate_hz)
        self._runs.append(_Run(tracker, frames, chunk))
        return self._runs[-1]

    def _frames_until(self, run: _Run, end: Fraction) -> Iterator[Frame]:
        if run.pending is not None and run.pending.time < end:
            frame, run.pending = run.pending, None
            yield frame
        while run.pending is None:
            following = next(run.frames, None)
            if following is None:
                return
            if following.time >= end:
                run.pending = following
                return
            yield following

    def _end(self, run: _Run) -> None:
        """End a run, and keep its tracks up to the last complete chunk."""
        close = getattr(run.frames, "close", None)
        if close is not None:
            close()
        self._runs.remove(run)
        if run.inside:
            run.tracker.forget_waiting()  # of a chunk that will be read again
        tracks = run.tracker.end()
        if run.inside:  # another run will read this chunk from its beginning
            start = self._start_of(run.next)
            tracks = [track for track in tracks if track.first_seen < start]
            for track in tracks:
                track.forget_from(start)
        self._ended += tracks
        self._cuts |= set(run.tracker.cuts)

    def _numbered(self, tracks: Sequence[Track]) -> list[list[int]]:
        """The numbers of each track: the lowest first, then those of tracks joined since then."""
        taken: set[int] = set()
        out: list[list[int]] = [[] for _ in tracks]
        longest_first = sorted(range(len(tracks)), key=lambda i: -_seconds(tracks[i]))
        for index in longest_first:
            known = {self._numbers[key] for key in tracks[index].keys if key in self._numbers}
            out[index] = sorted(known - taken)
            taken |= known
        for index, track in enumerate(tracks):
            if not out[index]:
                self._count += 1
                out[index] = [self._count]
            for key in track.keys:
                self._numbers.setdefault(key, out[index][0])
        return out


def _is_same_face(one: Track, other: Track) -> bool:
    """Whether two tracks are of one face: their boxes overlap where both are visible."""
    first, second = (Sightings.joined(track.sightings) for track in (one, other))
    _, i, j = np.intersect1d(first.times, second.times, return_indices=True)
    overlaps = [
        Box(*first.boxes[a].tolist()).overlap(Box(*second.boxes[b].tolist()))
        for a, b in zip(i, j, strict=True)
    ]
    return bool(overlaps) and float(np.median(overlaps)) > _SAME


def _seconds(track: Track) -> float:
    return Sightings.joined(track.sightings).seconds(1.0)
