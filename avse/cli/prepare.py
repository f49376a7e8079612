"""`avse prepare`: turn folders of clips into training data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from avse.cli import options
from avse.cli.error_handling import FAILED
from avse.cli.progress import Stages
from avse.cli.terminal import Terminal, terminal_of
from avse.errors import UsageError
from avse.prepare.settings import PrepareSettings
from avse.utils.paths import user_path

if TYPE_CHECKING:
    from avse.prepare.running import Prepared

EXAMPLES = options.examples(
    ("clips of talking faces, a folder for each person", "avse prepare clips -o pack"),
    ("the GRID corpus, s34 kept for testing", "avse prepare grid -o pack --hold-out s34"),
    (
        "clips without speaker labels: check pack/people.png afterwards",
        "avse prepare clips -o pack --layout flat",
    ),
    ("four clips at a time", "avse prepare voxceleb2 -o pack -j 4"),
    ("speech without pictures", "avse prepare librispeech -o speech --sound-only"),
    (
        "the same, with speakers from a table",
        "avse prepare speech -o speech --sound-only --labels speech/speech.tsv",
    ),
)

Folders = Annotated[
    list[str],
    typer.Argument(metavar="FOLDER...", help="Folders of clips. Sub-folders are searched."),
]
Output = Annotated[
    str,
    typer.Option("--output", "-o", metavar="PACK", help="Output folder; created if missing."),
]
Layout = Annotated[
    str,
    typer.Option(
        "--layout",
        metavar="auto|folders|flat|grid|lrs|voxceleb|avsec",
        envvar="AVSE_LAYOUT",
        help="Layout of the folders. auto detects it; folders: each folder is a person; flat: "
        "people are told apart by face and voice; other names: the layout of that corpus.",
    ),
]
Corpus = Annotated[
    str | None,
    typer.Option(
        "--corpus",
        metavar="NAME",
        envvar="AVSE_CORPUS",
        show_default="from the layout or folder",
        help="Corpus name of the clips. Mixtures are made within a corpus.",
    ),
]
SoundOnly = Annotated[
    bool,
    typer.Option(
        "--sound-only",
        envvar="AVSE_SOUND_ONLY",
        help="Read sound only, for speech without video and for noise.",
    ),
]
Labels = Annotated[
    str | None,
    typer.Option(
        "--labels",
        metavar="FILE.tsv",
        show_default=False,
        help="Table with the columns file, corpus and speaker; only these files are read.",
    ),
]
TestShare = Annotated[
    float,
    typer.Option(
        "--test-share",
        metavar="0..1",
        envvar="AVSE_TEST_SHARE",
        help="Share of speakers in the test split, chosen by name as in avse mix.",
    ),
]
ValidShare = Annotated[
    float,
    typer.Option(
        "--valid-share",
        metavar="0..1",
        envvar="AVSE_VALID_SHARE",
        help="Share of speakers in the validation split.",
    ),
]
HoldOut = Annotated[
    list[str] | None,
    typer.Option(
        "--hold-out",
        metavar="PERSON",
        show_default=False,
        help="Speaker to put into the test split in any case: a name as in the report, or "
        "CORPUS/NAME. May be given more than once.",
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        "--seed",
        metavar="N",
        envvar="AVSE_SEED",
        help="Seed of the splits. With another seed, avse mix has other splits unless it gets this"
        " pack.",
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", "-f", help="Read all clips again, and replace the pack in the folder."),
]


def prepare(
    context: typer.Context,
    folders: Folders,
    output: Output,
    layout: Layout = PrepareSettings.layout,
    corpus: Corpus = None,
    jobs: options.Jobs = None,
    sound_only: SoundOnly = False,
    labels: Labels = None,
    test_share: TestShare = PrepareSettings.test_share,
    valid_share: ValidShare = PrepareSettings.valid_share,
    hold_out: HoldOut = None,
    seed: Seed = PrepareSettings.seed,
    faces: Annotated[str, options.setting("faces")] = PrepareSettings.faces,
    model: Annotated[str, options.setting("model")] = PrepareSettings.model,
    as_json: options.AsJson = False,
    force: Force = False,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Turn folders of talking-face clips into training data.

    For each clip the pack holds the sound (16 kHz, mono), the lips (25 Hz), the A/V offset and the
    quality. Unusable clips are left out, and the report gives each reason. Speakers are divided
    into train, valid and test. Run the same command again to resume a stopped run and to add new
    clips.

    Prints the path of the list of clips.
    """
    terminal = terminal_of(context)
    if not output.strip() or output == "-":
        raise UsageError("--output must be a folder", "such as: -o pack")
    from avse.prepare.running import prepare as run
    from avse.utils.processors import usable_processors

    settings = PrepareSettings(
        layout=layout,
        corpus=corpus,
        sound_only=sound_only,
        faces=faces,
        model=model,
        test_share=test_share,
        valid_share=valid_share,
        hold_out=tuple(hold_out or ()),
        seed=seed,
    )
    with Stages(terminal) as progress:
        made = run(
            [user_path(folder) for folder in folders],
            user_path(output),
            settings,
            labels=None if labels is None else user_path(labels),
            jobs=jobs or usable_processors(),
            force=force,
            progress=progress,
        )
    for warning in made.warnings:
        terminal.warn(warning)
    _tell(made, terminal, as_json=as_json)
    if made.failures:
        for clip in made.failures[:5]:
            terminal.error(clip.detail, f"{clip.source.path} was left out")
        if len(made.failures) > 5:
            terminal.error(f"{len(made.failures) - 5} more files could not be read")
        raise typer.Exit(FAILED)


def _tell(made: Prepared, terminal: Terminal, *, as_json: bool) -> None:
    listed = made.folder / "clips.jsonl"
    if as_json:
        terminal.result_json(
            {
                "clips": str(listed),
                "layout": made.layout,
                "measured_before": made.measured_before,
                "failed": [{"id": f.source.id, "reason": f.detail} for f in made.failures],
                "report": made.report,
            }
        )
    else:
        terminal.result(str(listed))
    dropped = f", {len(made.dropped)} dropped" if made.dropped else ""
    terminal.note(
        f"layout {made.layout}: {made.clips} clips of {made.report['people']} people{dropped}; see "
        f"{made.folder / 'report.txt'}"
    )
    if made.measured_before:
        terminal.note(f"{made.measured_before} clips were read in an earlier run")
    if made.report["labelled"] is False:
        terminal.note(
            f"people were told apart by face and voice: check {made.folder / 'people.png'}"
        )
