"""`avse evaluate`: score estimates, or a model on a test set."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from avse.cli import options
from avse.cli.error_handling import FAILED
from avse.cli.progress import Stages
from avse.cli.tables import table
from avse.cli.terminal import Terminal, terminal_of
from avse.errors import InputError, OutputExistsError, UsageError
from avse.settings import Settings
from avse.utils.paths import user_path
from avse.utils.sharing import without_folders

if TYPE_CHECKING:
    from avse.evaluation.evaluation import Judged, Request

EXAMPLES = options.examples(
    (
        "estimates against references of the same names",
        "avse evaluate --estimates out/ --references clean/ --mixtures mixed/",
    ),
    ("a model on a test set of avse mix", "avse evaluate --manifest set/ -m avse-small -o first/"),
    ("the network alone", "avse evaluate --manifest set/ --network-only"),
    ("is it better than before?", "avse evaluate --manifest set/ --compare first/results.json"),
    ("how much does an A/V offset cost?", "avse evaluate --manifest set/ --curves offset,missing"),
)
FILES = ("report.html", "items.csv", "results.json")
_LISTED = 10

Estimates = Annotated[
    str | None,
    typer.Option(
        "--estimates",
        metavar="FOLDER",
        show_default=False,
        help="Folder of separated voices to score. Each estimate is compared with the reference "
        "of the same name; file endings are ignored.",
    ),
]
References = Annotated[
    str | None,
    typer.Option(
        "--references",
        metavar="FOLDER",
        show_default=False,
        help="Folder of clean voices. Names that differ only after their last dot (talk.1, talk.2)"
        " are voices of one mixture (talk).",
    ),
]
Mixtures = Annotated[
    str | None,
    typer.Option(
        "--mixtures",
        metavar="FOLDER",
        show_default=False,
        help="Folder of mixtures: talk, or talk.1 and so on. Needed for improvements and ceilings.",
    ),
]
ManifestFile = Annotated[
    str | None,
    typer.Option(
        "--manifest",
        metavar="FILE.jsonl",
        show_default=False,
        help="Test set of `avse mix` with videos, or its folder. The set is separated, and the "
        "result is scored.",
    ),
]
NetworkOnly = Annotated[
    bool,
    typer.Option(
        "--network-only",
        help="Score the network alone: its input is the mixture as made, and the lips from each "
        "person's part of the picture.",
    ),
]
Metrics = Annotated[
    str,
    typer.Option(
        "--metrics",
        metavar="LIST",
        envvar="AVSE_METRICS",
        help="Metrics: all, or some of si-sdr, si-sdri, sdr, sdri, pesq-wb, pesq-nb, stoi, estoi, "
        "wrong-speaker, silent-level.",
    ),
]
Ceilings = Annotated[
    bool,
    typer.Option(
        "--ceilings/--no-ceilings",
        help="Also score oracle masks. This takes two and a half times as long.",
    ),
]
Trim = Annotated[
    bool,
    typer.Option(
        "--trim",
        help="Cut the longer of estimate and reference to the length of the shorter, and report by"
        " how much. Without it such pairs are not scored. Signals are never shifted.",
    ),
]
Curves = Annotated[
    str | None,
    typer.Option(
        "--curves",
        metavar="LIST",
        show_default=False,
        help="Robustness curves: offset, missing or frozen lips, snr, speakers, size or rate of "
        "the picture, sync (late sound in the file, corrected), or all. Needs --manifest.",
    ),
]
CurveItems = Annotated[
    int,
    typer.Option("--curve-items", min=1, metavar="N", help="Number of mixtures for the curves."),
]
Transcriber = Annotated[
    str | None,
    typer.Option(
        "--transcriber",
        metavar="NAME|COMMAND",
        envvar="AVSE_TRANSCRIBER",
        show_default=False,
        help="Also measure the word error rate with faster-whisper[:MODEL], or with a command that"
        " prints the words in the sound file {}. The command runs without a shell.",
    ),
]
Compare = Annotated[
    str | None,
    typer.Option(
        "--compare",
        metavar="FILE.json",
        show_default=False,
        help="results.json of another evaluation. The report then shows paired differences.",
    ),
]
KeepEstimates = Annotated[
    bool,
    typer.Option(
        "--keep-estimates", help="With --manifest, keep the separated voices as WAV files."
    ),
]
OutputFolder = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FOLDER",
        help=f"Folder for {', '.join(FILES)}; created if missing.",
    ),
]


@options.takes_settings(
    "model",
    "device",
    "window_s",
    "overlap",
    "gate",
    "carry",
    "enrol",
    "offscreen_model",
    "faces",
    "sync",
    "cache",
)
def evaluate(
    *,
    context: typer.Context,
    estimates: Estimates = None,
    references: References = None,
    mixtures: Mixtures = None,
    manifest: ManifestFile = None,
    network_only: NetworkOnly = False,
    metrics: Metrics = "all",
    ceilings: Ceilings = True,
    trim: Trim = False,
    curves: Curves = None,
    curve_items: CurveItems = 20,
    transcriber: Transcriber = None,
    compare: Compare = None,
    keep_estimates: KeepEstimates = False,
    output: OutputFolder = "evaluation",
    jobs: options.Jobs = None,
    settings: Settings,
    as_json: options.AsJson = False,
    force: options.Force = False,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Score separated voices, or a model on a test set, and write a report.

    Prints the paths of the report, the table and the data, one a line. The exit code is 1 if
    something could not be scored, such as an estimate without a reference or a face that was not
    found.
    """
    terminal = terminal_of(context)
    by_folders = estimates is not None or references is not None or mixtures is not None
    if by_folders == (manifest is not None) or (by_folders and not (estimates and references)):
        raise UsageError(
            "there is nothing to score",
            "give --estimates and --references, or --manifest; see `avse evaluate --help`",
        )
    if by_folders and (network_only or curves or keep_estimates):
        raise UsageError(
            "--network-only, --curves and --keep-estimates need --manifest",
            "leave them out, or give a test set of `avse mix`",
        )
    from avse.evaluation.evaluation import Request, failed, read_names
    from avse.evaluation.results import made, read_results
    from avse.evaluation.robustness import CURVES
    from avse.evaluation.scoring import ScoringPlan
    from avse.metrics import METRICS
    from avse.utils.processors import usable_processors

    request = Request(
        plan=ScoringPlan(read_names("metric", metrics, METRICS), ceilings, trim),
        jobs=jobs or usable_processors(),
        command=terminal.command,
        curves=() if curves is None else read_names("curve", curves, CURVES),
        curve_items=curve_items,
        transcriber=transcriber,
    )
    folder = user_path(output)
    targets = [folder / name for name in FILES]
    estimates_folder = folder / "estimates"
    _check([*targets, estimates_folder] if keep_estimates else targets, force=force)
    other = None if compare is None else read_results(user_path(compare))
    with ExitStack() as stack:
        stack.enter_context(made(folder))
        progress = stack.enter_context(Stages(terminal))
        scratch = (
            estimates_folder
            if keep_estimates
            else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="avse-")))
        )
        if manifest is None:
            from avse.evaluation.evaluation import judge_folders

            assert estimates is not None
            assert references is not None
            judged = judge_folders(
                user_path(estimates),
                user_path(references),
                None if mixtures is None else user_path(mixtures),
                request,
                progress,
            )
        else:
            settings = replace(settings, corrections=False)
            judged = _on_test_set(
                manifest, request, settings, scratch, progress, network_only=network_only
            )
        incomparable = (
            None if other is None else _compare(judged, other, without_folders(str(compare)))
        )
        progress("Writing the report", 0.0, None)
        from avse.evaluation.report import write_all

        write_all(folder, judged.results, judged.mixtures, overwrite=force)
    _tell(judged.results, targets, terminal, as_json=as_json)
    if incomparable is not None:
        raise incomparable
    if failed(judged.results):
        raise typer.Exit(FAILED)


