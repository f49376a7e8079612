"""From a recording to the voices of the people in it: the pipeline, and the Python API.

Knows no command line: it raises, it reports progress through a hook, and it prints nothing.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from avse.activity.gate import gated
from avse.faces.detect import FaceBackend
from avse.faces.people import Person
from avse.masking import MaskBlock, Masker
from avse.media import AudioReader
from avse.media.quantising import on_grid
from avse.models.network import AVSENet
from avse.models.weights import load
from avse.offscreen.carrying import Absence, Carrier
from avse.offscreen.weights import load_offscreen
from avse.playing import MaskPlayer
from avse.saving import CROWD, NARRATOR, TOGETHER, Target, Written, save_stems
from avse.scene import Progress, Scene, Speaker, examine, look, no_progress, pick_device
from avse.settings import Settings
from avse.stft import SAMPLE_RATE, VIDEO_RATE
from avse.sync.measuring import measure
from avse.sync.result import Sync, in_step

FloatArray = npt.NDArray[np.float32]

BLOCK_S = 1.0

SHORTEST_S = 0.5
"""Absences that are told of are at least so long."""


@dataclass(frozen=True)
class OutOfSight:
    """A stretch in which somebody's face cannot be seen.

    Attributes:
        start, stop: in playing time, seconds. It begins 0.6 s after the lips were last seen, and
            ends 0.6 s before they are seen again.
        heard_s: seconds in which a voice from out of sight was taken to be theirs.
        confidence: probability, on average over those seconds, that it was; None if there are none.
    """

    start: float
    stop: float
    heard_s: float
    confidence: float | None


@dataclass(frozen=True)
class Block:
    """A stretch of the result, in step with the original.

    Attributes:
        start: index of the first sample.
        stems: (stems, channels, n) float32, one for each of `Separation.numbers`.
        residual: (channels, n) float32: the original minus all stems.
    """

    start: int
    stems: FloatArray
    residual: FloatArray


class Separation:
    """Some people's voices in one recording; computed when asked for, in constant memory.

    Attributes:
        scene: the recording and everybody in it.
        people: those asked for.
        settings: as given.
        together: whether their voices are one stem, the sum, instead of one each.
        offscreen: whether narrators and crowds are stems too.
        notes: what the user should know once the voices were computed, in words.
    """

    def __init__(
        self,
        scene: Scene,
        people: list[Person],
        network: AVSENet,
        settings: Settings,
        progress: Progress,
        *,
        together: bool = False,
        offscreen: bool = False,
    ) -> None:
        assert scene.audio is not None
        self.scene, self.people, self.settings = scene, people, settings
        self.together, self.offscreen = together, offscreen
        self.audio = scene.audio
        self.progress, self.notes = progress, list[str]()
        self._network = network
        self._absences: list[Absence] | None = None

    @property
    def sample_rate(self) -> int:
        """Of the recording, and so of every stem."""
        return self.audio.sample_rate

    @property
    def numbers(self) -> list[int]:
        """The number of each stem: that of the person, or one of those in `avse.saving`."""
        voices = [TOGETHER] if self.together else [person.number for person in self.people]
        return [*voices, NARRATOR, CROWD] if self.offscreen else voices

    @cached_property
    def sync(self) -> Sync | None:
        """How far sound and picture are apart; measured when first asked for, None if turned off.

        Where they certainly are, the lips are moved to their sound before the network sees them.
        """
        if not self.settings.sync:
            return None
        return measure(self.scene, self._network, progress=self.progress)

    def out_of_sight(self, number: int) -> list[OutOfSight] | None:
        """When a person's face cannot be seen, and what was heard of them then.

        Args:
            number: of the person.

        Returns:
            In order; None if the voices were not computed yet, or are not carried on.
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
        """Compute the voices, piece by piece, from the first sample to the last."""
        path, track, part = self.scene.info.path, self.scene.track, self.scene.part
        total = self.scene.length_s
        masker = Masker(
            self._network,
            in_step([person.lips for person in self.scene.people], self.sync),
            window_s=self.settings.window_s,
            overlap=self.settings.overlap,
        )
        rate, channels = self.audio.sample_rate, self.audio.channels
        rows = self._rows()
        player = MaskPlayer(rate, channels, len(rows))
        waiting: FloatArray = np.zeros((channels, 0), np.float32)
        done = 0
        with ExitStack() as stack:
            heard = stack.enter_context(
                AudioReader(
                    path,
                    track=track,
                    rate_hz=SAMPLE_RATE,
                    mono=True,
                    block_s=BLOCK_S,
                    start=part.start,
                    stop=part.stop,
                )
            )
            played = stack.enter_context(
                AudioReader(path, track=track, block_s=BLOCK_S, start=part.start, stop=part.stop)
            )
            for block in self._masks(masker, heard):
                player.push_masks(block.masks[rows])
                while player.wants_sound() and (sound := next(played, None)) is not None:
                    player.push_sound(sound.samples)
                    waiting = np.concatenate([waiting, sound.samples], axis=-1)
                voices = player.play()
                yield from self._emit(done, voices, waiting)
                waiting, done = waiting[:, voices.shape[-1] :], done + voices.shape[-1]
                self.progress("voices", done / rate, total)
            for sound in played:
                player.push_sound(sound.samples)
                waiting = np.concatenate([waiting, sound.samples], axis=-1)
            rest = player.finish()
            yield from self._emit(done, rest, waiting)
            self._note(masker, played, (done + rest.shape[-1]) / rate)

    def _rows(self) -> list[int]:
        """Which masks are played: of everybody's, and of the narrator's and the crowd's."""
        everybody = list(self.scene.people)
        rows = [everybody.index(person) for person in self.people]
        return [*rows, len(everybody), len(everybody) + 1] if self.offscreen else rows

    def _masks(self, masker: Masker, heard: AudioReader) -> Iterator[MaskBlock]:
        """Masks of everybody; carried on, gated, and more of them, as the settings say."""
        carries = self.settings.carry and masker.loses_sight(self._frames())
        if carries or self.offscreen:
            model = self.settings.offscreen_model
            masker.offscreen = load_offscreen(model, device=str(masker.device))
        masks = masker.masks(block.samples for block in heard)
        if self.settings.gate:
            masks = gated(masks)
        if self.scene.doubt:
            masks = map(self._doubted, masks)
        carrier = Carrier(masker.presence if carries else None)
        yield from masks if masker.offscreen is None else carrier.carried(masks)
        if self.settings.carry:
            self._absences = carrier.absences

    def _doubted(self, block: MaskBlock) -> MaskBlock:
        """Masks that are nearer to equal shares of the mixture, as far as lips tell nothing."""
        doubt = self.scene.doubt
        people = np.array([not person.still for person in self.scene.people], np.float32)
        share = doubt * people / max(1.0, float(people.sum()))
        masks = (1 - np.float32(doubt)) * block.masks + share[:, None, None]
        return dataclasses.replace(block, masks=np.asarray(masks, np.complex64))

    def _frames(self) -> int:
        """Video frames of the sound track, as far as the file says."""
        duration = self.audio.duration or self.scene.info.duration
        duration = self.scene.part.length(self.audio.start, duration)
        return 0 if duration is None else int(duration * VIDEO_RATE)

    def _note(self, masker: Masker, played: AudioReader, length_s: float) -> None:
        claimed = self.scene.part.length(self.audio.start, self.audio.duration)
        self.notes = self.scene.notes
        if claimed is not None and length_s < 0.98 * float(claimed) - 0.5:
            self.notes.append(
                f"{self.scene.info.path.name} is cut short: of {float(claimed):.1f} s of sound "
                f"only {length_s:.1f} s could be read"
            )
        if self.sync is not None and self.sync.out_of_step:
            self.notes.append(f"{self.sync.describe()}; corrected for (see --no-sync)")
        if masker.halved:
            self.notes.append("the GPU ran out of memory; the window was halved where needed")
        if played.skipped:
            self.notes.append(
                f"{played.skipped} damaged packets of sound were skipped (silence instead)"
            )
        if played.not_numbers:
            self.notes.append(
                f"{played.not_numbers} values in the sound of {self.scene.info.path.name} are not "
                "numbers (NaN or infinite); they were taken for silence"
            )

    def _emit(self, start: int, voices: FloatArray, original: FloatArray) -> Iterator[Block]:
        if voices.shape[-1] == 0:
            return
        here = original[:, : voices.shape[-1]]
        theirs, others = np.split(voices, [len(self.people)])
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
        yield Block(start, stems, here - stems.sum(axis=0))

    def voices(self) -> FloatArray:
        """(stems, channels, samples): everything at once, for recordings that fit in memory."""
        parts = [block.stems for block in self.blocks()]
        empty = np.zeros((len(self.numbers), self.audio.channels, 0), np.float32)
        return np.concatenate([empty, *parts], axis=-1)

    def save(
        self,
        path: Target | Mapping[int, Target],
        *,
        residual: Target | None = None,
        clip: Any = "rescale",
        keep_original_audio: bool = False,
        overwrite: bool = False,
    ) -> Written:
        """Write the voices.

        Args:
            path: a file if there is one stem, else number of the stem -> file. The ending
                chooses the kind: .wav or .flac for sound, .mp4, .m4v, .mov, .mkv or .webm for a
                copy of the video with that sound, the picture untouched.
            residual: where to write everything that is in none of the stems.
            clip: "rescale", "clamp" or "none", for integer formats that would clip.
            keep_original_audio: keep the original sound as a further track of videos.
            overwrite: replace files that exist.

        Raises:
            OutputExistsError: a file exists and `overwrite` is false.
            OutputError: a file cannot be written. Nothing is left half-written; of several
                files, those that were whole by then stay.
        """
        return save_stems(
            self,
            path,
            residual=residual,
            clip=clip,
            keep_original_audio=keep_original_audio,
            overwrite=overwrite,
        )


