"""Make subtitles of a separated voice, with the times of the video."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from avse.errors import AvseError, InputError
from avse.faces.lips import RATE_HZ
from avse.media import AudioBlock, AudioReader, probe
from avse.media.atomic_files import place_text, writing
from avse.media.quantising import to_integers
from avse.media.sound_writers import WavTarget
from avse.scene.naming import StemKey
from avse.transcription.stretches import Cutting, Loudness, loudness
from avse.transcription.subtitles import Cue, SubtitleFiles, as_srt, need_pysubs2, tidy
from avse.transcription.transcribers import Transcriber, Transcript, open_transcriber
from avse.utils.progress import Progress

RATE = 16000
"""Sample rate in Hz on which recognisers were trained."""

FULL = 0.9
"""Peak of the sound for a recogniser, since 16 bits represent a quiet voice badly."""

PATIENCE_S = 3600.0
"""How long a command may take over one piece."""

UNTIMED = Cutting(longest_s=30.0, longest_pause_s=0.0)
"""A recogniser without times gets one stretch at a time, whose times the subtitles use."""

TIMED = Cutting(longest_s=300.0, longest_pause_s=30.0)
"""One with times hears more at once, for the context and for fewer starts of a command; not all,
since many hold a whole file in memory."""

_FRAME = RATE // RATE_HZ


@dataclass(frozen=True)
class SpeakerAudio:
    """A separated voice in a file.

    Attributes:
        path: a sound file, or a video.
        track: which of its sound tracks.
        start_s: playing time of its first sample in the video that it was taken from.
    """

    path: Path
    track: int
    start_s: float


def open_for_subtitles(name: str, *, option: str) -> Transcriber:
    """A recogniser, once everything that subtitles need is known to be here.

    Args:
        name, option: see `open_transcriber`.

    Raises:
        MissingExtraError: pysubs2, or the recogniser, is not installed.
        UsageError, MissingError: see `open_transcriber`.
    """
    need_pysubs2()
    return open_transcriber(name, option=option, patience_s=PATIENCE_S)


def voice_in(path: Path, sound_start_s: float) -> SpeakerAudio:
    """The voice in an output of `avse.separation.separator`.

    Args:
        path: a sound file, or a copy of the video in which the voice is the track to play.
        sound_start_s: playing time at which the sound of the video begins.
    """
    info = probe(path)
    if info.video is None:
        return SpeakerAudio(path, 0, sound_start_s)
    track = next((n for n, sound in enumerate(info.audio) if sound.default), 0)
    # Its own start, since an encoder may begin a little earlier.
    return SpeakerAudio(path, track, float(info.audio[track].start - info.start))


def transcribe(
    voice: SpeakerAudio,
    transcriber: Transcriber,
    progress: Callable[[float], None] = lambda done_s: None,
    *,
    peak: float = 0.0,
    stopped: Callable[[], bool] = lambda: False,
    folder: Path | None = None,
) -> list[Cue]:
    """Transcribe a voice, with times in playing time of the video.

    The voice is read twice, in constant memory: to find its audible stretches, and to cut it.
    Words recognised in silence are left out.

    Args:
        voice: see `Voice`.
        transcriber: gets pieces of the voice as WAV files, 16 kHz, mono, 16 bits.
        progress: called with the seconds of the voice that are done.
        peak: largest absolute sample of the voice where the file has only a part of it.
        stopped: see `Transcriber.hear`.
        folder: folder for pieces during recognition; None for the system's temporary folder.

    Raises:
        MediaError: the voice cannot be read.
        InputError: the recogniser failed, or was stopped.
    """
    with _sound(voice) as sound:
        measured = loudness((block.samples for block in sound), RATE)
    cues: list[Cue] = []
    with tempfile.TemporaryDirectory(prefix="avse-", dir=folder) as place, _sound(voice) as sound:
        loudest = max(peak, measured.peak)
        reading = _Reading(sound, FULL / loudest if loudest else 1.0)
        stop = 0
        while piece := measured.next_piece(stop, TIMED if transcriber.timed else UNTIMED):
            first, stop = piece
            path = Path(place, f"at-{first / RATE_HZ:.2f}s.wav")
            reading.write(path, first * _FRAME, stop * _FRAME)
            try:
                transcript = transcriber.hear(path, stopped)
            except InputError as error:
                raise InputError(f"{voice.path.name}: {error.message}", error.hint) from error
            path.unlink()
            cues += _placed(transcript, first / RATE_HZ, stop / RATE_HZ, measured)
            progress(stop / RATE_HZ)
    return [Cue(c.start + voice.start_s, c.stop + voice.start_s, c.text) for c in cues]


def write_subtitles(
    voices: Mapping[StemKey, tuple[Path, Path]],
    transcriber: Transcriber,
    *,
    sound_start_s: float,
    length_s: float | None,
    progress: Progress,
    overwrite: bool,
) -> SubtitleFiles:
    """Write what each voice says as SubRip beside it; stop at the first failure.

    Args:
        voices: number -> the voice, and where its subtitles go.
        transcriber: see `transcribe`.
        sound_start_s: see `voice_in`.
        length_s: of each voice, None if unknown.
        progress: called with ("words", seconds done, seconds in all or None).
        overwrite: replace files that exist.
    """
    found = SubtitleFiles()
    total = None if length_s is None else length_s * len(voices)
    for place, (number, (path, target)) in enumerate(voices.items()):
        before_s = place * (length_s or 0.0)

        def tell(done_s: float, before_s: float = before_s) -> None:
            progress("words", before_s + done_s, total)

        tell(0.0)
        try:
            cues = transcribe(voice_in(path, sound_start_s), transcriber, tell)
            place_text(target, as_srt(cues), overwrite=overwrite)
        except AvseError as error:
            found.failure = error
            return found
        found.paths[number] = target
        if not cues:
            found.warnings.append(
                f"no speech was recognised in {path.name}: {target.name} is empty"
            )
    return found


def _sound(voice: SpeakerAudio) -> AudioReader:
    return AudioReader(voice.path, track=voice.track, rate_hz=RATE, mono=True)


def _placed(
    transcript: Transcript, start_s: float, stop_s: float, measured: Loudness
) -> Iterator[Cue]:
    """Cues of a piece at their times in the voice."""
    if transcript.cues is None:
        if text := tidy(transcript.text):
            yield Cue(start_s, stop_s, text)
        return
    for cue in transcript.cues:
        # Whisper's may end after the sound does, or even begin there.
        start, stop = start_s + cue.start, min(start_s + cue.stop, stop_s)
        if cue.text and start < stop and measured.is_heard(start, stop):
            yield Cue(start, stop, cue.text)


class _Reading:
    """Cuts pieces, one after the other, out of a sound that is read once.

    Args:
        blocks: join without a gap, (1, n) each.
        gain: by which everything is made louder.
    """

    def __init__(self, blocks: Iterator[AudioBlock], gain: float) -> None:
        self._blocks, self._gain = blocks, np.float32(gain)
        self._block: AudioBlock | None = None

    def write(self, path: Path, start: int, stop: int) -> None:
        """Write samples from start to stop as a WAV file; start is not earlier than the last stop.

        Raises:
            OutputError: the disk is full.
        """
        with writing(path):
            target = WavTarget(path, RATE, 1, 16, is_float=False, mask=0)
            try:
                while (block := self._block or next(self._blocks, None)) is not None:
                    self._block = block
                    samples = block.samples[:, max(0, start - block.start) : stop - block.start]
                    target.put(to_integers(samples * self._gain, 16))
                    if block.start + block.samples.shape[1] > stop:
                        break  # the rest belongs to the next piece
                    self._block = None
                target.finish()
            finally:
                target.drop()
