"""Exports of a page, in the background: the files of `avse separate` and `avse who`."""

from __future__ import annotations

import os
import queue
import shutil
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from avse.diarization.formats import as_text
from avse.diarization.who import listen
from avse.errors import AvseError, UsageError
from avse.faces.people import Person
from avse.media import SOUND_SUFFIXES, check_remux, check_stem
from avse.media.atomic_files import writing
from avse.scene.naming import Stem, StemKey
from avse.separation.saving import Mix, Voices, save_stems, title, track_encoding
from avse.separation.separator import Separation
from avse.separation.sidecar import describe, sidecar_paths, write_sidecar
from avse.transcription.subtitles import Cue, as_talk
from avse.utils.clock import clock

if TYPE_CHECKING:
    from avse.page.session import RecordingSession
    from avse.page.words import Words

SOUND = tuple(suffix.removeprefix(".") for suffix in SOUND_SUFFIXES)
VIDEO = ("mp4", "mkv", "mov")
TEXT = ("srt", "vtt", "rttm", "otio", "edl")

_FORMATS = {
    "voice": (*SOUND, *VIDEO),
    "each": SOUND,
    "mix": SOUND,
    "video": VIDEO,
    "tracks": VIDEO,
    "subtitles": ("srt", "vtt", "rttm"),
    "timeline": ("rttm", "otio", "edl"),
}
_LONGEST_PART = 100  # bytes of the recording's and of the person's name in a file name
_FACES_SHARE = 0.5
"""Share of face detection in the progress of an export."""


class _CancelledError(Exception):
    """The export was cancelled."""


@dataclass
class _Export:
    """One export and its progress."""

    number: int
    label: str
    request: Mapping[str, Any]
    folder: Path
    state: str = "waiting"
    done: float = 0.0
    began: float = 0.0
    files: list[Path] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    error: str | None = None
    hint: str | None = None
    cancelled: bool = False

    def as_json(self) -> dict[str, Any]:
        """See the contract in docs/page.md."""
        left = None
        if self.state == "running" and self.done > 0.02:
            left = round((time.monotonic() - self.began) * (1 - self.done) / self.done, 1)
        return {
            "id": self.number,
            "label": self.label,
            "state": self.state,
            "done": round(self.done, 3),
            "left_s": left,
            "files": [
                {
                    "name": path.name,
                    "size": path.stat().st_size,
                    "url": f"/api/export/{self.number}/{quote(path.name)}",
                }
                for path in self.files
                if self.state == "done" and path.is_file()  # the system may delete temporary files
            ],
            "error": self.error,
            "hint": self.hint,
            "warnings": self.warnings,
        }


