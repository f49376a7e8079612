"""The separation pipeline and its Python API: from a recording to the voices of its people.

It raises errors and reports progress through a callback; it prints nothing.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np

from avse.dsp.stft import VIDEO_RATE
from avse.faces.detect import FaceBackend, open_backend
from avse.faces.lips import AnyLips
from avse.faces.people import Person
from avse.inference.engine import Block as EngineBlock
from avse.inference.engine import Engine, MixtureBlend, Run
from avse.inference.networks import SeparationNetwork
from avse.inference.sound import FileSound
from avse.inference.speaker_tracking import Absence
from avse.media.encoding import Bits
from avse.media.quantising import on_grid
from avse.models.device import pick_device
from avse.scene.naming import Stem, StemKey
from avse.scene.scene import Examined, Scene, examine, look
from avse.scene.speakers import Speaker, Speakers
from avse.separation.saving import Target, Targets, Written, save_stems
from avse.settings import Settings
from avse.sync.measuring import measure
from avse.sync.result import Sync, in_step
from avse.types import FloatArray
from avse.utils.progress import Progress, no_progress

SHORTEST_S = 0.5
"""Minimal length of reported absences, in seconds."""


@dataclass(frozen=True)
class OutOfSight:
    """A stretch in which a person's face is off-screen.

    Attributes:
        start: playing time in seconds, 0.6 s after the lips were last visible.
        stop: playing time in seconds, 0.6 s before they are visible again.
        heard_s: length of the off-screen speech that was assigned to the person, in seconds.
        confidence: mean probability that this speech is theirs; None if there is none.
    """

    start: float
    stop: float
    heard_s: float
    confidence: float | None


@dataclass(frozen=True)
class Block:
    """A block of the result, aligned with the original.

    Attributes:
        start: index of the first sample.
        stems: (stems, channels, n) float32, one for each of `Separation.numbers`.
        residual: (channels, n) float32: the original minus all stems.
    """

    start: int
    stems: FloatArray
    residual: FloatArray


class Separation:
    """The separation of some people in one recording; made by `separate`.

    `save`, `blocks` and `voices` compute the voices, anew at each call. Memory does not grow with
    the recording, except for `voices`.

    Attributes:
        scene: the recording and the people in it.
        people: the chosen people, in order of their numbers.
        settings: the settings.
        together: whether the sum of their voices is one stem.
        offscreen: whether off-screen speech and crowds are stems too.
        notes: messages to the user; complete after the voices were computed.

    Examples:
        >>> import avse
        >>> result = avse.separate("talk.mp4")
        >>> [person.number for person in result.people], result.sample_rate
        ([1, 2], 48000)
        >>> for block in result.blocks():
        ...     original = block.stems.sum(axis=0) + block.residual  # (channels, n)
        >>> result.voices().shape  # people, channels, samples
        (2, 1, 307200)
    """

    def __init__(
        self,
        scene: Scene,
        people: list[Person],
        engine: Engine,
        progress: Progress,
        *,
        together: bool = False,
        offscreen: bool = False,
    ) -> None:
        assert scene.audio is not None
        self.scene, self.people = scene, people
        self.engine, self.settings = engine, engine.settings
        self.together, self.offscreen = together, offscreen
        self.audio = scene.audio
        self.progress, self.notes = progress, list[str]()
        self._absences: list[Absence] | None = None

    @property
    def sample_rate(self) -> int:
        """Sample rate of the recording and of every stem, in Hz."""
        return self.audio.sample_rate

    @property
    def numbers(self) -> list[StemKey]:
        """The key of each stem: the number of a person, or an `avse.scene.naming.Stem`."""
        voices: list[StemKey] = [Stem.TOGETHER]
        if not self.together:
            voices = [person.number for person in self.people]
        return [*voices, Stem.NARRATOR, Stem.CROWD] if self.offscreen else voices

    @cached_property
    def sync(self) -> Sync | None:
        """The A/V offset, measured on first use; None if `Settings.sync` is false.

        If the offset is certain, it is corrected in the lips before they enter the network.
        """
        if not self.settings.sync:
            return None
        return measure(self.scene, self.engine.network, progress=self.progress)

    def out_of_sight(self, number: int) -> list[OutOfSight] | None:
        """Stretches in which a person is off-screen, and the speech assigned in them.

        Args:
            number: number of the person.

        Returns:
            Stretches of 0.5 s or more, in order; None before the voices were computed, or if
            `Settings.carry` is false.
        """
        if self._absences is None:
            return None
        place = [person.number for person in self.scene.people].index(number)
        if self.scene.people.persons[place].still:
            return []  # in sight, and silent
        return [
            OutOfSight(
                self.scene.playing_time(Fraction(lost.first, VIDEO_RATE)),
                self.scene.playing_time(Fraction(lost.stop, VIDEO_RATE)),
                round(lost.heard_s, 2),
                lost.confidence,
            )
            for lost in self._absences
            if lost.person == place and lost.stop - lost.first >= SHORTEST_S * VIDEO_RATE
        ]

    def blocks(self) -> Iterator[Block]:
        """Compute the voices, block by block, from the first sample to the last.

        Yields:
            Contiguous blocks.

        Raises:
            MediaError: the sound cannot be read.
            MissingWeightsError: the weights for off-screen speech are needed and do not exist.
        """
        rate, total = self.sample_rate, self.scene.length_s
        sound = self.scene.sound
        lips = in_step([person.lips for person in self.scene.people], self.sync)
        enrolment = self.engine.enrol(
            lips,
            self.scene.sound,
            progress=lambda frames: self.progress("known voices", frames / VIDEO_RATE, total),
        )
        run = self.engine.run(
            lips,
            sound,
            offscreen=self.offscreen,
            blend=mixture_blend(self.scene),
            enrolment=enrolment,
        )
        done = 0
        for block in run.blocks(self._rows()):
            yield self._block(block)
            done = block.start + block.stems.shape[-1]
            self.progress("voices", done / rate, total)
        if self.settings.carry:
            self._absences = run.absences
        self._note(run, sound, done / rate)

    def _rows(self) -> list[int]:
        """Indices of the masks that become stems."""
        everybody = list(self.scene.people)
        rows = [everybody.index(person) for person in self.people]
        return [*rows, len(everybody), len(everybody) + 1] if self.offscreen else rows

    def _note(self, run: Run, sound: FileSound, length_s: float) -> None:
        claimed = self.scene.part.length(self.audio.start, self.audio.duration)
        self.notes = self.scene.notes
        if claimed is not None and length_s < 0.98 * float(claimed) - 0.5:
            self.notes.append(
                f"{self.scene.info.path.name} is cut short: of {float(claimed):.1f} s of sound "
                f"only {length_s:.1f} s could be read"
            )
        if self.sync is not None and self.sync.out_of_step:
            self.notes.append(f"{self.sync.describe()}; corrected for (see --no-sync)")
        if run.estimator.halved:
            self.notes.append("the GPU ran out of memory; the window was halved where needed")
        if sound.skipped:
            self.notes.append(
                f"{sound.skipped} damaged packets of sound were skipped (silence instead)"
            )
        if sound.not_numbers:
            self.notes.append(
                f"{sound.not_numbers} values in the sound of {self.scene.info.path.name} are not "
                "numbers (NaN or infinite); they were taken for silence"
            )

    def _block(self, block: EngineBlock) -> Block:
        """Convert a block of the engine to stems: summed if `together`, with the residual."""
        here = block.original
        theirs, others = np.split(block.stems, [len(self.people)])
        if self.together:
            theirs = theirs.sum(axis=0, keepdims=True)
        if self.settings.mix:
            keep = np.float32(self.settings.mix)
            theirs = theirs * (1 - keep) + here * keep
        stems = np.concatenate([theirs, others])
        bits = self.audio.bits_per_sample
        if bits is not None and bits <= 24 and not self.audio.is_float:
            # On the grid of the source, stems and residual add up to it exactly in the files too.
            stems = on_grid(stems, bits)
        return Block(block.start, stems, here - stems.sum(axis=0))

    def voices(self) -> FloatArray:
        """Compute all voices at once, for recordings that fit in memory.

        Returns:
            (stems, channels, samples) float32, one stem for each of `numbers`.

        Raises:
            MediaError: the sound cannot be read.
        """
        parts = [block.stems for block in self.blocks()]
        empty = np.zeros((len(self.numbers), self.audio.channels, 0), np.float32)
        return np.concatenate([empty, *parts], axis=-1)

    def save(
        self,
        path: Target | Targets | None = None,
        *,
        residual: Target | None = None,
        tracks: Target | None = None,
        bits: Bits | None = None,
        clip: Any = "rescale",
        keep_original_audio: bool = False,
        overwrite: bool = False,
    ) -> Written:
        """Compute the voices and write them.

        Args:
            path: a file if there is one stem, else a file for each of `numbers`. The suffix
                chooses the format: .wav, .flac, .mp3, .m4a or .opus for sound, .mp4, .m4v, .mov,
                .mkv or .webm for a copy of the video with that sound, the picture untouched. None
                for no file of a single stem.
            residual: path of the residual: everything that is in none of the stems.
            tracks: path of a .mkv, .mov or .mp4 with a track for each stem.
            bits: 16, 24, or 32 for floating point; None for the bit depth of the recording.
            clip: "rescale", "clamp" or "none", for integer formats that would clip.
            keep_original_audio: whether to keep the original sound as a further track of videos.
            overwrite: whether to replace existing files.

        Returns:
            Paths and warnings.

        Raises:
            UsageError: the paths do not match the stems, or there is no path.
            OutputExistsError: a file exists and `overwrite` is false.
            OutputError: a file cannot be written. No file is left incomplete; of several files,
                finished ones stay.

        Examples:
            >>> import avse
            >>> result = avse.separate("talk.mp4")
            >>> paths = {1: "left.wav", 2: "right.flac"}
            >>> written = result.save(paths, residual="rest.wav", bits=24)
            >>> written.stems[2].name, written.warnings
            ('right.flac', [])
        """
        return save_stems(
            self,
            path,
            residual=residual,
            tracks=tracks,
            bits=bits,
            clip=clip,
            keep_original_audio=keep_original_audio,
            overwrite=overwrite,
        )


def mixture_blend(scene: Scene) -> MixtureBlend:
    """The share of the mixture in the stems, if the frame rate is too low for lip reading."""
    return MixtureBlend(scene.doubt, np.array([not person.still for person in scene.people]))


class Separator:
    """Separates recordings; loads its networks once, on first use.

    Args:
        settings: see `Settings`.
        network: a loaded network, in place of `settings.model`.
        backend: an open face backend, in place of `settings.faces`.
        options: fields of `Settings` to change, such as `model="avse-small"` or `gate=False`.

    Raises:
        UsageError: a setting is out of range.

    Examples:
        >>> import avse
        >>> separator = avse.Separator(gate=False)
        >>> for path in ["talk.mp4"]:
        ...     written = separator.separate(path, speaker=1).save("voice.wav")
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        network: SeparationNetwork | None = None,
        backend: FaceBackend | None = None,
        **options: Any,
    ) -> None:
        self.settings = dataclasses.replace(settings or Settings(), **options)
        self._network, self._backend = network, backend

    @cached_property
    def engine(self) -> Engine:
        """The networks.

        Raises:
            MissingError: the weights do not exist.
            UsageError: the device cannot be used.
        """
        if self._network is None:
            return Engine.load(self.settings)
        return Engine(self._network, self.settings)

    @cached_property
    def backend(self) -> FaceBackend:
        """The face detection backend.

        Raises:
            MissingError: the backend is not installed.
        """
        if self._backend is not None:
            return self._backend
        return open_backend(self.settings.faces, device=pick_device(self.settings.device))

    def separate(
        self,
        path: str | os.PathLike[str],
        speaker: Speaker | Speakers = "all",
        *,
        together: bool = False,
        offscreen: bool = False,
        progress: Progress = no_progress,
        examined: Examined | None = None,
        scene: Scene | None = None,
    ) -> Separation:
        """Find the people in a recording and prepare to separate the voices of some.

        Faces are detected at once; `Separation.save`, `voices` and `blocks` compute the voices.

        Args:
            path: a video file with sound.
            speaker: a number (see `avse inspect`), several, a name (with `Settings.people` or
                corrections), "all", or who is seen at a time and place: "@12.5s:0.31,0.40".
            together: whether to make one stem of the sum of the chosen voices.
            offscreen: whether to make two more stems: off-screen speech, and crowds.
            progress: called with (stage, seconds done, seconds in all or None).
            examined: what `avse.scene.scene.examine` gave, if it was asked already.
            scene: what `avse.scene.scene.look` found in it with these settings, if it looked.

        Returns:
            The separation; voices are computed later.

        Raises:
            MediaError: the file cannot be read.
            NoAudioError: there is no such sound track.
            NoVideoError: there is no moving picture.
            NoFaceError: no face was found.
            UnknownSpeakerError: nobody has that number or name, or nobody is at that place.
            UsageError: the part asked for does not lie in the recording.
            MissingError: weights or a face backend are not there.
        """
        speakers = Speakers.read(speaker)
        if scene is None:
            examined = examined or examine(path, self.settings)
        engine = self.engine
        scene = scene or look(
            path, self.settings, progress=progress, backend=self.backend, examined=examined
        )
        people = speakers.resolve(scene)
        return Separation(scene, people, engine, progress, together=together, offscreen=offscreen)

    def separate_arrays(
        self, samples: FloatArray, rate_hz: int, lips: Sequence[AnyLips]
    ) -> FloatArray:
        """Separate sound and lips that are in memory.

        Args:
            samples: (channels, n) or (n,) float32, full scale 1.0.
            rate_hz: of the samples.
            lips: of each person, such as `avse.faces.lips.LipSequence`: at 25 Hz, frame 0 at the
                first sample.

        Returns:
            (people, channels, n) float32: the voice of each person.

        Raises:
            MissingError: the weights do not exist.

        Examples:
            >>> import avse
            >>> import numpy as np
            >>> scene = avse.look("talk.mp4", avse.Settings())
            >>> samples = np.concatenate(list(scene.sound.original(0)), axis=-1)
            >>> lips = [person.lips for person in scene.people]
            >>> avse.Separator().separate_arrays(samples, scene.sound.rate_hz, lips).shape
            (2, 1, 307200)
        """
        return self.engine.separate(samples, rate_hz, lips)


