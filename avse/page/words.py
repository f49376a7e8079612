"""Speech recognition of the separated voices of a page, as they become final.

A recording is divided into pieces of about half a minute; each person's voice is cut at one of
their own pauses. A piece is transcribed when its voices are final, the one at the playhead first.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avse.errors import AvseError
from avse.media.atomic_files import writing
from avse.media.sound_writers import WavWriter
from avse.page.store import CHUNK_S
from avse.transcription.stretches import HEARD_DB
from avse.transcription.subtitles import Cue
from avse.transcription.transcribers import Transcriber, name_of
from avse.transcription.voices import SpeakerAudio, open_for_subtitles, transcribe
from avse.types import FloatArray

if TYPE_CHECKING:  # loads PyTorch
    from avse.faces.people import Person
    from avse.page.analysis import Analysis


PIECE = 8
"""Number of chunks in a piece, before its ends are moved into pauses."""

_PEAKS_HZ = 25
_PAUSE_S = 0.6  # pause in which a piece may end
_NICENESS = 10
_POLL_S = 0.5


@dataclass(frozen=True)
class Recogniser:
    """A recogniser and its name."""

    name: str
    transcriber: Transcriber


def open_recogniser(line: str, *, option: str) -> Recogniser:
    """Open the recogniser that the user chose.

    Raises:
        AvseError: see `avse.transcription.voices.open_for_subtitles`.
    """
    # Threads of a model have the priority of the thread that loads it.
    with ThreadPoolExecutor(1, initializer=_step_back) as loading:
        transcriber = loading.submit(open_for_subtitles, line, option=option).result()
    return Recogniser(name_of(line), transcriber)


class Words:
    """Transcribes people's speech in the background.

    Args:
        analysis: separates the voices.
        recogniser: the speech recogniser.
        folder: folder for sound during recognition; the caller removes it after `close`.
        tell: called from the thread with an event and its data.

    Attributes:
        failed: error of the recogniser, if any; after it, no more speech is transcribed.
    """

    def __init__(
        self,
        analysis: Analysis,
        recogniser: Recogniser,
        folder: Path,
        tell: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self._analysis, self._recogniser, self._tell = analysis, recogniser, tell
        self._folder = folder
        self.failed: AvseError | None = None
        self._closed = threading.Event()
        self._heard: dict[tuple[int, int], tuple[int, list[Cue]]] = {}
        self._version = 0
        self._thread = threading.Thread(target=self._work, daemon=True)

    @property
    def name(self) -> str:
        """Name of the recogniser."""
        return self._recogniser.name

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self, wait_s: float = 0.3) -> None:
        """Stop this thread and the recogniser."""
        self._closed.set()
        if self._thread.is_alive():
            self._thread.join(wait_s)

    def of(self, person: Person) -> list[Cue]:
        """The words of a person that are recognised so far, in playing time."""
        theirs = [
            cue
            for (_, number), (_, cues) in list(self._heard.items())
            if number in person.numbers
            for cue in cues
        ]
        return sorted(theirs, key=lambda cue: cue.start)

    def wait(self, stop: Callable[[], bool], tell: Callable[[float], None]) -> list[float]:
        """Wait until all available speech is transcribed.

        Args:
            stop: called repeatedly; True ends the waiting.
            tell: called with the share that is done, 0..1.

        Returns:
            Start times of pieces whose voices were dropped before transcription.
        """
        while not (self._closed.is_set() or self.failed or stop()):
            states = [self._state(piece) for piece in range(self._pieces)]
            coming = states.count("due") + states.count("waiting")
            if not coming:
                return [
                    float(piece * PIECE * CHUNK_S)
                    for piece, state in enumerate(states)
                    if state == "dropped"
                ]
            tell(1 - coming / self._pieces)
            self._closed.wait(_POLL_S)
        return []

    @property
    def _pieces(self) -> int:
        return -(-self._analysis.recording.chunks // PIECE)

    def _chunks(self, piece: int) -> range:
        """The chunks of a piece, one before it, and one after it, in which it may be cut."""
        count = self._analysis.recording.chunks
        return range(max(0, piece * PIECE - 1), min(count, (piece + 1) * PIECE + 1))

    def _state(self, piece: int) -> str:
        """Whether a piece is "done", "due", "waiting" for voices, or its voices were "dropped"."""
        analysis, chunks = self._analysis, self._chunks(piece)
        made = [analysis.made_for(chunk) for chunk in chunks]
        if None not in made:
            return "due" if self._missing(piece) else "done"
        if not all(analysis.final(chunk) for chunk in chunks):
            return "waiting"
        return "dropped" if self._missing(piece) else "done"

    def _missing(self, piece: int) -> list[int]:
        """Numbers of people whose current voices in a piece are not transcribed."""
        analysis, chunk = self._analysis, self._chunks(piece)[0]
        epoch = analysis.made_for(chunk)
        numbers = [n for person in analysis.people for n in person.numbers]
        known = {n: self._heard.get((piece, n)) for n in numbers}
        return [n for n, one in known.items() if one is None or epoch not in (None, one[0])]

    def _next(self) -> int | None:
        """The next piece to transcribe; None while there is none."""
        if self._analysis.draft_is_due():
            return None
        here = self._analysis.playhead // PIECE
        order = [*range(here, self._pieces), *range(here - 1, -1, -1)]
        return next((piece for piece in order if self._state(piece) == "due"), None)

    def _work(self) -> None:
        _step_back()
        try:
            while not self._closed.is_set():
                piece = self._next()
                if piece is None:
                    self._closed.wait(_POLL_S)
                else:
                    self._hear(piece)
        except AvseError as error:
            self._fail(error)
        except Exception as error:
            self._fail(AvseError(f"an internal error: {error!r}", "please report it"))
            if not self._closed.is_set():
                raise

    def _fail(self, error: AvseError) -> None:
        if self._closed.is_set():
            return
        self.failed = error
        self._tell(
            "problem",
            {
                "error": f"speech recognition has stopped: {error.message}",
                "hint": f"{error.hint}; then run `avse open` again. Other work continues.",
            },
        )
        self._tell("state", {})

    def _hear(self, piece: int) -> None:
        """Transcribe the people of a piece who are not transcribed yet.

        Raises:
            AvseError: see `avse.transcription.voices.transcribe`.
        """
        analysis, chunks = self._analysis, self._chunks(piece)
        epoch = analysis.made_for(chunks[0])
        numbers = self._missing(piece)
        voices = self._voices(chunks, numbers)
        if epoch is None or voices is None:
            return  # the voices were dropped, or are computed again
        for number, voice in voices.items():
            cues = self._hear_voice(piece, number, voice)
            if self._closed.is_set():
                return
            before = self._heard.get((piece, number), (0, []))[1]
            self._heard[piece, number] = epoch, cues
            person = next((p for p in analysis.people if number in p.numbers), None)
            if person is not None and cues != before:
                self._version += 1
                self._tell("words", {"person": person.number, "version": self._version})
            if analysis.draft_is_due():
                return

    def _voices(self, chunks: range, numbers: Sequence[int]) -> dict[int, FloatArray] | None:
        """Number -> (channels, n) voice of consecutive chunks; None if a chunk is missing."""
        recording, store = self._analysis.recording, self._analysis.store
        channels = recording.audio.channels
        parts: dict[int, list[FloatArray]] = {number: [] for number in numbers}
        for chunk in chunks:
            stems = store.stems(chunk)
            if stems is None:
                return None
            length = recording.first_sample(chunk + 1) - recording.first_sample(chunk)
            for number, own in parts.items():
                own.append(stems.get(number, np.zeros((channels, max(0, length)), np.float32)))
        return {number: np.concatenate(own, axis=1) for number, own in parts.items()}

    def _hear_voice(self, piece: int, number: int, voice: FloatArray) -> list[Cue]:
        """Transcribe a voice in a piece.

        Args:
            piece, number: numbers of the piece and of the person.
            voice: (channels, n) float32, the chunks of `_chunks`.
        """
        recording, rate = self._analysis.recording, self._analysis.recording.audio.sample_rate
        begin_s = self._chunks(piece)[0] * CHUNK_S
        first, stop = 0, voice.shape[1]
        if piece > 0:
            first = _pause(voice, 0, 2 * CHUNK_S * rate, rate)
        if (piece + 1) * PIECE < recording.chunks:
            nominal = ((piece + 1) * PIECE * CHUNK_S - begin_s) * rate
            stop = _pause(voice, nominal - CHUNK_S * rate, nominal + CHUNK_S * rate, rate)
        own = voice[:, first:stop]
        lanes = list(self._analysis.store.lanes.values())
        peaks = [float(lane[number].peaks.max()) for lane in lanes if number in lane]
        loudest = max(peaks, default=0.0)
        if np.abs(own).max(initial=0.0) <= loudest * 10 ** (-HEARD_DB / 20):
            return []
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder, f"person-{number}-at-{begin_s + first // rate}s.wav")
            with writing(path):
                writer = WavWriter(path, rate, len(own), 32, is_float=True, mask=0)
                try:
                    writer.put(own)
                    writer.finish()
                finally:
                    writer.drop()
            return transcribe(
                SpeakerAudio(path, 0, begin_s + first / rate),
                self._recogniser.transcriber,
                peak=loudest,
                stopped=self._closed.is_set,
                folder=Path(folder),
            )


def _pause(voice: FloatArray, low: int, high: int, rate: int) -> int:
    """Find the quietest moment of a voice between two samples; of several, the middle one.

    Args:
        voice: (channels, n).
        low, high: samples; the voice may end before `high`.
        rate: samples per second.

    Returns:
        The sample in the middle of the quietest `_PAUSE_S`.
    """
    step = rate // _PEAKS_HZ
    part = np.square(voice[:, low:high]).mean(axis=0)
    frames = part[: len(part) // step * step].reshape(-1, step).mean(axis=1)
    if len(frames) < 2:
        return low + len(part) // 2
    wide = round(_PAUSE_S * _PEAKS_HZ)
    power = np.convolve(np.pad(frames, wide // 2, "edge"), np.ones(wide) / wide, "valid")
    away = np.abs(np.arange(len(power)) - len(power) / 2)
    return low + (int(np.argmin(power + 1e-9 * away)) * step + step // 2)


def _step_back() -> None:
    """Lower the priority of this thread and of threads that it starts."""
    if sys.platform == "linux":  # on other systems, only whole programs have priorities
        thread = threading.get_native_id()
        niceness = max(_NICENESS, os.getpriority(os.PRIO_PROCESS, thread))
        os.setpriority(os.PRIO_PROCESS, thread, niceness)
