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
    """How to tell what is going on."""

    AUTO = "auto"
    LINES = "lines"
    JSON = "json"


Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT...",
        show_default=False,
        help="Videos, folders (searched through, sub-folders are kept) and patterns.",
    ),
]
Output = Annotated[
    str,
    typer.Option("--output", "-o", metavar="FOLDER", help="Where outputs go; made if missing."),
]
InputList = Annotated[
    list[str] | None,
    typer.Option(
        "--input-list",
        metavar="FILE|-",
        show_default=False,
        help="A file with an input in each line (or ended by NUL each); - is stdin.",
    ),
]
VerbOption = Annotated[
    Verb,
    typer.Option("--verb", envvar="AVSE_VERB", help="A file for each voice, or one with all."),
]
Base = Annotated[
    str | None,
    typer.Option(
        "--base",
        metavar="FOLDER",
        show_default=False,
        help="Keep the sub-folders below this one, for inputs that are given one by one.",
    ),
]
ManifestFile = Annotated[
    str | None,
    typer.Option(
        "--manifest",
        metavar="FILE.jsonl",
        show_default="avse-batch.jsonl in the folder",
        help="What is done and what has failed.",
    ),
]
Threads = Annotated[
    str,
    typer.Option(
        "--threads",
        metavar="N|auto",
        envvar="AVSE_THREADS",
        help="Threads of each process. Results depend on it in the last bit, which is why it is "
        "the same whatever --jobs is; auto divides the processors among the jobs.",
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
        help="Give a file up after so long.",
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        "--memory",
        metavar="GB",
        min=0.001,
        envvar="AVSE_MEMORY",
        show_default="nine tenths of what is free",
        help="Of all processes together. Who takes more is tried again with smaller windows.",
    ),
]
FailFast = Annotated[bool, typer.Option("--fail-fast", help="Stop at the first failure.")]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Take up nothing but what failed before. (Any rerun tries that again, and does what "
        "is new besides.)",
    ),
]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="Hash every file again, even those that nobody has touched."),
]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        envvar="AVSE_SHARD",
        show_default=False,
        help="Do the I-th of N parts: one for each machine or task of a job array.",
    ),
]
ProgressStyle = Annotated[
    Style,
    typer.Option(
        "--progress",
        envvar="AVSE_PROGRESS",
        help="On stderr: auto is bars on a terminal, else lines; json is an object a line.",
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
    bool, typer.Option("--force", "-f", help="Do everything again, and replace what is there.")
]
Cluster = Annotated[
    str | None,
    typer.Option(
        "--cluster",
        metavar="ray://HOST:PORT|auto",
        envvar="AVSE_CLUSTER",
        show_default=False,
        help="Work on a Ray cluster; files must have the same paths on every machine. Needs "
        'pip install "avse[cluster]".',
    ),
]
ItemCpus = Annotated[
    float,
    typer.Option("--item-cpus", metavar="N", min=0.01, help="Of a cluster, for each recording."),
]
ItemGpus = Annotated[
    float,
    typer.Option("--item-gpus", metavar="N", min=0, help="Of a cluster; 0.25: four share one."),
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
    raise UsageError(f"--threads {text!r} is not a number", "give 1 or more, or auto")
