"""A recording that is open in a page: people, corrections, chunks and events."""

from __future__ import annotations

import dataclasses
import io
import itertools
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

import avse
from avse.errors import AvseError, InputError, NoAudioError, UsageError
from avse.faces.people import People, Person
from avse.media import AudioReader
from avse.media.atomic_files import writing
from avse.page.analysis import Analysis, Pass
from avse.page.export import SOUND, TEXT, VIDEO, Exports
from avse.page.protocol import Event
from avse.page.proxy import PROXY_TYPE, media_type
from avse.page.recording import Recording
from avse.page.scratch import Scratch
from avse.page.store import CHUNK_S, Lane, make_lane
from avse.page.words import Recogniser, Words
from avse.scene.cache import know_content, open_cache, open_file_cache
from avse.scene.corrections import (
    AddedFace,
    Corrections,
    Named,
    anchor_of,
    apply_corrections,
    change_corrections,
    read_corrections,
)
from avse.scene.naming import Stem
from avse.scene.scene import Scene, examine, keep_people, known_people
from avse.settings import Settings
from avse.sync.result import Sync, set_by_hand
from avse.types import FloatArray
from avse.utils.fingerprint import sha256

OFFSCREEN, REST, ORIGINAL = "offscreen", "rest", "original"

_FARTHEST_MS = 1000.0
_KEPT_CHUNKS = 6
"""Number of decoded chunks of the original that are cached."""

_AT_ONCE_FRAMES = 25
"""Two faces are visible at the same time if they have more video frames than this in common."""

_SPEAKS = 0.5
_HEARD = 0.01
"""Peak above which a stem counts as audible, when uncertain stretches are marked."""


@dataclass(frozen=True)
class StemSound:
    """A chunk of a stem.

    Attributes:
        start: index of its first sample from playing time 0 on.
        rate: samples per second.
        samples: (channels, n) float32.
    """

    start: int
    rate: int
    samples: FloatArray


def open_recording(
    path: Path, settings: Settings, recogniser: Recogniser | None = None
) -> RecordingSession:
    """Open a recording and begin its analysis.

    Args:
        path: a video with sound.
        settings: see `Settings`; `start` and `end` are not used.
        recogniser: the speech recogniser; None for no words.

    Raises:
        AvseError: see `avse.scene.scene.examine`.
    """
    settings = dataclasses.replace(settings, start=None, end=None)
    found = examine(path, settings)
    info, audio = found.info, found.audio
    if audio is None:
        raise NoAudioError(f"{path.name}: there is no sound track", "open a video with sound")
    if info.duration is None:
        raise InputError(
            f"{path.name}: the file does not state its duration", "remux it first: `avse doctor`"
        )
    recording = Recording(
        path, info, found.video, audio, audio.start, float(info.duration), found.notes
    )
    return RecordingSession(recording, settings, recogniser)