class Exports:
    """The exports of a recording, which are done one after another in a thread.

    Args:
        session: session of the recording.
        folder: folder for files, until the browser fetches them.
    """

    def __init__(self, session: RecordingSession, folder: Path) -> None:
        self._session, self._folder = session, folder
        self._all: dict[int, _Export] = {}
        self._queue: queue.SimpleQueue[_Export | None] = queue.SimpleQueue()
        self._closed = False
        self._lock = threading.Lock()  # for the numbers and the start of the thread
        self._thread = threading.Thread(target=self._work, daemon=True)

    def all(self) -> list[dict[str, Any]]:
        """List every export so far."""
        return [one.as_json() for one in list(self._all.values())]

    def begin(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Check a request and put it in the queue.

        Raises:
            AvseError: the export is not possible.
        """
        what, kind = str(request["what"]), str(request["format"])
        if kind not in _FORMATS[what]:
            raise UsageError(
                f"{what} cannot be saved as {kind}", f"choose from: {', '.join(_FORMATS[what])}"
            )
        people = self._people(request)
        self._check_format(what, kind, self._bits(request))
        with self._lock:
            number = len(self._all) + 1
            folder = self._folder / str(number)
            with writing(folder):
                folder.mkdir(parents=True, exist_ok=True)
            export = _Export(number, _label(what, kind, people), dict(request), folder)
            self._all[number] = export
            self._queue.put(export)
            if not self._thread.is_alive():
                self._thread.start()
        return export.as_json()

    def cancel(self, number: int) -> None:
        """Cancel an export.

        Raises:
            UsageError: there is no export of that number.
        """
        if number not in self._all:
            raise UsageError(f"there is no export {number}", "it may be of another recording")
        export = self._all[number]
        export.cancelled = True
        if export.state == "waiting":  # the thread would notice only after other exports
            export.state = "cancelled"
            self._session.tell_export(export.as_json())

    def file(self, number: int, name: str) -> Path | None:
        """Find a file of a finished export."""
        export = self._all.get(number)
        if export is None or export.state != "done":
            return None
        return next((path for path in export.files if path.name == name), None)

    def stop(self) -> None:
        """Request the end of the work; files are removed with the folder."""
        self._closed = True
        self._queue.put(None)
        for export in list(self._all.values()):
            export.cancelled = True

    def wait(self) -> None:
        """Wait briefly for the end of the work."""
        if self._thread.is_alive():
            self._thread.join(0.2)

    def _people(self, request: Mapping[str, Any]) -> list[Person]:
        """The people in a request; all people if it lists none.

        Raises:
            UsageError: a person does not exist.
        """
        people = self._session.analysis.people
        chosen = []
        for number in request.get("people") or [person.number for person in people]:
            person = people.numbered(int(number))
            if person is None:
                raise UsageError(
                    f"there is no person {number}", "choose from the people on the page"
                )
            if person not in chosen:
                chosen.append(person)
        return chosen

    @staticmethod
    def _bits(request: Mapping[str, Any]) -> Any:
        return request.get("bits") if request["format"] in ("wav", "flac") else None

    def _check_format(self, what: str, kind: str, bits: Any) -> None:
        """Check, before the work, that the container can hold the output."""
        recording = self._session.recording
        audio, suffix = recording.audio, f".{kind}"
        if kind in SOUND:
            check_stem(Path(f"x{suffix}"), audio.sample_rate, audio.channels, audio, bits)
        elif kind in VIDEO:
            how: tuple[Any, Any] = ("auto", bits)
            if what == "tracks":
                how = track_encoding(suffix, audio, bits)
            track = self._session.settings.track
            check_remux(recording.path, suffix, track=track, codec=how[0], bits=how[1])

    def _work(self) -> None:
        while (export := self._queue.get()) is not None:
            if self._closed:
                return
            if export.cancelled:
                continue
            export.state, export.began = "running", time.monotonic()
            try:
                self._carry_out(export)
                export.state, export.done = "done", 1.0
            except _CancelledError:
                export.state = "cancelled"
            except AvseError as error:
                export.state, export.error, export.hint = "failed", error.message, error.hint
            except Exception as error:
                export.state = "failed"
                export.error = f"an internal error: {error!r}"
                export.hint = "please report it"
            if export.state != "done":
                shutil.rmtree(export.folder, ignore_errors=True)
            self._session.tell_export(export.as_json())

    def _tell(self, export: _Export, done: float) -> None:
        if export.cancelled or self._closed:
            raise _CancelledError
        if done - export.done >= 0.01 or done in (0.0, 1.0):
            export.done = done
            self._session.tell_export(export.as_json())

    def _carry_out(self, export: _Export) -> None:
        """Finish face detection, separate, and write the files.

        Raises:
            AvseError: see `avse.separation.saving.save_stems`.
        """
        session, request = self._session, export.request
        self._tell(export, 0.0)
        ready = session.analysis.wait_for_faces(
            lambda: export.cancelled or self._closed,
            lambda share: self._tell(export, _FACES_SHARE * share),
        )
        if not ready:
            raise _CancelledError
        scene = session.whole_scene()
        chosen = {person.number for person in self._people(request)}
        people = [person for person in scene.people if person.number in chosen]
        length = scene.length_s or 1.0

        def progress(stage: str, done_s: float, total_s: float | None) -> None:
            share = done_s / length if stage in ("voices", "activity") else 0.0
            floor = max(export.done, _FACES_SHARE)
            self._tell(export, max(floor, _FACES_SHARE + 0.48 * min(1.0, share)))

        what, kind = str(request["what"]), str(request["format"])
        stem = _shortened(session.path.stem)
        heard = session.heard
        if what == "subtitles" and kind != "rttm" and heard is not None and heard.failed is None:
            self._write_words(export, heard, export.folder / f"{stem}.{kind}", chosen)
            if export.files:
                return
        if what in ("subtitles", "timeline"):
            engine = session.analysis.engine()
            activity = listen(scene, engine.network, session.settings, progress=progress)
            target = export.folder / f"{stem}.{kind}"
            # The browser saves the file in another folder: an .otio refers to the recording only.
            beside = session.path.parent / target.name
            text, warnings = as_text(activity, kind, beside, session.path, chosen)
            export.warnings += warnings
            target.write_text(text, "utf-8")
            export.files = [target]
            return
        separation = Separation(
            scene,
            people,
            session.analysis.engine(),
            progress,
            together=what == "voice" and len(people) > 1,
            offscreen=what in ("mix", "video"),
        )
        paths, voices = self._targets(export, separation, stem, kind)
        tracks = export.folder / f"{stem}.tracks.{kind}" if what == "tracks" else None
        rest = export.folder / f"{stem}.everything-else.{kind}" if what == "each" else None
        written = save_stems(voices, paths, residual=rest, tracks=tracks, bits=self._bits(request))
        export.warnings = list(dict.fromkeys(written.warnings))
        made = [*written.stems.values(), written.residual, written.tracks]
        export.files = [path for path in made if path is not None]
        if request.get("report"):
            self._report(export, separation, written.stems, rest, tracks)

    def _write_words(self, export: _Export, heard: Words, target: Path, chosen: set[int]) -> None:
        """Write the words of the chosen people when recognition has finished.

        If recognition has failed, only a warning is added.
        """
        dropped = heard.wait(
            lambda: export.cancelled or self._closed,
            lambda share: self._tell(export, _FACES_SHARE + 0.48 * share),
        )
        if export.cancelled or self._closed:
            raise _CancelledError
        if heard.failed is not None:
            export.warnings = [f"without words: {heard.failed.message}"]
            return
        people = [one for one in self._session.analysis.people if one.number in chosen]
        said: dict[str, list[Cue]] = {}
        for person in people:
            name = title(person.number, person.name)
            said[name] = [*said.get(name, ()), *heard.of(person)]
        target.write_text(as_talk(said, target.suffix[1:]), "utf-8")
        export.files = [target]
        silent = [name for name, cues in said.items() if not cues]
        if silent:
            export.warnings.append(f"no words were recognised for {', '.join(silent)}")
        export.warnings += [
            f"words from {clock(at, 0)} on may be missing: go there, wait, and save again"
            for at in dropped
        ]

    def _targets(
        self, export: _Export, separation: Separation, stem: str, kind: str
    ) -> tuple[dict[StemKey, Path] | None, Voices]:
        """Choose the files to write, and what they hold.

        Returns:
            Stem -> path, None for a video with a track for each person; and the voices.
        """
        request, folder = export.request, export.folder
        what = request["what"]
        if what == "tracks":
            return None, separation
        if what in ("mix", "video"):
            mix = Mix(separation, _gains(request, separation))
            return {mix.numbers[0]: folder / f"{stem}.mix.{kind}"}, mix
        called = _called(separation)
        taken: set[str] = set()
        paths: dict[StemKey, Path] = {}
        for number in separation.numbers:
            name = _shortened(title(number, called.get(number)))
            if name.casefold() in taken:
                name = f"{name} {number}"
            taken.add(name.casefold())
            paths[number] = folder / f"{stem}.{name}.{kind}"
        return paths, separation

    def _report(
        self,
        export: _Export,
        separation: Separation,
        stems: Mapping[StemKey, Path],
        rest: Path | None,
        tracks: Path | None,
    ) -> None:
        """Write the report beside the outputs."""
        settings = self._session.settings
        called = _called(separation)
        holds = {path: title(number, called.get(number)) for number, path in stems.items()}
        if rest is not None:
            holds[rest] = title(Stem.RESIDUAL)
        if tracks is not None:
            names = [title(n, called.get(n)) for n in (*separation.numbers, Stem.RESIDUAL)]
            holds[tracks] = f"the picture, and a track for each of: {', '.join(names)}"
        about = describe(
            separation.scene,
            settings,
            holds,
            asked={k: v for k, v in export.request.items() if k != "report"},
            sync=separation.sync,
            out_of_sight={p.number: separation.out_of_sight(p.number) for p in separation.people},
            warnings=export.warnings,
            device=separation.engine.network.device,
            runtime=separation.engine.network.runtime,
            offscreen=separation.offscreen,
        )
        places = sidecar_paths(export.files[0])
        write_sidecar(about, places, overwrite=False)
        export.files += places


def _called(separation: Separation) -> dict[StemKey, str | None]:
    """Stem -> the name of the person; for the stem of several people together, their names."""
    people = separation.people
    names = [title(person.number, person.name) for person in people]
    several = " and ".join(names) if len(names) <= 3 else f"{len(names)} people"
    called: dict[StemKey, str | None] = {person.number: person.name for person in people}
    return called | {Stem.TOGETHER: several}


def _gains(request: Mapping[str, Any], separation: Separation) -> dict[StemKey, float]:
    """Stem -> gain, from the gains by name in a request."""
    asked = request.get("gains") or {}
    gains: dict[StemKey, float] = {
        Stem.NARRATOR: asked.get("offscreen", 1.0),
        Stem.RESIDUAL: asked.get("rest", 1.0),
    }
    for person in separation.people:
        gains[person.number] = asked.get(str(person.number), 1.0)
    rest = gains[Stem.RESIDUAL]
    # On the page, stems of further people belong to everything else.
    return {n: float(gains.get(n, rest)) for n in (*separation.numbers, Stem.RESIDUAL)}


def _shortened(text: str) -> str:
    """Shorten a part of a file name, because file names have at most 255 bytes."""
    return os.fsencode(text)[:_LONGEST_PART].decode("utf-8", "ignore").rstrip(" .") or "recording"


def _label(what: str, kind: str, people: Sequence[Person]) -> str:
    names = ", ".join(title(person.number, person.name) for person in people)
    labels = {
        "voice": f"Voice of {names}",
        "each": f"Each voice: {names}",
        "mix": "The mix",
        "video": "The video with the mix",
        "tracks": "The video with a track for each person",
        "subtitles": "Subtitles",
        "timeline": "Who speaks when, for an editing program",
    }
    return f"{labels[what]} ({kind.upper()})"
