"""`avse enhance`: keep the voices of visible people and remove all other sound."""

from __future__ import annotations

import typer

from avse.cli import options
from avse.cli.inputs import one_input
from avse.cli.job import carry_out
from avse.cli.terminal import terminal_of
from avse.scene.naming import DEFAULT_NAME, name_outputs
from avse.scene.speakers import Speakers
from avse.separation.job import Job
from avse.settings import Settings

EXAMPLES = options.examples(
    ("the voices of all visible people, in talk.enhanced.wav", "avse enhance talk.mp4"),
    ("the same video with that sound", "avse enhance talk.mp4 -o clean.mp4"),
    ("keep a tenth of the other sound", "avse enhance talk.mp4 --mix 0.1 -o clean.mp4"),
    (
        "and the removed sound, in clean.residual.wav",
        "avse enhance talk.mp4 --residual -o clean.wav",
    ),
)


@options.takes_settings()
def enhance(
    *,
    context: typer.Context,
    inputs: options.Input,
    output: options.Output = None,
    bits: options.Bits = None,
    residual: options.Residual = False,
    keep_original_audio: options.KeepOriginalAudio = False,
    report: options.Report = False,
    clip: options.Clipping = options.ClipMode.RESCALE,
    settings: Settings,
    as_json: options.AsJson = False,
    force: options.Force = False,
    dry_run: options.DryRun = False,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Write one file with the voices of all visible people.

    Noise, music and off-screen speech are removed.

    Prints the paths of the files written, one a line.
    """
    terminal = terminal_of(context)
    source = one_input(inputs, "enhance")
    naming = name_outputs(source, output, DEFAULT_NAME, several=False, what="")
    done = carry_out(
        Job(
            source=source,
            speakers=Speakers.read("all"),
            together=True,
            naming=naming,
            settings=settings,
            residual=residual,
            clip=clip.value,
            keep_original_audio=keep_original_audio,
            force=force,
            dry_run=dry_run,
            bits=bits,
            report=report,
        ),
        terminal,
    )
    ((_, path),) = done.stems
    if as_json:
        named = settings.people is not None or any(person.name for person in done.people)
        terminal.result_json(
            {
                "input": str(source),
                "sample_rate": done.sample_rate,
                "output": str(path),
                **({"people": [p.name for p in done.people]} if named else {}),
                "residual": None if done.residual is None else str(done.residual),
                "reports": [str(path) for path in done.reports],
                "sync": None if done.sync is None else done.sync.as_json(),
            }
        )
        return
    for written in done.paths:
        terminal.result(str(written))
