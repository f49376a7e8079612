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
from avse.media.sound_writers import WavWriter
from avse.scene.naming import StemKey
from avse.transcription.stretches import Cutting, Loudness, loudness
from avse.transcription.subtitles import Cue, SubtitleFiles, as_srt, need_pysubs2, tidy
from avse.transcription.transcribers import Transcriber, Transcript, open_transcriber
from avse.utils.progress import Progress

RATE = 16000
"""Sample rate in Hz on which recognisers were trained."""

FULL = 0.9
"""Peak to which a voice is amplified for a recogniser: 16 bits are few for a quiet voice."""

PATIENCE_S = 3600.0
"""Maximum time of a command for one piece, in seconds."""

UNTIMED = Cutting(longest_s=30.0, longest_pause_s=0.0)
"""A recogniser without times gets one stretch at a time; the subtitle has the stretch's times."""

TIMED = Cutting(longest_s=300.0, longest_pause_s=30.0)
"""A recogniser with times gets longer pieces, for more context and fewer starts of a command. It
does not get the whole voice, because many recognisers read a whole file into memory."""

_FRAME = RATE // RATE_HZ


@dataclass(frozen=True)
class SpeakerAudio:
    """A separated voice in a file.

    Attributes:
        path: a sound file, or a video.
        track: number of the sound track.
        start_s: playing time of the first sample in the original video.
    """

    path: Path
    track: int
    start_s: float


def open_for_subtitles(name: str, *, option: str) -> Transcriber:
    """Open a recogniser, and check that everything for subtitles is installed.

    Args:
        name, option: see `open_transcriber`.

    Raises:
        MissingExtraError: pysubs2, or the recogniser, is not installed.
        UsageError, MissingError: see `open_transcriber`.
    """
    need_pysubs2()
    return open_transcriber(name, option=option, patience_s=PATIENCE_S)


def voice_in(path: Path, sound_start_s: float) -> SpeakerAudio:
    """Find the voice in an output of `avse.separation.separator`.

    Args:
        path: a sound file, or a copy of the video with the voice as its default track.
        sound_start_s: playing time at which the sound of the original video begins.
    """
    info = probe(path)
    if info.video is None:
        return SpeakerAudio(path, 0, sound_start_s)
    track = next((n for n, sound in enumerate(info.audio) if sound.default), 0)
    # The start of this track: an encoder may begin a little earlier.
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
    """Transcribe a voice; the times are playing times of the video.

    The voice is read twice, in constant memory: to find its audible stretches, and to cut it.
    Words that are recognised in silence are left out.

    Args:
        voice: see `SpeakerAudio`.
        transcriber: gets pieces of the voice as WAV files, 16 kHz, mono, 16 bits.
        progress: called with the seconds of the voice that are done.
        peak: largest absolute sample of the whole voice, if the file has only a part of it.
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
    """Transcribe voices, and write SubRip files; stops at the first failure.

    Args:
        voices: stem -> file of the voice, and file of the subtitles.
        transcriber: see `transcribe`.
        sound_start_s: see `voice_in`.
        length_s: length of each voice in seconds, None if unknown.
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
    """Convert the transcript of a piece to cues with times in the voice."""
    if transcript.cues is None:
        if text := tidy(transcript.text):
            yield Cue(start_s, stop_s, text)
        return
    for cue in transcript.cues:
        # Cues of Whisper may end, or even begin, after the end of the sound.
        start, stop = start_s + cue.start, min(start_s + cue.stop, stop_s)
        if cue.text and start < stop and measured.is_heard(start, stop):
            yield Cue(start, stop, cue.text)


class _Reading:
    """Writes consecutive pieces of a sound that is read once.

    Args:
        blocks: (1, n) each, without gaps.
        gain: factor for all samples.
    """

    def __init__(self, blocks: Iterator[AudioBlock], gain: float) -> None:
        self._blocks, self._gain = blocks, np.float32(gain)
        self._block: AudioBlock | None = None

    def write(self, path: Path, start: int, stop: int) -> None:
        """Write the samples from start to stop as a WAV file; pieces must not overlap.

        Raises:
            OutputError: the disk is full.
        """
        with writing(path):
            writer = WavWriter(path, RATE, 1, 16, is_float=False, mask=0)
            try:
                while (block := self._block or next(self._blocks, None)) is not None:
                    self._block = block
                    samples = block.samples[:, max(0, start - block.start) : stop - block.start]
                    writer.put(to_integers(samples * self._gain, 16))
                    if block.start + block.samples.shape[1] > stop:
                        break  # the rest belongs to the next piece
                    self._block = None
                writer.finish()
            finally:
                writer.drop()