def separate(
    path: str | os.PathLike[str],
    speaker: Speaker = "all",
    *,
    together: bool = False,
    offscreen: bool = False,
    settings: Settings | None = None,
    network: SeparationNetwork | None = None,
    backend: FaceBackend | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> Separation:
    """Find the people in one recording and prepare to separate the voices of some.

    Use `Separator` for several recordings: it loads the networks once.

    Args:
        path: a video file with sound.
        speaker: see `Separator.separate`.
        together: whether to make one stem of the sum of the chosen voices.
        offscreen: whether to make two more stems: off-screen speech, and crowds.
        settings: see `Settings`.
        network: a loaded network, in place of `settings.model`.
        backend: an open face backend, in place of `settings.faces`.
        progress: called with (stage, seconds done, seconds in all or None).
        options: fields of `Settings` to change, such as `start=60, end="2:00"`.

    Returns:
        The separation; voices are computed later.

    Raises:
        AvseError: see `Separator.separate`.

    Examples:
        >>> import avse
        >>> result = avse.separate("talk.mp4", speaker=2, start=2, end="0:05.5")
        >>> written = result.save("anna.wav")  # or .flac, .mp3, .m4a, .opus, .mp4, .mov, .mkv
    """
    separator = Separator(settings, network=network, backend=backend, **options)
    return separator.separate(
        path, speaker, together=together, offscreen=offscreen, progress=progress
    )
