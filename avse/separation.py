"""From a recording to the voices of the people in it: the pipeline, and the Python API.

Knows no command line: it raises, it reports progress through a hook, and it prints nothing.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avse.activity.gate import gated
from avse.errors import OutputError, UsageError
from avse.faces.detect import FaceBackend
from avse.faces.people import Person
from avse.masking import Masker, MaskPlayer
from avse.media import AudioReader, NewTrack, StemWriter, quantise, remux
from avse.models.network import AVSENet
from avse.models.weights import load
from avse.scene import Progress, Scene, Speaker, look, no_progress, pick_device
from avse.settings import Settings
from avse.stft import SAMPLE_RATE
from avse.sync.measuring import measure
from avse.sync.result import Sync, in_step

FloatArray = npt.NDArray[np.float32]

TOGETHER = 0
"""The number of the stem that holds the voices of several people, none of whom is 0."""

_RESIDUAL = -1

SOUND_SUFFIXES = (".wav", ".flac")
BLOCK_S = 1.0


@dataclass(frozen=True)
class Block:
    """A stretch of the result, in step with the original.

    Attributes:
        start: index of the first sample.
        stems: (stems, channels, n) float32, one for each person asked for, or one for all.
        residual: (channels, n) float32: the original minus all stems.
    """

    start: int
    stems: FloatArray
    residual: FloatArray


@dataclass
class Written:
    """What `Separation.save` wrote.

    Attributes:
        stems: speaker number -> path; `TOGETHER` stands for all.
        residual: its path, or None.
        warnings: what the user should know, in words.
    """

    stems: dict[int, Path]
    residual: Path | None = None
    warnings: list[str] = field(default_factory=list)


class Separation:
    """Some people's voices in one recording; computed when asked for, in constant memory.

    Attributes:
        scene: the recording and everybody in it.
        people: those asked for.
        settings: as given.
        together: whether their voices are one stem, the sum, instead of one each.
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
    ) -> None:
        assert scene.audio is not None
        self.scene, self.people, self.settings = scene, people, settings
        self.together = together
        self.audio = scene.audio
        self._network, self._progress = network, progress
        self._notes: list[str] = []

    @property
    def sample_rate(self) -> int:
        """Of the recording, and so of every stem."""
        return self.audio.sample_rate

    @property
    def numbers(self) -> list[int]:
        """The number of each stem: that of the person, or `TOGETHER`."""
        return [TOGETHER] if self.together else [person.number for person in self.people]

    @cached_property
    def sync(self) -> Sync | None:
        """How far sound and picture are apart; measured when first asked for, None if turned off.

        Where they certainly are, the lips are moved to their sound before the network sees them.
        """
        if not self.settings.sync:
            return None
        return measure(
            self.scene, self._network, track=self.settings.track, progress=self._progress
        )

    def blocks(self) -> Iterator[Block]:
        """Compute the voices, piece by piece, from the first sample to the last."""
        path, track, info = self.scene.info.path, self.settings.track, self.scene.info
        total = float(info.duration) if info.duration is not None else None
        everybody = list(self.scene.people)
        masker = Masker(
            self._network,
            in_step([person.lips for person in everybody], self.sync),
            [everybody.index(person) for person in self.people],
            window_s=self.settings.window_s,
            overlap=self.settings.overlap,
        )
        rate, channels = self.audio.sample_rate, self.audio.channels
        player = MaskPlayer(rate, channels, len(self.people))
        waiting: FloatArray = np.zeros((channels, 0), np.float32)
        done = 0
        with ExitStack() as stack:
            heard = stack.enter_context(
                AudioReader(path, track=track, rate_hz=SAMPLE_RATE, mono=True, block_s=BLOCK_S)
            )
            played = stack.enter_context(AudioReader(path, track=track, block_s=BLOCK_S))
            masks = masker.masks(block.samples for block in heard)
            if self.settings.gate:
                masks = gated(masks)
            for block in masks:
                player.push_masks(block)
                while player.wants_sound() and (sound := next(played, None)) is not None:
                    player.push_sound(sound.samples)
                    waiting = np.concatenate([waiting, sound.samples], axis=-1)
                voices = player.play()
                yield from self._emit(done, voices, waiting)
                waiting, done = waiting[:, voices.shape[-1] :], done + voices.shape[-1]
                self._progress("voices", done / rate, total)
            for sound in played:
                player.push_sound(sound.samples)
                waiting = np.concatenate([waiting, sound.samples], axis=-1)
            rest = player.finish()
            yield from self._emit(done, rest, waiting)
            self._note(masker, heard.skipped, (done + rest.shape[-1]) / rate)

    def _note(self, masker: Masker, skipped: int, length_s: float) -> None:
        claimed = self.audio.duration
        if claimed is not None and length_s < 0.98 * float(claimed) - 0.5:
            self._notes.append(
                f"{self.scene.info.path.name} is cut short: of {float(claimed):.1f} s of sound "
                f"only {length_s:.1f} s could be read"
            )
        if self.sync is not None and self.sync.out_of_step:
            self._notes.append(f"{self.sync.describe()}; corrected for (see --no-sync)")
        if masker.halved:
            self._notes.append("the GPU ran out of memory; the window was halved where needed")
        if skipped:
            self._notes.append(f"{skipped} damaged packets of sound were skipped (silence instead)")

    def _emit(self, start: int, voices: FloatArray, original: FloatArray) -> Iterator[Block]:
        if voices.shape[-1] == 0:
            return
        here = original[:, : voices.shape[-1]]
        if self.together:
            voices = voices.sum(axis=0, keepdims=True)
        if self.settings.mix:
            keep = np.float32(self.settings.mix)
            voices = voices * (1 - keep) + here * keep
        bits = self.audio.bits_per_sample
        if bits is not None and bits <= 24 and not self.audio.is_float:
            # On the grid of the source, stems and residual add up to it exactly in the files too.
            voices = quantise(voices, bits)
        yield Block(start, voices, here - voices.sum(axis=0))

    def voices(self) -> FloatArray:
        """(stems, channels, samples): everything at once, for recordings that fit in memory."""
        parts = [block.stems for block in self.blocks()]
        empty = np.zeros((len(self.numbers), self.audio.channels, 0), np.float32)
        return np.concatenate([empty, *parts], axis=-1)

    def save(
        self,
        path: str | os.PathLike[str] | Mapping[int, str | os.PathLike[str]],
        *,
        residual: str | os.PathLike[str] | None = None,
        clip: Any = "rescale",
        keep_original_audio: bool = False,
        overwrite: bool = False,
    ) -> Written:
        """Write the voices.

        Args:
            path: a file if there is one stem, else speaker number -> file. The ending
                chooses the kind: .wav or .flac for sound, .mp4, .m4v, .mov, .mkv or .webm for a
                copy of the video with that sound, the picture untouched.
            residual: where to write everything that is not these people.
            clip: "rescale", "clamp" or "none", for integer formats that would clip.
            keep_original_audio: keep the original sound as a further track of videos.
            overwrite: replace files that exist.

        Raises:
            OutputExistsError: a file exists and `overwrite` is false.
            OutputError: a file cannot be written. Nothing is left half-written; of several
                files, those that were whole by then stay.
        """
        paths = self._paths(path)
        targets: dict[int, Path] = dict(paths)
        if residual is not None:
            targets[_RESIDUAL] = Path(residual)
        for target in targets.values():
            if target.parent and not target.parent.is_dir():
                raise OutputError(f"there is no folder {target.parent}", "create it first")
        videos = {n: t for n, t in targets.items() if t.suffix.lower() not in SOUND_SUFFIXES}
        written = Written(paths, targets.get(_RESIDUAL))
        with ExitStack() as stack:
            sounds = dict(targets)
            if videos:
                folder = next(iter(videos.values())).parent
                scratch = Path(
                    stack.enter_context(tempfile.TemporaryDirectory(prefix=".avse-", dir=folder))
                )
                sounds.update({n: scratch / f"{n}.wav" for n in videos})
            writers = {
                n: stack.enter_context(
                    StemWriter(
                        target,
                        sample_rate=self.audio.sample_rate,
                        channels=self.audio.channels,
                        source=self.audio if n not in videos else None,
                        clip=clip,
                        overwrite=overwrite,
                    )
                )
                for n, target in sounds.items()
            }
            for block in self.blocks():
                for number, stem in zip(self.numbers, block.stems, strict=True):
                    writers[number].write(stem)
                if _RESIDUAL in writers:
                    writers[_RESIDUAL].write(block.residual)
            for number, writer in writers.items():
                writer.close()
                if writer.gain_applied != 1.0:
                    written.warnings.append(
                        f"{targets[number].name} would have clipped and was made softer by "
                        f"{-20 * np.log10(writer.gain_applied):.1f} dB (see --clip)"
                    )
            for number, target in videos.items():
                self._progress("video", 0.0, None)
                result = remux(
                    self.scene.info.path,
                    NewTrack(sounds[number]),
                    target,
                    track=self.settings.track,
                    keep_original_audio=keep_original_audio,
                    drop_unsupported=True,
                    overwrite=overwrite,
                )
                written.warnings += [f"{target.name}: left out {what}" for what in result.dropped]
        written.warnings += self._notes
        return written

    def _paths(
        self, path: str | os.PathLike[str] | Mapping[int, str | os.PathLike[str]]
    ) -> dict[int, Path]:
        if isinstance(path, Mapping):
            paths = {number: Path(target) for number, target in path.items()}
        elif len(self.numbers) == 1:
            paths = {self.numbers[0]: Path(path)}
        else:
            raise UsageError(
                f"{len(self.people)} voices do not fit into one file",
                "give a path for each, such as {1: 'left.wav', 2: 'right.wav'}",
            )
        if set(paths) != set(self.numbers):
            raise UsageError("every person asked for needs a path", "one entry for each number")
        return paths


def separate(
    path: str | os.PathLike[str],
    speaker: Speaker = "all",
    *,
    together: bool = False,
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
        settings: see `Settings`.
        network: use this one instead of loading `settings.model`.
        backend: who finds faces, if it is open already; else the one that the settings name.
        progress: called with (stage, seconds done, seconds in all or None).
        options: fields of `Settings` to change, such as `window_s=4`.

    Raises:
        MediaError, NoAudioError, NoVideoError, NoFaceError: see `avse.errors`.
        UnknownSpeakerError: nobody has that number.
        MissingError: weights or a face backend are not there.
    """
    settings = dataclasses.replace(settings or Settings(), **options)
    if network is None:
        network = load(settings.model, device=pick_device(settings.device))
    scene = look(path, settings, progress=progress, backend=backend)
    people = scene.choose(speaker)
    return Separation(scene, people, network, settings, progress, together=together)
