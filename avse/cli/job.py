"""One recording from request to files: what `separate` and `enhance` have in common."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from avse.cli.inputs import Chosen
from avse.cli.options import Clip
from avse.cli.outputs import Naming, check_outputs, folder_for
from avse.cli.progress import Stages
from avse.cli.terminal import Terminal
from avse.settings import Settings

ENHANCED = "enhanced"
"""What stands for the speaker in the name of an output that holds everybody."""


@dataclass(frozen=True)
class Job:
    """What the user wants from one recording.

    Attributes:
        source: the recording.
        speaker: whose voices.
        together: whether they are one output, their sum.
        naming: where outputs go.
        settings: how to separate.
        residual: whether to write everything else too.
        clip: what to do where an integer file would clip.
        keep_original_audio: whether videos keep the original sound as well.
        force: whether files may be replaced.
        dry_run: whether to stop before anything is written.
    """

    source: Path
    speaker: Chosen
    together: bool
    naming: Naming
    settings: Settings
    residual: bool
    clip: Clip
    keep_original_audio: bool
    force: bool
    dry_run: bool

    def paths_known(self) -> list[Path]:
        """The outputs that are certain before anybody has looked at the picture."""
        paths: list[Path] = []
        if self.together:
            paths.append(self.naming.path(ENHANCED))
        elif isinstance(self.speaker, int):
            paths.append(self.naming.path(self.speaker))
        elif isinstance(self.speaker, list):
            paths += [self.naming.path(number) for number in self.speaker]
        elif self.naming.file is not None:  # a point: one person, who has no number yet
            paths.append(self.naming.file)
        return [*paths, self.naming.residual()] if self.residual else paths


@dataclass(frozen=True)
class Done:
    """What came of a job.

    Attributes:
        sample_rate: of every output.
        stems: (number, path) of each voice.
        residual: path of the rest, if asked for.
    """

    sample_rate: int
    stems: list[tuple[int, Path]]
    residual: Path | None


def carry_out(job: Job, terminal: Terminal) -> Done:
    """Check, look, listen and write; whatever can be refused is refused before the work.

    Raises:
        AvseError: see `avse.separation` and `avse.cli.outputs`.
    """
    from avse.media import probe

    probe(job.source)
    check_outputs(job.paths_known(), job.source, force=job.force)
    if job.keep_original_audio and not job.naming.is_video:
        terminal.warn(
            f"--keep-original-audio has no effect on {job.naming.suffix} files: they hold one track"
        )
    with Stages(terminal) as progress:
        progress("model", 0.0, None)
        from avse.separation import separate

        separation = separate(
            job.source,
            job.speaker,
            together=job.together,
            settings=job.settings,
            progress=progress,
        )
        names = {n: job.naming.path(n or ENHANCED) for n in separation.numbers}
        residual = job.naming.residual() if job.residual else None
        everything = [*names.values(), *([residual] if residual else [])]
        check_outputs(everything, job.source, force=job.force)
        if not job.dry_run:
            progress("voices", 0.0, None)
            with folder_for(job.naming):
                written = separation.save(
                    names,
                    residual=residual,
                    clip=job.clip.value,
                    keep_original_audio=job.keep_original_audio,
                    overwrite=job.force,
                )
            for warning in written.warnings:
                terminal.warn(warning)
    if job.dry_run:
        terminal.note("dry run: nothing was written")
    return Done(separation.sample_rate, list(names.items()), residual)