class RecordingSession:
    """An open recording; see `avse.page.protocol.Session`.

    Args:
        recording: the recording.
        settings: see `Settings`.
        recogniser: the speech recogniser; None for no words.
    """

    def __init__(
        self, recording: Recording, settings: Settings, recogniser: Recogniser | None = None
    ) -> None:
        self.recording, self.settings = recording, settings
        self._lock = threading.RLock()
        self._queues: set[queue.SimpleQueue[Event | None]] = set()
        self._closed = False
        self._revision = 0
        mark = know_content(recording.path, open_cache())
        self._sha = sha256(recording.path) if mark is None else mark.sha256
        self._corrections = read_corrections(self._sha)
        self._before: list[tuple[Corrections, bool]] = []  # and whether it required new voices
        self._notes: tuple[str, ...] = ()
        self._originals: OrderedDict[int, FloatArray] = OrderedDict()
        known = known_people(
            recording.info, recording.video, recording.origin, settings, self._corrections
        )
        self._folder = Scratch()
        stems = self._folder.path / "stems"
        with writing(stems):
            stems.mkdir()
        self.analysis = Analysis(
            recording,
            settings,
            stems,
            tell=self._tell,
            correct=self._correct,
            keep=self._keep,
            known=known,
        )
        self.analysis.set_sync = self._set_sync()
        self.exports = Exports(self, self._folder.path / "exports")
        sounds = self._folder.path / "words"
        sounds.mkdir()
        self.heard = (
            None if recogniser is None else Words(self.analysis, recogniser, sounds, self._tell)
        )
        if not self.analysis.faces.done:
            for face in self._corrections.added:
                self.analysis.add_face(face.time, face.box)
        self.analysis.start()
        if self.heard is not None:
            self.heard.start()

    @property
    def path(self) -> Path:
        """Path of the recording."""
        return self.recording.path

    def close(self) -> None:
        """Stop all work, and remove all results except corrections."""
        with self._lock:
            self._closed = True
            for events in self._queues:
                events.put(None)
            self._queues.clear()
        if self.heard is not None:
            self.heard.close()
        self.exports.stop()
        self.analysis.stop()
        self.exports.wait()
        self.analysis.wait()
        self._folder.close()

    # Events.

    def subscribe(self) -> queue.SimpleQueue[Event | None]:
        """Make a queue that gets the events from now on; None is its last item."""
        events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        with self._lock:
            if self._closed:
                events.put(None)
            else:
                self._queues.add(events)
        return events

    def unsubscribe(self, events: queue.SimpleQueue[Event | None]) -> None:
        """Send no more events to a queue."""
        with self._lock:
            self._queues.discard(events)

    def whole_scene(self) -> Scene:
        """The recording and its people, once face detection has finished."""
        return dataclasses.replace(
            self.recording.scene(self.analysis.people),
            offset_ms=self._corrections.offset_ms,
            kept=open_file_cache(self.path) if self.settings.cache else None,
        )

    def _tell(self, name: str, data: dict[str, Any]) -> None:
        with self._lock:  # states have to be sent in the order of their revisions
            if name == "state":
                self._revision += 1
                data = self.state()
            elif name == "progress":
                data = self._progress()
            for events in self._queues:
                events.put((name, data))

    def tell_export(self, data: dict[str, Any]) -> None:
        """Send an event about an export."""
        self._tell("export", data)

    # Results.

    def state(self) -> dict[str, Any]:
        """See the contract in `docs/page.md`."""
        recording, analysis, heard = self.recording, self.analysis, self.heard
        people = list(analysis.people)
        measured = analysis.measured
        offset = None if measured is None else measured.whole.offset_ms
        return {
            "version": avse.__version__,
            "revision": self._revision,
            "file": {
                "name": recording.path.name,
                "duration": recording.duration_s,
                "width": recording.video.width,
                "height": recording.video.height,
                "fps": float(recording.video.average_rate or 25),
                "rate": recording.audio.sample_rate,
                "channels": recording.audio.channels,
                "media_type": media_type(recording.info),
                "proxy_type": PROXY_TYPE,
                "chunks": recording.chunks,
                "notes": [*recording.notes, *self._notes],
            },
            "chunk_s": float(CHUNK_S),
            "people": [self._person(person) for person in people],
            "stems": [*(str(person.number) for person in people), OFFSCREEN, REST],
            "faces_ready": {str(k): v for k, v in dict(analysis.faces.done).items()},
            "voices_ready": {str(k): v for k, v in dict(analysis.voices.done).items()},
            "offset": {
                "measured_ms": None if offset is None else round(float(offset), 1),
                "sure": measured is not None and (measured.confident or measured.verified),
                "set_ms": self._corrections.offset_ms,
            },
            "can_undo": bool(self._before),
            "progress": self._progress(),
            "exports": self.exports.all(),
            "formats": {"sound": list(SOUND), "video": list(VIDEO), "text": list(TEXT)},
            "transcriber": None if heard is None or heard.failed else heard.name,
        }

    def _person(self, person: Person) -> dict[str, Any]:
        spoken = [
            values
            for chunk in list(self.analysis.store.speaking.values())
            for number, values in chunk.items()
            if number in person.numbers
        ]
        probability = np.concatenate(spoken) if spoken else np.zeros(0, np.float32)
        speaks = probability[np.nan_to_num(probability) >= _SPEAKS]
        return {
            "id": person.number,
            "number": person.number,
            "name": person.name,
            "seen_s": round(person.seconds_on_screen, 1),
            "speaking_s": round(len(speaks) / 25, 1),
            "confidence": round(float(speaks.mean()), 2) if len(speaks) else None,
            "still": person.still,
            "merged": list(person.also),
        }

    def _progress(self) -> dict[str, Any]:
        analysis, total = self.analysis, self.recording.duration_s
        voices = sum(analysis.final(chunk) for chunk in range(self.recording.chunks))

        def of(one: Pass, done: int) -> dict[str, Any]:
            left = self.recording.chunks - done
            seconds = None if one.seconds is None else round(one.seconds * left, 1)
            return {
                "done_s": round(min(total, done * CHUNK_S), 1),
                "total_s": round(total, 1),
                "left_s": seconds if left else 0.0,
                "here": one.at == analysis.playhead,
            }

        def at(chunk: int) -> str:
            return f"{chunk * CHUNK_S // 60}:{chunk * CHUNK_S % 60:02d}"

        doing = []
        if (face := analysis.faces.at) is not None:
            doing.append(f"looking for faces at {at(face)}")
        if (voice := analysis.voices.at) is not None:
            doing.append(f"separating voices at {at(voice)}")
        return {
            "faces": of(analysis.faces, len(analysis.faces.done)),
            "voices": of(analysis.voices, voices),
            "doing": ", ".join(doing),
        }

    def set_playhead(self, time_s: float, *, playing: bool, wanted: Sequence[int]) -> None:
        """Set the playhead, in seconds of playing time."""
        self.analysis.move(time_s)

    def faces(self, chunk: int) -> dict[str, Any] | None:
        """Face boxes of a chunk; None if face detection has not reached it."""
        if chunk not in self.analysis.faces.done:
            return None
        late = self.recording.sound_start_s
        begin, stop = self._bounds(chunk)
        people, tracks = self.analysis.people, []
        for person in people:
            times = person.times + late
            low, high = np.searchsorted(times, [begin - 0.1, stop + 0.1])
            rows = range(int(low), int(high))
            if rows:
                tracks.append(
                    {
                        "person": person.number,
                        "times": [round(float(times[i]), 3) for i in rows],
                        "boxes": [[round(float(v), 4) for v in person.boxes[i]] for i in rows],
                    }
                )
        cuts = [float(cut) + late for cut in people.cuts]
        return {
            "start": begin,
            "stop": stop,
            "tracks": tracks,
            "cuts": [round(cut, 3) for cut in cuts if begin <= cut < stop],
        }

    def voices(self, chunk: int) -> dict[str, Any] | None:
        """Timeline data of a chunk; None if its voices are not separated yet."""
        store = self.analysis.store
        lanes, speaking = store.lanes.get(chunk), store.speaking.get(chunk)
        if lanes is None or speaking is None:
            return None
        begin, stop = self._bounds(chunk)
        frames = max(1, round((stop - begin) * 25))
        out = {}
        for person in self.analysis.people:
            theirs = [lanes[n] for n in person.numbers if n in lanes]
            told = [speaking[n] for n in person.numbers if n in speaking]
            out[str(person.number)] = _lane_json(theirs, told, begin, frames)
        out[OFFSCREEN] = _lane_json([lanes[Stem.NARRATOR]], [], begin, frames)
        for stem in (REST, ORIGINAL):
            sound = self.sound(chunk, stem)
            made = [] if sound is None else [make_lane(sound.samples)]
            out[stem] = _lane_json(made, [], begin, frames)
        rate = self.recording.audio.sample_rate
        return {
            "start": begin,
            "stop": stop,
            "rate": rate,
            "channels": self.recording.audio.channels,
            "samples": self._samples(chunk),
            "stems": out,
        }

    def _bounds(self, chunk: int) -> tuple[float, float]:
        begin = float(chunk * CHUNK_S)
        return begin, min(begin + CHUNK_S, self.recording.duration_s)

    def _samples(self, chunk: int) -> int:
        recording = self.recording
        return recording.first_sample(chunk + 1) - recording.first_sample(chunk)

    def sound(self, chunk: int, stem: str) -> StemSound | None:
        """A chunk of a stem; None if it is not computed yet or does not exist."""
        if not 0 <= chunk < self.recording.chunks:
            return None
        rate = self.recording.audio.sample_rate
        start = chunk * CHUNK_S * rate
        if stem == ORIGINAL:
            return StemSound(start, rate, self._original(chunk))
        stems = self.analysis.store.stems(chunk)
        if stems is None:
            return None
        silence = np.zeros((self.recording.audio.channels, self._samples(chunk)), np.float32)
        if stem == REST:
            shown = {n for person in self.analysis.people for n in person.numbers} | {Stem.NARRATOR}
            taken = sum((stems[n] for n in stems if n in shown), silence)
            return StemSound(start, rate, self._original(chunk) - taken)
        if stem == OFFSCREEN:
            return StemSound(start, rate, stems.get(Stem.NARRATOR, silence))
        person = self.analysis.people.numbered(int(stem))
        if person is None:
            return None
        theirs = sum((stems[n] for n in person.numbers if n in stems), silence)
        return StemSound(start, rate, theirs)

    def _original(self, chunk: int) -> FloatArray:
        """Sound of a chunk of the recording, (channels, n); 0 before and after its sound."""
        with self._lock:
            if chunk in self._originals:
                self._originals.move_to_end(chunk)
                return self._originals[chunk]
        recording = self.recording
        first, count = recording.first_sample(chunk), self._samples(chunk)
        out = np.zeros((recording.audio.channels, max(0, count)), np.float32)
        ahead = max(0, -first)
        if count > ahead:
            rate = recording.audio.sample_rate
            with AudioReader(
                recording.path,
                track=recording.sound.track,
                block_s=(count - ahead) / rate,
                start=recording.origin + Fraction(max(0, first), rate),
            ) as reader:
                block = next(reader, None)
            if block is not None:
                samples = block.samples[:, : count - ahead]
                out[:, ahead : ahead + samples.shape[-1]] = samples
        with self._lock:
            self._originals[chunk] = out
            while len(self._originals) > _KEPT_CHUNKS:
                self._originals.popitem(last=False)
        return out

    def thumbnail(self, person: int) -> bytes | None:
        """A JPEG of a face."""
        from PIL import Image

        found = self.analysis.people.numbered(person)
        if found is None:
            return None
        data = io.BytesIO()
        Image.fromarray(found.thumbnail).save(data, "JPEG", quality=88)
        return data.getvalue()

    def words(self) -> dict[str, list[dict[str, Any]]]:
        """Person -> the words that are recognised so far, in playing time."""
        heard = self.heard
        if heard is None:
            return {}
        return {
            str(person.number): [
                {"start": round(cue.start, 2), "stop": round(cue.stop, 2), "text": cue.text}
                for cue in heard.of(person)
            ]
            for person in self.analysis.people
        }

    # Corrections.

    def rename(self, person: int, name: str | None) -> None:
        """Set or remove the name of a person."""
        anchors = self._anchors(person)
        wanted = name.strip() if name else ""

        def change(old: Corrections) -> Corrections:
            names = tuple(one for one in old.names if one.at not in anchors)
            if wanted:
                names = (*names, Named(anchors[0], wanted))
            return dataclasses.replace(old, names=names)

        # An earlier name of this person may have another anchor.
        stale = [one.at for one in self._corrections.names if self._is_at(one.at, person)]
        anchors = [*anchors, *stale]
        self._change(change)

    def merge(self, people: Sequence[int]) -> None:
        """Merge two or more people into one."""
        if len(set(people)) < 2:
            raise UsageError("one person cannot be merged", "choose two people")
        anchors = tuple(self._anchors(person)[0] for person in dict.fromkeys(people))
        at_once = self._in_sight_at_once(people)
        self._change(
            lambda old: dataclasses.replace(old, same=(*old.same, anchors)), lips_changed=at_once
        )
        if at_once:
            self._tell(
                "problem",
                {
                    "error": "both faces are visible at the same time: only the larger one "
                    "counts, and the voice of the other goes to everything else",
                    "hint": "undo it if they are two people",
                },
            )

    def remove(self, person: int) -> None:
        """Remove a person, because the face is not a person."""
        anchors = tuple(self._anchors(person))
        self._change(lambda old: dataclasses.replace(old, removed=(*old.removed, *anchors)))

    def add_face(self, time_s: float, box: tuple[float, float, float, float]) -> None:
        """Add a missed face.

        Args:
            time_s: playing time of a picture in which the face is visible.
            box: left, top, width and height as fractions of the picture.
        """
        face = AddedFace(time_s, box)
        self._change(lambda old: dataclasses.replace(old, added=(*old.added, face)))
        self.analysis.add_face(time_s, box)

    def set_offset(self, ms: float | None) -> None:
        """Set the A/V offset, positive if the sound is late; None for the measured one."""
        if ms is not None and not abs(ms) <= _FARTHEST_MS:
            raise UsageError(
                f"an offset of {ms:g} ms is out of range", f"choose {_FARTHEST_MS:g} ms at most"
            )
        self._change(lambda old: dataclasses.replace(old, offset_ms=ms), lips_changed=True)

    def undo(self) -> None:
        """Undo the last correction."""
        with self._lock:
            if not self._before:
                raise UsageError("there is nothing to undo", "undo works after a new correction")
            (before, moved), here = self._before.pop(), self._corrections

        def back(old: Corrections) -> Corrections:
            if old != here:  # the corrections of the other program would be lost
                raise UsageError(
                    "another program has corrected this recording too",
                    "make the correction again, which keeps the others",
                )
            return before

        try:
            self._change(back, lips_changed=moved, keep=False)
        except AvseError:
            with self._lock:
                self._before.append((before, moved))
            raise

    def _change(
        self,
        change: Callable[[Corrections], Corrections],
        *,
        lips_changed: bool = False,
        keep: bool = True,
    ) -> None:
        before = self._corrections

        def noted(old: Corrections) -> Corrections:
            nonlocal before
            before = old  # with the corrections of other programs
            return change(old)

        with self._lock:
            self._corrections = change_corrections(
                self._sha, noted, recording=self.recording.path.name
            )
            if keep:
                self._before.append((before, lips_changed))
            self.analysis.set_sync = self._set_sync()
        self.analysis.corrected(lips_changed=lips_changed)
        self._tell("state", {})

    def _anchors(self, person: int) -> list[Any]:
        """Points in pictures that identify a person, and each of the people merged into them.

        Raises:
            UsageError: no person has that number.
        """
        found = self.analysis.people.numbered(person)
        if found is None:
            raise UsageError(f"there is no person {person}", "choose from the people on the page")
        raw, late = self.analysis.found, self.recording.sound_start_s
        one_each = [one for one in raw if set(one.numbers) & set(found.numbers)]
        points = [anchor_of(raw, one, late) for one in one_each]
        known = [point for point in points if point is not None]
        if not known:
            raise UsageError(
                f"person {person} cannot be distinguished from the others in any picture",
                "correct somebody else",
            )
        return known

    def _in_sight_at_once(self, people: Sequence[int]) -> bool:
        """Whether two of these people have more than `_AT_ONCE_FRAMES` video frames in common."""
        found = [self.analysis.people.numbered(number) for number in people]
        times = [set(np.round(25 * person.times).astype(int)) for person in found if person]
        pairs = itertools.combinations(times, 2)
        return any(len(one & other) > _AT_ONCE_FRAMES for one, other in pairs)

    def _is_at(self, anchor: Any, person: int) -> bool:
        found = self.analysis.people.at(
            anchor.time - self.recording.sound_start_s, anchor.x, anchor.y
        )
        return found is not None and person in found.numbers

    def _correct(self, people: People) -> People:
        recording, done = self.recording, self.analysis.faces.done

        def holds(time_s: float) -> bool:
            return int(time_s // CHUNK_S) in done

        corrected, self._notes = apply_corrections(
            people, self._corrections, recording.sound_start_s, holds
        )
        return corrected

    def _keep(self, people: People) -> None:
        """Cache the detected people for later runs, and for the other commands."""
        recording = self.recording
        about = recording.info, recording.video, recording.origin
        keep_people(*about, self.settings, self._corrections, people)

    def _set_sync(self) -> Sync | None:
        ms = self._corrections.offset_ms
        return None if ms is None else set_by_hand(ms)

    # Exports.

    def export(self, request: dict[str, Any]) -> dict[str, Any]:
        """Start an export; see `avse.page.export`."""
        return self.exports.begin(request)

    def cancel(self, export: int) -> None:
        """Cancel an export."""
        self.exports.cancel(export)

    def export_file(self, export: int, name: str) -> Path | None:
        """Find a file of a finished export."""
        return self.exports.file(export, name)


def _lane_json(
    lanes: Sequence[Lane], told: Sequence[FloatArray], begin: float, frames: int
) -> dict[str, Any]:
    """Timeline data of a stem, which may be the sum of several, as JSON."""
    peaks = np.max([lane.peaks for lane in lanes], axis=0) if lanes else np.zeros(frames)
    power = sum(10 ** (lane.level_db / 10) for lane in lanes)
    lane: dict[str, Any] = {
        "peaks": [round(float(v), 3) for v in peaks[:frames]],
        "level_db": round(float(10 * np.log10(power + 1e-12)), 1),
        "unsure": [],
    }
    if told:
        seen = np.stack(told)[:, :frames]
        known = ~np.isnan(seen).all(axis=0)
        best = np.where(known, np.nan_to_num(seen, nan=-1.0).max(axis=0), np.nan)
        lane["speaking"] = [None if np.isnan(v) else round(float(v), 2) for v in best]
        count = min(len(peaks), len(best))
        guess = (peaks[:count] > _HEARD) & (
            np.isnan(best[:count]) | ((best[:count] > 0.3) & (best[:count] < 0.6))
        )
        edges = np.flatnonzero(np.diff(np.pad(guess.astype(int), 1)))
        lane["unsure"] = [
            [round(begin + a / 25, 2), round(begin + b / 25, 2)]
            for a, b in edges.reshape(-1, 2)
            if b - a >= 5
        ]
    return lane
