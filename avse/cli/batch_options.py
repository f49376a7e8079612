"""The options that only `avse batch` has."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from avse.cli.options import read_time
from avse.errors import UsageError


class Verb(StrEnum):
    """What to do with each recording."""

    SEPARATE = "separate"
    ENHANCE = "enhance"


class Style(StrEnum):
    """How progress is shown."""

    AUTO = "auto"
    LINES = "lines"
    JSON = "json"


Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT...",
        show_default=False,
        help="Videos, folders and patterns. Folders are searched; outputs keep their sub-folders.",
    ),
]
Output = Annotated[
    str,
    typer.Option(
        "--output", "-o", metavar="FOLDER", help="Folder for all outputs; created if missing."
    ),
]
InputList = Annotated[
    list[str] | None,
    typer.Option(
        "--input-list",
        metavar="FILE|-",
        show_default=False,
        help="File that lists inputs, one a line or each ended by NUL; - reads stdin.",
    ),
]
VerbOption = Annotated[
    Verb,
    typer.Option(
        "--verb",
        envvar="AVSE_VERB",
        help="separate writes a file for each voice; enhance writes one file with all of them.",
    ),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="FOLDER",
        show_default=False,
        help="Folder whose sub-folders the outputs keep, where inputs are given one by one.",
    ),
]
ManifestFile = Annotated[
    str | None,
    typer.Option(
        "--manifest",
        metavar="FILE.jsonl",
        show_default="avse-batch.jsonl in the folder",
        help="File that records which recordings are done and which have failed.",
    ),
]
Threads = Annotated[
    str,
    typer.Option(
        "--threads",
        metavar="N|auto",
        envvar="AVSE_THREADS",
        help="Threads of each process. The number changes the last bit of the results, so it does "
        "not depend on --jobs; auto divides the processors among the jobs.",
    ),
]


def read_timeout(time: str) -> float:
    """Read --timeout.

    Raises:
        typer.BadParameter: it is not a time above 0.
    """
    seconds = read_time(time)
    if seconds <= 0:
        raise typer.BadParameter(f"{time} is not above 0")
    return seconds


Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        parser=read_timeout,
        envvar="AVSE_TIMEOUT",
        show_default="none",
        help="Timeout for each recording, in seconds or as a clock time such as 1:30:00.",
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        "--memory",
        metavar="GB",
        min=0.001,
        envvar="AVSE_MEMORY",
        show_default="90 % of what is free",
        help="Total memory of all processes, in GB. Recordings that exceed it are retried with a "
        "smaller window.",
    ),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop the run at the first failure.")]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Retry only recordings that failed. (A normal rerun retries them too, and also "
        "processes new recordings.)",
    ),
]
Verify = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Compare files with the manifest by hash, even where size and times are unchanged.",
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        envvar="AVSE_SHARD",
        show_default=False,
        help="Process part I of N: one part for each machine or task of a job array.",
    ),
]
ProgressStyle = Annotated[
    Style,
    typer.Option(
        "--progress",
        envvar="AVSE_PROGRESS",
        help="Progress on stderr: auto shows bars on a terminal and lines elsewhere; json prints "
        "one JSON object a line.",
    ),
]
NoReport = Annotated[bool, typer.Option("--no-report", help="Write no HTML report.")]
ReportOriginals = Annotated[
    bool,
    typer.Option(
        "--report-originals",
        envvar="AVSE_REPORT_ORIGINALS",
        help="Put a compressed copy of each original sound beside the HTML report, so that the "
        "report plays before and after. About 1 MB a minute.",
    ),
]
Force = Annotated[
    bool, typer.Option("--force", "-f", help="Process everything again and replace existing files.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ray://HOST:PORT|auto",
        envvar="AVSE_CLUSTER",
        show_default=False,
        help="Run on a Ray cluster; files must have the same paths on every machine. Needs "
        'pip install "avse[cluster]".',
    ),
]
ItemCpus = Annotated[
    float,
    typer.Option(
        "--item-cpus",
        metavar="N",
        min=0.01,
        help="CPUs that a cluster reserves for each recording.",
    ),
]
ItemGpus = Annotated[
    float,
    typer.Option(
        "--item-gpus",
        metavar="N",
        min=0,
        help="GPUs that a cluster reserves for each recording; with 0.25, four share one GPU.",
    ),
]


def read_threads(text: str, jobs: int, processors: int) -> int:
    """Read --threads: a number, or "auto".

    Raises:
        UsageError: it is neither.
    """
    if text == "auto":
        return max(1, processors // jobs)
    if text.isdecimal() and int(text) >= 1:
        return int(text)
    raise UsageError(
        f"--threads must be a positive whole number or auto, not {text!r}", "such as: --threads 1"
    )
