"""`avse separate`: the voice of a person, or of each."""

from __future__ import annotations

from typing import Annotated

import typer

from avse.cli import options
from avse.cli.inputs import one_input, read_speaker
from avse.cli.job import carry_out
from avse.cli.terminal import terminal_of
from avse.job import Job
from avse.naming import DEFAULT_NAME, name_outputs
from avse.settings import Settings

EXAMPLES = options.examples(
    ("each person's voice: talk.1.wav, talk.2.wav, …", "avse separate talk.mp4"),
    ("who is number what?", "avse inspect talk.mp4 --sheet faces.png"),
    ("person 2, as a video", "avse separate talk.mp4 --speaker 2 -o anna.mp4"),
    (
        "whoever is there at 12.5 s, a third from the left",
        "avse separate talk.mp4 --speaker @12.5s:0.33,0.40 -o anna.wav",
    ),
    (
        "whoever is called anna in people.toml",
        "avse separate talk.mp4 --people people.toml --speaker anna -o anna.wav",
    ),
    (
        "all voices and the rest, as FLAC, into a folder",
        'avse separate talk.mp4 --residual --name "{stem}.{speaker}.flac" -o voices/',
    ),
    (
        "and what each person says, as subtitles: talk.1.srt, talk.2.srt, …",
        "avse separate talk.mp4 --transcribe faster-whisper:small.en",
    ),
    ("what would be written?", "avse separate talk.mp4 --dry-run"),
)

Transcribe = Annotated[
    str | None,
    typer.Option(
        "--transcribe",
        metavar="RECOGNISER",
        envvar="AVSE_TRANSCRIBE",
        show_default=False,
        help="Also write what each voice says, as subtitles beside it: faster-whisper[:MODEL], or "
        "a command that prints the words in the sound file {}.",
    ),
]


def separate(
    context: typer.Context,
    inputs: options.Input,
    speaker: options.Speaker = "all",
    output: options.Output = None,
    name: options.Name = DEFAULT_NAME,
    residual: options.Residual = False,
    transcribe: Transcribe = None,
    mix: options.Mix = Settings.mix,
    clip: options.Clipping = options.Clip.RESCALE,
    keep_original_audio: options.KeepOriginalAudio = False,
    people: options.People = None,
    track: options.Track = Settings.track,
    model: options.Model = Settings.model,
    device: options.Device = Settings.device,
    window: options.Window = Settings.window_s,
    overlap: options.Overlap = Settings.overlap,
    gate: options.Gate = Settings.gate,
    faces: options.Faces = Settings.faces,
    sync: options.Sync = Settings.sync,
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
    settings = Settings(
        model=model,
        device=device,
        faces=faces,
        window_s=window,
        overlap=overlap,
        mix=mix,
        track=track,
        people=people,
        gate=gate,
        sync=sync,
    )
    source = one_input(inputs)
    chosen = read_speaker(speaker, people)
    several = chosen == "all" or isinstance(chosen, list) or (people is not None and "," in speaker)
    naming = name_outputs(
        source, output, name, several=several, what=f"--speaker {speaker} gives one for each person"
    )
    done = carry_out(
        Job(
            source=source,
            speaker=chosen,
            together=False,
            naming=naming,
            settings=settings,
            residual=residual,
            clip=clip.value,
            keep_original_audio=keep_original_audio,
            force=force,
            dry_run=dry_run,
            transcribe=transcribe,
        ),
        terminal,
    )
    if as_json:
        terminal.result_json(
            {
                "input": str(source),
                "sample_rate": done.sample_rate,
                "stems": [
                    {
                        "speaker": n,
                        **({} if people is None else {"name": done.name_of(n)}),
                        "path": str(path),
                        "subtitles": str(done.subtitles[n]) if n in done.subtitles else None,
                    }
                    for n, path in done.stems
                ],
                "residual": None if done.residual is None else str(done.residual),
                "sync": None if done.sync is None else done.sync.as_json(),
            }
        )
    else:
        for path in done.paths:
            terminal.result(str(path))
    if done.failure is not None:
        raise done.failure
