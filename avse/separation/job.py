"""The job of every verb that writes stems: one recording, from request to files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from avse.errors import AvseError
from avse.scene.naming import Naming, Stem, StemKey, check_outputs, folder_for
from avse.scene.speakers import Speakers
from avse.settings import Settings
from avse.transcription.subtitles import SubtitleFiles
from avse.utils.memory import give_back_now
from avse.utils.progress import Progress

if TYPE_CHECKING:
    from avse.faces.detect import FaceBackend
    from avse.faces.people import Person
    from avse.inference.networks import SeparationNetwork
    from avse.scene.scene import Examined
    from avse.separation.separator import OutOfSight, Separation
    from avse.sync.result import Sync
    from avse.transcription.transcribers import Transcriber


@dataclass(frozen=True)
class Job:
    """A request for one recording.

    Attributes:
        source: the recording.
        speakers: the speakers to separate.
        together: whether to write the sum of their voices as one output.
        naming: paths of the outputs.
        settings: see `Settings`.
        residual: whether to write the residual, which is everything else.
        offscreen: whether to write off-screen speech and crowds as files of their own.
        clip: how to handle clipping in integer files.
        keep_original_audio: whether videos keep the original sound too.
        force: whether to replace files.
        dry_run: whether to stop before writing.
        transcribe: the speech recogniser for subtitles, see `avse.transcription.transcribers`;
            None for no subtitles.
        bits: bit depth of the samples, where 32 is floating point; None for that of the recording.
        tracks: path of a video with a sound track for each stem, or None.
        stem_files: whether to write a file for each stem.
        report: whether to write a report beside the outputs, see `avse.separation.sidecar`.
    """

    source: Path
    speakers: Speakers
    together: bool
    naming: Naming
    settings: Settings
    residual: bool
    clip: Literal["rescale", "clamp", "none"]
    keep_original_audio: bool
    force: bool
    dry_run: bool
    offscreen: bool = False
    transcribe: str | None = None
    bits: Literal[16, 24, 32] | None = None
    tracks: Path | None = None
    stem_files: bool = True
    report: bool = False

    def paths_known(self) -> list[Path]:
        """The outputs that are known before faces are detected."""
        paths: list[Path] = []
        if not self.stem_files:
            pass
        elif self.together:
            paths.append(self.naming.path(Stem.TOGETHER))
        elif self.naming.needs_names:
            pass
        elif self.speakers.numbers:
            same = {n: min(group) for group in self.settings.same for n in group}
            numbers = dict.fromkeys(same.get(n, n) for n in self.speakers.numbers)
            paths += [self.naming.path(n) for n in numbers]
        elif self.naming.file is not None:  # a point: one person, who has no number yet
            paths.append(self.naming.file)
        elif self.speakers.all:  # if there is anybody, there is a first
            paths.append(self.naming.path(1))
        paths += [self.subtitles(path) for path in paths if self.transcribe is not None]
        return [*paths, *self.beside().values(), *self.apart()]

    def apart(self) -> list[Path]:
        """The outputs for all voices: the video with a track for each, and the reports."""
        return [*([self.tracks] if self.tracks is not None else []), *self.reports()]

    def reports(self) -> tuple[Path, ...]:
        """Paths of the reports, as JSON and as text; empty without `report`."""
        if not self.report:
            return ()
        from avse.separation.sidecar import sidecar_paths

        beside = self.naming.folder / self.source.name
        if self.tracks is not None and not self.stem_files:
            beside = self.tracks
        return sidecar_paths(self.naming.file or beside)

    def beside(self) -> dict[StemKey, Path]:
        """The outputs that are not the voice of a person."""
        if not self.stem_files:
            return {}
        kinds = [Stem.NARRATOR, Stem.CROWD] if self.offscreen else []
        if self.residual:
            kinds.append(Stem.RESIDUAL)
        return {kind: self.naming.beside(kind) for kind in kinds}

    @staticmethod
    def subtitles(voice: Path) -> Path:
        """The path at which players expect the subtitles of a file."""
        return voice.with_suffix(".srt")


@dataclass(frozen=True)
class Done:
    """The result of a job.

    Attributes:
        sample_rate: sample rate of the outputs, in Hz.
        stems: (number, path) of each voice, or (`Stem.TOGETHER`, path) of their sum.
        beside: paths of the outputs that are not the voice of a person.
        people: all people in the picture.
        warnings: messages to the user.
        sync: the A/V offset; None if it was not measured.
        out_of_sight: stretches in which each person is off-screen; None if they were not tracked.
        subtitles: number -> path of the subtitles of each voice.
        failure: the reason why subtitles are missing, or None; the voices are written anyway.
        tracks: path of the video with a track for each stem, or None.
        reports: paths of the reports, as JSON and as text.
    """

    sample_rate: int
    stems: list[tuple[StemKey, Path]]
    beside: dict[StemKey, Path]
    people: tuple[Person, ...] = field(default=(), repr=False)
    warnings: tuple[str, ...] = ()
    sync: Sync | None = field(default=None, repr=False)
    out_of_sight: dict[StemKey, list[OutOfSight] | None] = field(default_factory=dict, repr=False)
    subtitles: dict[StemKey, Path] = field(default_factory=dict)
    failure: AvseError | None = None
    tracks: Path | None = None
    reports: tuple[Path, ...] = ()

    @property
    def residual(self) -> Path | None:
        """Path of the residual, or None."""
        return self.beside.get(Stem.RESIDUAL)

    @property
    def paths(self) -> list[Path]:
        """Paths of all files, voices first."""
        voices = [path for _, path in self.stems]
        tracks = [] if self.tracks is None else [self.tracks]
        beside = self.beside.values()
        return [*voices, *beside, *self.subtitles.values(), *tracks, *self.reports]

    def name_of(self, stem: StemKey) -> str | None:
        """Name of a person, or None."""
        return next((person.name for person in self.people if person.number == stem), None)


def carry_out(
    job: Job,
    *,
    progress: Progress,
    network: SeparationNetwork | None = None,
    backend: FaceBackend | None = None,
) -> Done:
    """Do a job; what can be refused is refused before the work.

    Args:
        job: the request.
        progress: see `avse.scene.scene.Progress`.
        network: a loaded network, in place of `Settings.model`.
        backend: an open face backend, in place of `Settings.faces`.

    Raises:
        AvseError: see `avse.separation.separator` and `avse.scene.naming`.
    """
    examined = check(job)
    warnings: list[str] = []
    if job.keep_original_audio and not job.naming.is_video and job.tracks is None:
        warnings.append(
            f"--keep-original-audio has no effect on {job.naming.suffix} files: they hold one track"
        )
    progress("model", 0.0, None)
    transcriber = _open_transcriber(job)
    scene = None
    if network is None and backend is None and _may_look_first(job.settings):
        from avse.scene.scene import look

        scene = look(job.source, job.settings, progress=progress, examined=examined)
        give_back_now()
    from avse.separation.separator import Separator

    separation = Separator(job.settings, network=network, backend=backend).separate(
        job.source,
        job.speakers,
        together=job.together,
        offscreen=job.offscreen,
        progress=progress,
        examined=examined,
        scene=scene,
    )
    voices, beside = _voices(job, separation), job.beside()
    texts = SubtitleFiles({n: job.subtitles(path) for n, path in voices.items() if transcriber})
    everything = [*voices.values(), *beside.values(), *texts.paths.values(), *job.apart()]
    check_outputs(everything, job.source, force=job.force)
    sync: Sync | None = None
    if not job.dry_run:
        sync = separation.sync
        progress("voices", 0.0, None)
        warnings += _save(job, separation, voices)
        if transcriber is not None:
            texts = _write_subtitles(job, separation, voices, transcriber, progress)
            warnings += texts.warnings
    done = Done(
        sample_rate=separation.sample_rate,
        stems=list(voices.items()),
        beside=beside,
        people=separation.scene.people.persons,
        warnings=tuple(warnings),
        sync=sync,
        out_of_sight={p.number: separation.out_of_sight(p.number) for p in separation.people},
        subtitles=texts.paths,
        failure=texts.failure,
        tracks=job.tracks,
        reports=job.reports(),
    )
    if done.reports and not job.dry_run:
        _report(job, separation, done)
    return done


def _may_look_first(settings: Settings) -> bool:
    """Whether weights and device can be checked before the networks are loaded.

    If so, faces are detected before that, which lowers the peak memory.

    Raises:
        MissingError: shipped weights are missing or damaged.
    """
    from avse.utils.shipped import find_verified, shipped

    if settings.model not in {entry.name for entry in shipped()}:
        return False
    find_verified(settings.model)
    return settings.device in ("auto", "cpu")


def check(job: Job) -> Examined:
    """Check inputs, names, clashes and containers before any work.

    Raises:
        AvseError: see `carry_out`.
    """
    from avse.media import check_remux, check_stem
    from avse.media.atomic_files import check_destination
    from avse.scene.scene import examine
    from avse.separation.saving import track_encoding

    examined = examine(job.source, job.settings)
    audio = examined.audio
    assert audio is not None
    _check_names(job, examined)
    check_outputs(job.paths_known(), job.source, force=job.force)
    if job.naming.file is not None:  # of which the folder is not made for the user
        check_destination(job.naming.file, overwrite=job.force)
    if job.stem_files and not job.naming.is_video:
        name = job.naming.file or Path(job.source.stem + job.naming.suffix)
        check_stem(name, audio.sample_rate, audio.channels, audio, job.bits)
    elif job.stem_files:
        check_remux(
            job.source,
            job.naming.suffix,
            track=job.settings.track,
            keep_original_audio=job.keep_original_audio,
            bits=job.bits,
        )
    if job.tracks is not None:
        check_destination(job.tracks, overwrite=job.force)
        codec, bits = track_encoding(job.tracks.suffix, audio, job.bits)
        check_remux(
            job.source,
            job.tracks.suffix,
            track=job.settings.track,
            keep_original_audio=job.keep_original_audio,
            codec=codec,
            bits=bits,
        )
    return examined


def _check_names(job: Job, examined: Examined) -> None:
    """Refuse names that are neither in the file of people nor in the corrections."""
    if not job.speakers.names:
        return
    names = {one.name for one in examined.known}
    if job.settings.corrections:
        from avse.scene.corrections import corrections_of

        names |= {one.name for one in corrections_of(job.source).names}
    job.speakers.check_names(names, job.settings.people)


def _voices(job: Job, separation: Separation) -> dict[StemKey, Path]:
    """The path of each voice."""
    if not job.stem_files:
        return {}
    if job.together:
        return {Stem.TOGETHER: job.naming.path(Stem.TOGETHER)}
    return {p.number: job.naming.path(p.number, p.name) for p in separation.people}


def _save(job: Job, separation: Separation, voices: Mapping[StemKey, Path]) -> list[str]:
    """Write all sound; returns messages to the user."""
    from avse.separation.saving import save_stems

    files = {**voices, **job.beside()}
    residual = files.pop(Stem.RESIDUAL, None)
    with folder_for(job.naming):
        return save_stems(
            separation,
            files if job.stem_files else None,
            residual=residual,
            tracks=job.tracks,
            bits=job.bits,
            clip=job.clip,
            keep_original_audio=job.keep_original_audio,
            overwrite=job.force,
        ).warnings


def _report(job: Job, separation: Separation, done: Done) -> None:
    """Write the reports, as JSON and as text."""
    from avse.separation.saving import title
    from avse.separation.sidecar import describe, write_sidecar

    holds = {path: title(n, done.name_of(n)) for n, path in done.stems}
    holds |= {path: title(stem) for stem, path in done.beside.items()}
    holds |= {
        path: f"subtitles of {title(n, done.name_of(n))}" for n, path in done.subtitles.items()
    }
    if done.tracks is not None:
        names = [title(n, done.name_of(n)) for n in (*separation.numbers, Stem.RESIDUAL)]
        names += ["Original"] if job.keep_original_audio else []
        holds[done.tracks] = f"the picture, and a track for each of: {', '.join(names)}"
    about = describe(
        separation.scene,
        job.settings,
        holds,
        asked={
            "speaker": job.speakers.as_json(),
            "one_file_for_all": job.together,
            "bits": job.bits,
            "clip": job.clip,
            "keep_original_audio": job.keep_original_audio,
        },
        sync=done.sync,
        out_of_sight=done.out_of_sight,
        warnings=done.warnings,
        device=separation.engine.network.device,
        runtime=separation.engine.network.runtime,
        offscreen=job.offscreen,
    )
    write_sidecar(about, done.reports, overwrite=job.force)


def _open_transcriber(job: Job) -> Transcriber | None:
    """Open the speech recogniser before the work, so that errors come early."""
    if job.transcribe is None:
        return None
    from avse.transcription.voices import open_for_subtitles

    return open_for_subtitles(job.transcribe, option="--transcribe")


def _write_subtitles(
    job: Job,
    separation: Separation,
    voices: Mapping[StemKey, Path],
    transcriber: Transcriber,
    progress: Progress,
) -> SubtitleFiles:
    from avse.transcription.voices import write_subtitles

    return write_subtitles(
        {number: (path, job.subtitles(path)) for number, path in voices.items()},
        transcriber,
        sound_start_s=separation.scene.playing_time(Fraction(0)),
        length_s=separation.scene.length_s,
        progress=progress,
        overwrite=job.force,
    )