def separate(
    path: str | os.PathLike[str],
    speaker: Speaker = "all",
    *,
    together: bool = False,
    offscreen: bool = False,
    settings: Settings | None = None,
    network: AVSENet | None = None,
    backend: FaceBackend | None = None,
    progress: Progress = no_progress,
    **options: Any,
) -> Separation:
    """Find the people in a recording and prepare to separate the voices of some.

    Looks at the picture at once; listens when `Separation.save`, `voices` or `blocks` is called.

    Args:
        path: a video file with sound.
        speaker: a number (see `avse inspect`), several, "all", or "@12.5s:0.31,0.40".
        together: one stem with the voices of all who were asked for, instead of one for each.
        offscreen: two stems more: voices from out of sight, and crowds.
        settings: see `Settings`.
        network: use this one instead of loading `settings.model`.
        backend: who finds faces, if it is open already; else the one that the settings name.
        progress: called with (stage, seconds done, seconds in all or None).
        options: fields of `Settings` to change, such as `start=60, end="2:00"`.

    Raises:
        MediaError, NoAudioError, NoVideoError, NoFaceError: see `avse.errors`.
        UnknownSpeakerError: nobody has that number.
        UsageError: the part asked for does not lie in the recording.
        MissingError: weights or a face backend are not there.
    """
    settings = dataclasses.replace(settings or Settings(), **options)
    examine(path, settings)
    if network is None:
        network = load(settings.model, device=pick_device(settings.device))
    scene = look(path, settings, progress=progress, backend=backend)
    people = scene.choose(speaker)
    return Separation(
        scene, people, network, settings, progress, together=together, offscreen=offscreen
    )
