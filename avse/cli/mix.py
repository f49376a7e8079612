"""`avse mix`: a test set of several people talking at once, from clips of one person each."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from avse.cli import options
from avse.cli.error_handling import FAILED
from avse.cli.mix_output import report, show
from avse.cli.progress import Stages
from avse.cli.terminal import terminal_of
from avse.errors import UsageError
from avse.mixtures.protocols import ANY, GRID_PROTOCOLS, LIST
from avse.mixtures.settings import Range, SetSettings
from avse.utils.paths import user_path

EXAMPLES = options.examples(
    ("100 mixtures of two, from a folder with a folder for each person", "avse mix clips -o set"),
    (
        "three people and noise at 0 to 10 dB",
        "avse mix clips -o set --speakers 3 --noise noises --snr 0..10",
    ),
    (
        "a published split of the GRID corpus",
        "avse mix grid -o grid-test --protocol casia-grid --split test --count 500",
    ),
    (
        "the mixtures of a published list, sound only",
        "avse mix lrs2 -o lrs2-2mix --list mix_2_spk_tt.scp --seconds 2 --no-video",
    ),
    ("people who take turns, with short overlaps", "avse mix clips -o set --turns 0.3"),
    ("the test speakers of a pack", "avse mix clips -o set --pack pack --split test"),
    ("the same set again, from its manifest", "avse mix clips -o set --list manifest.jsonl"),
    ("what would be mixed?", "avse mix clips -o set --dry-run"),
    ("are the files unchanged?", "cd set && sha256sum --check SHA256SUMS"),
)

DEFAULT_SNR = "{:g}..{:g}".format(*SetSettings.snr_db)
_LEVEL = r"\s*([-+]?\d+(?:\.\d+)?)\s*"
_RANGE = re.compile(rf"{_LEVEL}(?:\.\.{_LEVEL})?")

Clips = Annotated[
    str,
    typer.Argument(
        metavar="CLIPS",
        help="Folder with one folder of clips for each person, or a corpus that --protocol "
        "supports.",
    ),
]
Output = Annotated[
    str,
    typer.Option("--output", "-o", metavar="FOLDER", help="Output folder; created if missing."),
]
Protocol = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        metavar="|".join((*GRID_PROTOCOLS, ANY, LIST)),
        envvar="AVSE_PROTOCOL",
        show_default=f"{ANY}, or {LIST} with --list",
        help="Protocol that sets the split of each speaker and the levels of the voices.",
    ),
]
ListFile = Annotated[
    str | None,
    typer.Option(
        "--list",
        metavar="FILE",
        show_default=False,
        help="Mixture list: lines such as `a.wav 1.2 b.wav -1.2` (LRS2-, LRS3- and "
        "VoxCeleb2-2Mix), the columns of MuSE, or the manifest.jsonl of a set, which makes "
        "that set again.",
    ),
]
Pack = Annotated[
    str | None,
    typer.Option(
        "--pack",
        metavar="PACK",
        envvar="AVSE_PACK",
        show_default=False,
        help="Pack that avse prepare made of the same clips; speakers and splits are taken from "
        "it.",
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="train|valid|test|all",
        envvar="AVSE_SPLIT",
        show_default="all of any folder, else test",
        help="Split to use. In an arbitrary folder, 10 % of the speakers are in test and 10 % in "
        "valid, chosen by name as in avse prepare.",
    ),
]
Speakers = Annotated[
    int | None,
    typer.Option(
        "--speakers",
        metavar="2|3|4",
        envvar="AVSE_SPEAKERS",
        show_default="2",
        help="Number of speakers in each mixture.",
    ),
]
Count = Annotated[
    int | None,
    typer.Option(
        "--count",
        metavar="N",
        envvar="AVSE_COUNT",
        show_default="100, or all of a list",
        help="Number of mixtures.",
    ),
]
Sir = Annotated[
    str | None,
    typer.Option(
        "--sir",
        metavar="DB..DB",
        envvar="AVSE_SIR",
        show_default="-5..5; 0 for morrone-grid",
        help="Level of the first voice relative to each other voice, in dB.",
    ),
]
NoiseFolder = Annotated[
    str | None,
    typer.Option(
        "--noise",
        metavar="FOLDER",
        envvar="AVSE_NOISE",
        show_default=False,
        help="Folder of noise files; one is added to each mixture.",
    ),
]
Snr = Annotated[
    str,
    typer.Option(
        "--snr",
        metavar="DB..DB",
        envvar="AVSE_SNR",
        help="Level of all voices together relative to the noise, in dB.",
    ),
]
Seconds = Annotated[
    float | None,
    typer.Option(
        "--seconds",
        metavar="S",
        parser=options.read_time,
        envvar="AVSE_SECONDS",
        show_default="length of the shortest clip",
        help="Maximum length of a mixture.",
    ),
]
Height = Annotated[
    int | None,
    typer.Option(
        "--height",
        metavar="PIXELS",
        envvar="AVSE_HEIGHT",
        show_default="that of the smallest clip",
        help="Height of the videos.",
    ),
]
SampleRate = Annotated[
    int,
    typer.Option(
        "--sample-rate", metavar="HZ", envvar="AVSE_SAMPLE_RATE", help="Sample rate of all sound."
    ),
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", envvar="AVSE_SEED", help="Random seed.")]
Turns = Annotated[
    float | None,
    typer.Option(
        "--turns",
        metavar="SHARE",
        envvar="AVSE_TURNS",
        show_default="all at once",
        help="Overlap of turns. Each speaker begins when this share of the previous clip is left: "
        "0 is one after the other, 1 is all at once. A speaker who waits keeps still. Also "
        "writes who speaks when, as RTTM.",
    ),
]
NoVideo = Annotated[
    bool,
    typer.Option(
        "--no-video", envvar="AVSE_NO_VIDEO", help="Write sound only. Clips then need no picture."
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        "-f",
        help="Replace another set in the folder. Mixtures that stay the same are kept.",
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", "-n", help="Read and check the clips and show the plan, but write nothing."
    ),
]


def mix(
    context: typer.Context,
    clips: Clips,
    output: Output,
    protocol: Protocol = None,
    list_file: ListFile = None,
    split: Split = None,
    pack: Pack = None,
    speakers: Speakers = None,
    count: Count = None,
    sir: Sir = None,
    noise: NoiseFolder = None,
    snr: Snr = DEFAULT_SNR,
    seconds: Seconds = None,
    height: Height = None,
    sample_rate: SampleRate = SetSettings.sample_rate,
    turns: Turns = SetSettings.turns,
    seed: Seed = SetSettings.seed,
    no_video: NoVideo = False,
    jobs: options.Jobs = None,
    as_json: options.AsJson = False,
    force: Force = False,
    dry_run: DryRun = False,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Make a test set: people side by side, talking at once.

    Writes manifest.jsonl, which lists the clips of each mixture; mixtures, and references that add
    up to them; and videos with the faces left to right in the order of the references. The same
    clips, options and seed give the same bytes, with any number of processes. Run the same command
    again to resume a stopped run.

    Prints the path of the manifest.
    """
    terminal = terminal_of(context)
    settings = SetSettings(
        protocol=protocol or (ANY if list_file is None else LIST),
        split=split,
        speakers=speakers,
        count=count,
        sir_db=None if sir is None else read_range("--sir", sir),
        snr_db=read_range("--snr", snr),
        seconds=seconds,
        height=height,
        sample_rate=sample_rate,
        video=not no_video,
        turns=turns,
        seed=seed,
    )
    if not output.strip() or output == "-":
        raise UsageError("--output must be a folder", "such as: -o set")
    root, folder = user_path(clips), user_path(output)
    noises = None if noise is None else user_path(noise)
    from avse.mixtures.plan import plan_set
    from avse.mixtures.rendering import check_folder, make_set
    from avse.utils.processors import usable_processors

    with Stages(terminal) as progress:
        check_folder(folder, root, None, overwrite=force)
        plan = plan_set(
            root,
            settings,
            noise=noises,
            list_file=None if list_file is None else user_path(list_file),
            pack=None if pack is None else user_path(pack),
            progress=progress,
        )
        check_folder(folder, root, plan, overwrite=force)
        for warning in plan.warnings:
            terminal.warn(warning)
        result = None
        if not dry_run:
            result = make_set(
                plan,
                folder,
                clips=root,
                noise=noises,
                overwrite=force,
                jobs=jobs or usable_processors(),
                progress=progress,
            )
    failures = plan.failures if result is None else result.failures
    manifest = folder / "manifest.jsonl"
    if as_json:
        from avse.mixtures.manifest import as_record

        terminal.result_json(
            {
                "manifest": str(manifest),
                "sha256": plan.manifest.sha256,
                "protocol": plan.manifest.protocol,
                "split": plan.manifest.split,
                "made": 0 if result is None else len(result.made),
                "kept": 0 if result is None else len(result.kept),
                "failed": [{"id": f.id, "reason": f.error.message} for f in failures],
                "items": [as_record(item) for item in plan.manifest.items] if dry_run else None,
            }
        )
    elif dry_run:
        show(plan, terminal)
    else:
        terminal.result(str(manifest))
    if dry_run:
        terminal.note("dry run: nothing was written")
    elif result is not None and result.kept:
        terminal.note(f"{len(result.kept)} mixtures existed already, {len(result.made)} made")
    if failures:
        report(failures, terminal)
        raise typer.Exit(FAILED)


def read_range(option: str, text: str) -> Range:
    """Read "-5..5" or "0".

    Raises:
        UsageError: it is neither.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{option} {text!r} is not a level in decibels", "such as 0, or a range: -5..5"
        )
    low = float(match[1])
    return low, low if match[2] is None else float(match[2])
