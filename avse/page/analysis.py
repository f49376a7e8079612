"""Background analysis for a page: faces, then voices, starting at the playhead.

One thread detects faces, another separates voices; both start with the chunk at the playhead, then
process the chunks after it, then the rest. Separation also needs the lips of the next seconds, so
the chunk at the playhead is separated twice: at once as a draft, and again when these lips are
available.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from avse.dsp.stft import VIDEO_RATE
from avse.errors import AvseError, OutputError
from avse.faces.detect import open_backend
from avse.faces.face_settings import Hint
from avse.faces.lips import POINTS, LipSequence
from avse.faces.people import People
from avse.faces.recognition import open_recogniser
from avse.faces.survey import FaceSurvey
from avse.inference.engine import Engine, Run
from avse.inference.enrolment import Enrolment
from avse.inference.sound import ArraySound
from avse.media import Frame, read_frames
from avse.models.device import pick_device
from avse.page.recording import (
    FRAMES,
    Collector,
    LaterSound,
    PacedSound,
    Recording,
    first_seconds,
)
from avse.page.store import CHUNK_S, StemStore
from avse.separation.separator import mixture_blend
from avse.settings import Settings
from avse.sync.measuring import conclude, gather
from avse.sync.result import IN_STEP_MS, Sync, in_step
from avse.sync.verifying import verify

_SYNC_CHUNKS = 3
"""The A/V offset is measured when face detection is done in this number of consecutive chunks, and
again each time the number has doubled."""
_POLL_S = 0.5
_WANTED_SOON = 15
"""Number of chunks after the playhead whose voices are computed again if they were dropped."""
_AGAIN_S = 10.0
_NO_ROOM = "free some space; the work then continues by itself"
_HINT = -1
"""In place of the number of a chunk: detect a missed face next."""


@dataclass
class Pass:
    """Progress of face detection or separation.

    Attributes:
        done: chunk -> version of its results, from 1.
        seconds: moving average of the computing time per chunk, in seconds; None before the first.
        at: the chunk that is being processed, if any.
    """

    done: dict[int, int] = field(default_factory=dict)
    seconds: float | None = None
    at: int | None = None

    def finished(self, chunk: int, seconds: float | None) -> int:
        """Mark a chunk as done and return its version."""
        self.done[chunk] = self.done.get(chunk, 0) + 1
        if seconds is not None:
            before = seconds if self.seconds is None else self.seconds
            self.seconds = 0.7 * before + 0.3 * seconds
        return self.done[chunk]

    def renew(self, chunks: Collection[int] | None = None) -> None:
        """Increase the version of some or all chunks, because their data changed."""
        for chunk in list(self.done):
            if chunks is None or chunk in chunks:
                self.done[chunk] += 1


class _AbandonedError(Exception):
    """A run is abandoned, because other work is more urgent, or because its lips have changed."""


class Analysis:
    """Finds people and separates voices in the background.

    Args:
        recording: the recording to analyse.
        settings: see `Settings`.
        folder: folder for stems; `wait` removes it.
        tell: called from the threads with an event and its data.
        correct: returns people with the user's corrections.
        keep: called with all people, uncorrected, when face detection has finished.
        known: all people, if an earlier run finished face detection.
    """

    def __init__(
        self,
        recording: Recording,
        settings: Settings,
        folder: Path,
        *,
        tell: Callable[[str, dict[str, Any]], None],
        correct: Callable[[People], People],
        keep: Callable[[People], None] = lambda people: None,
        known: People | None = None,
    ) -> None:
        self.recording, self.settings = recording, settings
        self._tell, self._correct, self._keep = tell, correct, keep
        self.store = StemStore(folder)
        self.faces, self.voices = Pass(), Pass()
        self._changed = threading.Condition()
        self._closed = False
        self._playhead = 0
        self._found = People((), 0, 0) if known is None else _without_stills(known)
        self._people = self._found
        self._known = known is not None
        if known is not None:
            self.faces.done = dict.fromkeys(range(recording.chunks), 1)
        self._hints: list[tuple[float, tuple[float, float, float, float]]] = []
        self._epoch = 0
        self._final: dict[int, int] = {}
        self._drafts: dict[int, int] = {}
        self._enrolment: Enrolment | None = None
        self._enrolled: int | None = None
        self._measured: Sync | None = None
        self._measured_chunks = 0
        self.set_sync: Sync | None = None
        self._engine: Engine | None = None
        self._loading = threading.Lock()
        self._ready = self._drafting = False
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), daemon=True)
            for work in (self._look_for_faces, self._separate)
        ]

    # Interface for the session.

    def start(self) -> None:
        """Start the threads."""
        self._people = self._correct(self._found)
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Request the end of all work."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def wait(self, wait_s: float = 0.3) -> None:
        """Wait for the end of all work, at most `wait_s` seconds, and remove the stems."""
        for thread in self._threads:
            if thread.is_alive():
                thread.join(wait_s / len(self._threads))
        self.store.close()

    def move(self, time_s: float) -> None:
        """Set the playhead, in seconds of playing time; chunks there are processed first."""
        chunk = min(max(0, int(time_s // CHUNK_S)), self.recording.chunks - 1)
        with self._changed:
            if chunk != self._playhead:
                self._playhead = chunk
                self.store.keep_near(chunk)
                self._changed.notify_all()

    @property
    def playhead(self) -> int:
        """The chunk at the playhead."""
        return self._playhead

    @property
    def people(self) -> People:
        """All people found so far, with the user's corrections."""
        with self._changed:
            return self._people

    @property
    def found(self) -> People:
        """All people found so far, without corrections."""
        with self._changed:
            return self._found

    @property
    def sync(self) -> Sync | None:
        """The A/V offset in use: set by hand, or measured; None before it is measured."""
        return self.set_sync if self.set_sync is not None else self._measured

    @property
    def measured(self) -> Sync | None:
        """The A/V offset as measured so far."""
        return self._measured

    def corrected(self, *, lips_changed: bool) -> None:
        """Apply changed corrections of the user.

        Args:
            lips_changed: whether voices have to be computed anew.
        """
        with self._changed:
            before, self._people = self._people, self._correct(self._found)
            if _owners(before) != _owners(self._people):
                self.faces.renew()
                self.voices.renew()
            if lips_changed:
                self._epoch += 1
            self._changed.notify_all()

    def add_face(self, time_s: float, box: tuple[float, float, float, float]) -> None:
        """Detect a missed face.

        Args:
            time_s: playing time of a picture in which the face is visible.
            box: left, top, width and height as fractions of the picture.
        """
        with self._changed:
            self._hints.append((time_s, box))
            self._changed.notify_all()

    def engine(self) -> Engine:
        """The engine; its networks are loaded on the first call.

        Raises:
            MissingError: the weights are missing.
        """
        with self._loading:  # another lock than `_changed`, so that the page need not wait
            if self._engine is None:
                self._engine = Engine.load(self.settings)
            return self._engine

    def wait_for_faces(self, stop: Callable[[], bool], tell: Callable[[float], None]) -> bool:
        """Wait until face detection has finished.

        Args:
            stop: called repeatedly; True ends the waiting.
            tell: called with the share that is done, 0..1.

        Returns:
            Whether it has finished.
        """
        while True:
            with self._changed:
                done = len(self.faces.done) / self.recording.chunks
                if done >= 1 or self._closed or stop():
                    return done >= 1
                self._changed.wait(_POLL_S)
            tell(done)

    def final(self, chunk: int) -> bool:
        """Whether the voices of a chunk are final.

        Chunks that were dropped to limit disk use count as final, unless they are needed soon.
        """
        if self._final.get(chunk) != self._epoch:
            return False
        return chunk in self.store or not -2 <= chunk - self._playhead <= _WANTED_SOON

    def made_for(self, chunk: int) -> int | None:
        """Version of the lips from which the final voices of a chunk were computed.

        A correction that requires new voices increases it. It is None without final voices.
        """
        epoch = self._final.get(chunk)
        return epoch if epoch == self._epoch and chunk in self.store else None

    def draft_is_due(self) -> bool:
        """Whether the voices at the playhead have no draft yet, for which playback waits."""
        with self._changed:
            return self._drafting or not self._ready or self._draft_is_due()

    # Threads.

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except AvseError as error:
            self._tell("problem", {"error": error.message, "hint": error.hint})
        except Exception as error:
            if not self._closed:
                self._tell(
                    "problem",
                    {
                        "error": f"an internal error stopped the work: {error!r}",
                        "hint": "run `avse open` again with -vv and report what it prints",
                    },
                )
                raise

    def _order(self) -> list[int]:
        """List the chunks from the playhead on, then those before it."""
        count = self.recording.chunks
        return [*range(self._playhead, count), *range(self._playhead)]

    def _look_for_faces(self) -> None:
        recording, settings = self.recording, self.settings
        longer = max(recording.video.width, recording.video.height)
        survey = FaceSurvey(
            self._open_frames,
            open_backend(settings.faces, device=pick_device(settings.device)),
            begin=recording.info.start - recording.origin,
            chunk_s=Fraction(CHUNK_S),
            scale=max(1.0, longer / settings.face_side),
            recogniser=open_recogniser(),
        )
        with contextlib.closing(survey):
            while (chunk := self._next_faces()) is not None:
                if chunk == _HINT:
                    self._look_again(survey, *self._hints.pop(0))
                    continue
                began = time.monotonic()
                self.faces.at = chunk
                if not survey.look(chunk, lambda: self._more_urgent(chunk)):
                    continue
                self._take(survey, chunk, time.monotonic() - began)

    def _take(self, survey: FaceSurvey, chunk: int, seconds: float | None) -> None:
        """Copy the results of a survey after a chunk, and send events."""
        everybody = survey.people()
        found = _without_stills(everybody)
        with self._changed:
            before = _owners(self._people)
            if chunk in survey.done:  # not after the detection of a single missed face
                self.faces.finished(chunk, seconds)
            self._found, self._people = found, self._correct(found)
            self.faces.at = None
            now = _owners(self._people)
            new = now != before
            if any(now.get(number) != owner for number, owner in before.items()):
                self.faces.renew()
                self.voices.renew()
            else:  # a person detected only now may also be visible in earlier chunks
                self.faces.renew(self._chunks_of(set(now.values()) - set(before.values())))
            version = self.faces.done.get(chunk)
            self._changed.notify_all()
        if version is not None:
            self._tell("faces", {"chunk": chunk, "version": version})
        self._tell("state" if new else "progress", {})
        if len(self.faces.done) == self.recording.chunks:
            self._keep(everybody)

    def _chunks_of(self, numbers: set[int]) -> set[int]:
        """The chunks in which any of these people is visible."""
        chunks: set[int] = set()
        for person in self._people:
            if person.number in numbers:
                times = np.asarray(person.times) + self.recording.sound_start_s
                chunks.update(np.unique(times // CHUNK_S).astype(int).tolist())
        return chunks

    def _look_again(
        self, survey: FaceSurvey, time_s: float, box: tuple[float, float, float, float]
    ) -> None:
        """Detect a missed face around a playing time."""
        late = self.recording.sound_start_s
        if self._known:  # this survey does not have the people from the cache
            with self._changed:
                self._known = False
                self.faces.done.clear()
        if survey.look_again(Hint(time_s - late, box)):
            chunk = min(int(time_s // CHUNK_S), self.recording.chunks - 1)
            with self._changed:
                self._epoch += 1
            self._take(survey, chunk, None)
        else:
            self._tell(
                "problem",
                {
                    "error": "no landmarks were found in that box",
                    "hint": "draw it around the whole face, at a moment when the face is turned "
                    "to the camera",
                },
            )

    def _open_frames(self, start: Fraction) -> Iterator[Frame]:
        origin = self.recording.origin
        frames = read_frames(
            self.recording.path,
            picture=self.settings.picture,
            max_side=self.settings.face_side,
            start=start + origin,
            rough=True,
        )
        with contextlib.closing(frames):  # type: ignore[type-var]
            for frame in frames:
                yield Frame(frame.time - origin, frame.picture)

    def _draft_is_due(self) -> bool:
        """Whether a draft of the chunk at the playhead is missing and can be computed now."""
        return self._ready and (self._pick() or ("", 0))[0] == "draft"

    def _next_faces(self) -> int | None:
        """Wait for the next chunk for face detection; `_HINT`: a missed face; None: the end."""
        with self._changed:
            while not self._closed:
                if self._hints:
                    return _HINT
                if self._drafting or self._draft_is_due():
                    self._changed.wait(_POLL_S)  # the first sound needs all processors
                    continue
                for chunk in self._order():
                    if chunk not in self.faces.done:
                        return chunk
                self._changed.wait(_POLL_S)
        return None

    def _more_urgent(self, chunk: int) -> bool:
        """Whether another chunk has become more urgent."""
        ahead = range(self._playhead, self._playhead + 3)
        return self._closed or (chunk not in ahead and self._playhead not in self.faces.done)

    def _separate(self) -> None:
        self._warm_up()
        self._ready = True
        while (job := self._next_voices()) is not None:
            what, chunk = job
            try:
                if what == "sync":
                    self._measure(chunk)
                elif what == "enrol":
                    self._enrol()
                else:
                    self._separate_from(chunk, draft=what == "draft")
            except _AbandonedError:
                pass
            except OutputError as error:  # the disk is full; it may have space again later
                self._tell("problem", {"error": error.message, "hint": _NO_ROOM})
                self._rest(_AGAIN_S)
            self.voices.at = None
            with self._changed:
                self._drafting = False
                self._changed.notify_all()
            self._tell("progress", {})

    def _rest(self, seconds: float) -> None:
        """Wait for a number of seconds, or until `stop`."""
        end = time.monotonic() + seconds
        with self._changed:
            while not self._closed and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def _warm_up(self) -> None:
        """Load the networks and run them once; a first run takes several times as long."""
        sound = ArraySound(np.zeros((1, 16_000 * CHUNK_S), np.float32), 16_000)
        nobody = LipSequence(
            0, np.zeros((FRAMES, POINTS, 3), np.float32), np.ones((FRAMES, POINTS), np.float32)
        )
        for _ in self.engine().run([nobody, nobody], sound, offscreen=True).masks():
            pass

    def _next_voices(self) -> tuple[str, int] | None:
        """Wait for the next work, ("draft", "sync", "run" or "enrol", chunk); None at the end."""
        with self._changed:
            while not self._closed:
                job = self._pick()
                if job is not None:
                    self._drafting = job[0] == "draft"
                    return job
                self._changed.wait(_POLL_S)
        return None

    def _pick(self) -> tuple[str, int] | None:
        here = self._playhead
        begun = self._drafts.get(here) == self._epoch or self.final(here)
        if here in self.faces.done and not begun and not self._lips_until(here + 2):
            return "draft", here
        if begun and (first := self._stretch_to_measure()) is not None:
            return "sync", first
        for chunk in self._order():
            if not self.final(chunk) and chunk in self.faces.done:
                # Without the lips of the next chunk, a second run would equal the draft.
                return ("run", chunk) if self._lips_until(chunk + 1) else None
        everything = len(self.faces.done) == self.recording.chunks
        return ("enrol", here) if everything and self._enrolled != self._epoch else None

    def _lips_until(self, chunk: int) -> bool:
        return min(chunk, self.recording.chunks - 1) in self.faces.done

    def _stretch_to_measure(self) -> int | None:
        """The first of the consecutive chunks from which to measure the A/V offset now.

        It is None if the offset is certain, or if there are less than twice as many chunks as at
        the last measurement.
        """
        if not self.settings.sync or (self._measured is not None and self._measured.confident):
            return None
        first = last = self._playhead
        while first - 1 in self.faces.done:
            first -= 1
        while last + 1 in self.faces.done:
            last += 1
        length = last + 1 - first
        everything = length == self.recording.chunks > self._measured_chunks
        wanted = max(_SYNC_CHUNKS, 2 * self._measured_chunks)
        return first if self._people.persons and (length >= wanted or everything) else None

    def _measure(self, first: int) -> None:
        """Measure the A/V offset in consecutive chunks, of which `first` is the first."""
        recording, last = self.recording, first
        with self._changed:
            while last + 1 in self.faces.done:
                last += 1
            people = self._people
        begin = max(0, recording.first_frame(first))
        stop = max(0, recording.first_frame(last + 1))
        lips = {
            person.number: replace(person.lips.window(begin, stop - begin), first=0)
            for person in people
        }
        if not lips:
            return
        heard = recording.sound
        blocks = first_seconds(heard.downmix(begin), (stop - begin) / VIDEO_RATE)
        sound = (block[0] for block in blocks)
        network = self.engine().network
        found = conclude(gather(network, lips, sound, lambda _: self._check_open()))
        later = LaterSound(heard, begin)
        sync = verify(network, list(lips.values()), later, found)
        with self._changed:
            before = _moved_by(self._measured)
            self._measured, self._measured_chunks = sync, last + 1 - first
            if abs(_moved_by(sync) - before) > IN_STEP_MS and self.set_sync is None:
                self._epoch += 1
            self._changed.notify_all()
        self._tell("state", {})

    def _enrol(self) -> None:
        """Compute voiceprints where people talk alone; with any, all voices are separated again."""
        with self._changed:
            people, epoch = self._people, self._epoch

        def check(_frames: int) -> None:
            if self._closed or epoch != self._epoch:
                raise _AbandonedError

        lips = in_step([person.lips for person in people], self.sync)
        enrolment = self.engine().enrol(lips, self.recording.scene(people).sound, progress=check)
        with self._changed:
            if epoch == self._epoch:
                self._epoch += enrolment is not None
                self._enrolment, self._enrolled = enrolment, self._epoch
                self._changed.notify_all()

    def _check_open(self) -> None:
        if self._closed:
            raise _AbandonedError

    def _separate_from(self, first: int, *, draft: bool) -> None:
        """Separate consecutive chunks until other work is more urgent; a draft is one chunk."""
        recording = self.recording
        with self._changed:
            people, epoch = self._people, self._epoch
            enrolment = self._enrolment if self._enrolled == epoch else None
        lips = in_step([person.lips for person in people], self.sync)
        begin = max(0, recording.first_frame(first))
        scene = recording.scene(people)
        collector = Collector(recording, first, tuple(p.number for p in people), scene.sound)
        sound = PacedSound(scene.sound)
        run = self.engine().run(
            lips,
            sound,
            begin=begin,
            offscreen=True,
            blend=mixture_blend(scene),
            enrolment=enrolment,
            exact=not draft,
            watch=collector.watch,
        )
        if draft:
            sound.frames_left = FRAMES
        else:
            sound.check = lambda frame: self._keep_up(frame, people, epoch, collector, run)
        rows = [*range(len(people)), len(people)]
        self.voices.at, began = first, time.monotonic()
        for block in run.blocks(rows):
            for chunk in collector.push(block):
                self._store(chunk, collector, epoch, draft, time.monotonic() - began)
                began = time.monotonic()
                if draft or (self.final(chunk + 1) and epoch == self._epoch):
                    return
                self.voices.at = chunk + 1
            self._check_open()
        for chunk in collector.finish(1 if draft else recording.chunks - collector.chunk):
            self._store(chunk, collector, epoch, draft, None)

    def _keep_up(
        self, frame: int, people: People, epoch: int, collector: Collector, run: Run
    ) -> None:
        """Wait for the lips up to a video frame, and pass them to the run.

        Raises:
            _AbandonedError: the run is out of date.
        """
        numbers = [person.number for person in people]
        needed, last = self.recording.chunk_at(frame), self.recording.chunks - 1
        with self._changed:
            while True:
                here = self._playhead
                begun = self.final(here) or self._drafts.get(here) == self._epoch
                near = collector.chunk <= here <= collector.chunk + 1
                if self._closed or epoch != self._epoch or not (begun or near):
                    raise _AbandonedError
                if [person.number for person in self._people] != numbers:
                    raise _AbandonedError
                if min(needed, last) in self.faces.done:
                    break
                self._changed.wait(_POLL_S)
            now = self._people
        if now is not collector.lips_of:
            collector.lips_of = now
            run.estimator.set_lips(in_step([person.lips for person in now], self.sync))

    def _store(
        self, chunk: int, collector: Collector, epoch: int, draft: bool, seconds: float | None
    ) -> None:
        """Store a chunk and send an event."""
        with self._changed:
            if self._closed:
                raise _AbandonedError
            self.store.put(chunk, collector.take(chunk), self._playhead)
            (self._drafts if draft else self._final)[chunk] = epoch
            version = self.voices.finished(chunk, None if draft else seconds)
            self._changed.notify_all()
        self._tell("voices", {"chunk": chunk, "version": version})
        self._tell("progress", {})


def _without_stills(people: People) -> People:
    """Remove the lips of faces in still pictures, so that these get no voice."""
    persons = (one.silenced() if one.still else one for one in people)
    return replace(people, persons=tuple(persons))


def _moved_by(sync: Sync | None) -> float:
    """The shift of the lips in milliseconds."""
    return 0.0 if sync is None or not sync.out_of_step else sync.whole.offset_ms or 0.0


def _owners(people: People) -> dict[int, int]:
    """Every current or former number of a person -> the number that is shown."""
    return {number: person.number for person in people for number in person.numbers}