def _compare(judged: Judged, other: dict[str, Any], name: str) -> InputError | None:
    """Add the comparison; an error is kept for later, so that the scores are not lost."""
    from avse.evaluation.comparison import compare

    try:
        judged.results["comparison"] = compare(judged.results, other, name)
    except InputError as error:
        return error
    return None


def _on_test_set(
    manifest: str,
    request: Request,
    settings: Settings,
    scratch: Path,
    progress: Stages,
    *,
    network_only: bool,
) -> Judged:
    from avse.evaluation.evaluation import judge_test_set
    from avse.evaluation.testset import open_test_set

    test_set = open_test_set(user_path(manifest))
    if request.plan.trim:
        raise UsageError("--trim cannot be used with --manifest", "leave it out")
    return judge_test_set(test_set, request, settings, scratch, progress, network_only=network_only)


def _check(targets: list[Path], *, force: bool) -> None:
    for target in targets:
        if target.exists() and not force:
            raise OutputExistsError(
                f"{target} exists already", "choose another --output, or give --force"
            )


def _tell(
    results: dict[str, Any], targets: list[Path], terminal: Terminal, *, as_json: bool
) -> None:
    from avse.evaluation.evaluation import failed
    from avse.metrics.extra import INSTALL

    if as_json:
        short = {key: results[key] for key in results if key not in ("items", "mixtures")}
        files = dict(zip(("report", "table", "results"), map(str, targets), strict=True))
        terminal.result_json({**short, "files": files})
    else:
        for line in _summary(results):
            terminal.note(line)
        counts = results["counts"]
        terminal.note(
            f"{counts['items']} voices: {counts['scored']} scored, {counts['undefined']} not "
            f"defined, {counts['failed']} failed"
        )
        for target in targets:
            terminal.result(str(target))
    if results["versions"]["pesq"] == "not installed" and "pesq-wb" in results["metrics"]:
        terminal.warn(
            f"PESQ is left out: the package 'pesq' is not installed ({INSTALL}; needs a C compiler)"
        )
    late = results["alignment"]["out_of_step"]
    if late:
        terminal.warn(f"{late} estimates have a time offset to their references; see the report")
    lines = failed(results)
    if len(lines) > _LISTED:
        lines[_LISTED:] = [f"and {len(lines) - _LISTED} more"]
    for number, line in enumerate(lines, 1):
        last = number == len(lines)
        terminal.error(line, f"the averages leave these out; see {targets[0]}" if last else "")


def _summary(results: dict[str, Any]) -> list[str]:
    rows = []
    for metric, found in results["summary"]["estimate"].items():
        cells = [_short(found[key]) for key in ("median", "mean", "low", "high")]
        cells[2:] = [f"{cells[2]} to {cells[3]}"]
        rows.append([metric, *cells, str(found["scored"]), str(found["undefined"])])
    heads = ["metric", "median", "mean", "95 % of the mean", "scored", "undefined"]
    return table(heads, rows, right="median mean scored undefined")


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
