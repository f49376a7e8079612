"""`avse separate`: extract the voice of one person, or of each."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avse.cli import options
from avse.cli.inputs import one_input
from avse.cli.job import carry_out
from avse.cli.terminal import terminal_of
from avse.errors import UsageError
from avse.scene.naming import DEFAULT_NAME, Stem, name_outputs, name_tracks
from avse.scene.speakers import Speakers
from avse.separation.job import Job
from avse.settings import Settings

if TYPE_CHECKING:
    from avse.separation.separator import OutOfSight

EXAMPLES = options.examples(
    ("each person's voice: talk.1.wav, talk.2.wav, …", "avse separate talk.mp4"),
    ("who is number what?", "avse inspect talk.mp4 --sheet faces.png"),
    ("person 2, as a video", "avse separate talk.mp4 --speaker 2 -o anna.mp4"),
    (
        "for an editing program: a track for each person, then the original",
        "avse separate talk.mp4 --tracks voices.mov --keep-original-audio",
    ),
    (
        "the person at 12.5 s, a third from the left",
        "avse separate talk.mp4 --speaker @12.5s:0.33,0.40 -o anna.wav",
    ),
    ("3 is 2 again, after a cut", "avse separate talk.mp4 --same 2=3"),
    ("one minute of it", "avse separate talk.mp4 --start 1:02:00 --end 1:03:00 -o minute/"),
    (
        "the person named anna in people.toml",
        "avse separate talk.mp4 --people people.toml --speaker anna -o anna.wav",
    ),
    (
        "all voices and the rest, as FLAC, into a folder",
        'avse separate talk.mp4 --residual --name "{stem}.{speaker}.flac" -o voices/',
    ),
    (
        "also off-screen speech (narrator, crowd) and the residual",
        "avse separate talk.mp4 --offscreen",
    ),
    (
        "with subtitles for each person: talk.1.srt, talk.2.srt, …",
        "avse separate talk.mp4 --transcribe faster-whisper:small.en",
    ),
    ("24 bits, and a report for reviewers", "avse separate talk.mp4 --bits 24 --report"),
    ("what would be written?", "avse separate talk.mp4 --dry-run"),
)

Transcribe = Annotated[
    str | None,
    typer.Option(
        "--transcribe",
        metavar="RECOGNISER",
        envvar="AVSE_TRANSCRIBE",
        show_default=False,
        rich_help_panel=options.OUTPUT,
        help="Also write subtitles beside each voice, with faster-whisper[:MODEL]"
        " or a command that prints the words in the sound file {}. The command runs without a"
        " shell.",
    ),
]


@options.takes_settings()
def separate(
    *,
    context: typer.Context,
    inputs: options.Input,
    speaker: options.Speaker = "all",
    output: options.Output = None,
    tracks: options.Tracks = None,
    bits: options.Bits = None,
    name: options.Name = DEFAULT_NAME,
    residual: options.Residual = False,
    offscreen: options.Offscreen = False,
    keep_original_audio: options.KeepOriginalAudio = False,
    transcribe: Transcribe = None,
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
    """Write the voice of one person in a video, or of each.

    Prints the paths of the files written, one a line.
    """
    terminal = terminal_of(context)
    source = one_input(inputs, "separate")
    speakers = Speakers.read(speaker)
    several = speakers.count != 1
    naming = name_outputs(
        source,
        output,
        name,
        several=several,
        what=f"--speaker {speaker} gives one file for each person",
    )
    stem_files = tracks is None or output is not None
    if transcribe is not None and not stem_files:
        raise UsageError(
            "--transcribe puts subtitles beside the file of each voice, and --tracks alone writes "
            "no such files",
            "add -o and a folder, or leave --transcribe out",
        )
    done = carry_out(
        Job(
            source=source,
            speakers=speakers,
            together=False,
            naming=naming,
            settings=settings,
            residual=residual or offscreen,
            offscreen=offscreen,
            clip=clip.value,
            keep_original_audio=keep_original_audio,
            force=force,
            dry_run=dry_run,
            transcribe=transcribe,
            bits=bits,
            tracks=None if tracks is None else name_tracks(tracks),
            stem_files=stem_files,
            report=report,
        ),
        terminal,
    )
    if as_json:
        named = settings.people is not None or any(person.name for person in done.people)
        terminal.result_json(
            {
                "input": str(source),
                "sample_rate": done.sample_rate,
                "stems": [
                    {
                        "speaker": n,
                        **({"name": done.name_of(n)} if named else {}),
                        "path": str(path),
                        "out_of_sight": _absences(done.out_of_sight.get(n)),
                        "subtitles": str(done.subtitles[n]) if n in done.subtitles else None,
                    }
                    for n, path in done.stems
                ],
                **{
                    kind: _text(done.beside.get(kind))
                    for kind in (Stem.NARRATOR, Stem.CROWD, Stem.RESIDUAL)
                },
                "tracks": _text(done.tracks),
                "reports": [str(path) for path in done.reports],
                "sync": None if done.sync is None else done.sync.as_json(),
            }
        )
    else:
        for path in done.paths:
            terminal.result(str(path))
    if done.failure is not None:
        raise done.failure


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _absences(stretches: list[OutOfSight] | None) -> list[dict[str, float | None]] | None:
    """For JSON: the stretches without a visible face, and how the voice was found there."""
    if stretches is None:
        return None
    return [
        {
            "start": round(lost.start, 2),
            "stop": round(lost.stop, 2),
            "heard_s": lost.heard_s,
            "confidence": None if lost.confidence is None else round(lost.confidence, 2),
        }
        for lost in stretches
    ]
