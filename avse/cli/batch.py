"""`avse batch`: folders of recordings, unattended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from avse.cli import batch_options as given
from avse.cli import options
from avse.cli.terminal import Terminal, terminal_of
from avse.errors import UsageError
from avse.scene.naming import DEFAULT_NAME
from avse.scene.part import check_order
from avse.settings import Settings
from avse.utils.paths import user_path

if TYPE_CHECKING:
    from avse.batch.process_pool import Limits
    from avse.batch.run import Recruit
    from avse.cli.batch_progress import Lines

EXAMPLES = options.examples(
    ("every voice in every video of a folder", "avse batch recordings/ -o cleaned/"),
    (
        "the plan and how long it would take, without doing it",
        "avse batch recordings/ -o cleaned/ -n",
    ),
    (
        "videos with only the voices of the people in the picture",
        'avse batch recordings/ -o cleaned/ --verb enhance --name "{stem}.mp4"',
    ),
    (
        "a list of files, four at a time, with a timeout of an hour each",
        "avse batch --input-list videos.txt --base /data -o cleaned/ -j 4 --timeout 3600",
    ),
    ("on the third of eight machines", "avse batch /data/videos -o /data/cleaned --shard 3/8"),
    ("on a Ray cluster", "avse batch /data/videos -o /data/cleaned --cluster auto"),
)


@options.takes_settings()
def batch(
    *,
    context: typer.Context,
    output: given.Output,
    inputs: given.Inputs = None,
    input_list: given.InputList = None,
    verb: given.VerbOption = given.Verb.SEPARATE,
    speaker: options.Speaker = "all",
    name: options.Name = DEFAULT_NAME,
    base: given.Base = None,
    residual: options.Residual = False,
    clip: options.Clipping = options.ClipMode.RESCALE,
    settings: Settings,
    keep_original_audio: options.KeepOriginalAudio = False,
    jobs: options.Jobs = None,
    threads: given.Threads = "1",
    timeout: given.Timeout = None,
    memory: given.Memory = None,
    manifest: given.ManifestFile = None,
    retry_failed: given.RetryFailed = False,
    fail_fast: given.FailFast = False,
    verify: given.Verify = False,
    shard: given.Shard = None,
    cluster: given.Cluster = None,
    item_cpus: given.ItemCpus = 1.0,
    item_gpus: given.ItemGpus = 0.0,
    progress: given.ProgressStyle = given.Style.AUTO,
    no_report: given.NoReport = False,
    report_originals: given.ReportOriginals = False,
    as_json: options.AsJson = False,
    force: given.Force = False,
    dry_run: options.DryRun = False,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Separate the voices in folders of videos, unattended and several at a time.

    Run the same command again to resume: it processes recordings that are new, have changed or
    have failed. A failure does not stop the other recordings. Failures are listed at the end, and
    the exit code is then 1.

    Prints the path of each file written, one a line. An HTML report in the output folder plays
    the results.
    """
    terminal = terminal_of(context)
    if not output.strip() or output == "-":
        raise UsageError("--output must be a folder", "such as: -o cleaned")
    if not inputs and not input_list:
        raise UsageError("there is nothing to work on", "give files, folders or --input-list")
    if no_report and report_originals:
        raise UsageError("--report-originals needs the report", "leave out --no-report")
    from avse.batch.request import Request
    from avse.batch.run import Batch, read_shard, run
    from avse.cli.batch_output import tell
    from avse.faces.people_file import read_people
    from avse.scene.naming import check_template
    from avse.scene.speakers import Speakers
    from avse.utils.fingerprint import sha256
    from avse.utils.shipped import find_verified

    check_template(name)
    people = None if settings.people is None else user_path(settings.people).resolve()
    speakers = Speakers.read(speaker)
    known = [] if people is None else read_people(people)
    speakers.check_names((one.name for one in known), settings.people)
    settings = replace(settings, people=None if people is None else str(people))
    wanted = Batch(
        inputs=inputs or [],
        lists=input_list or [],
        output=user_path(output),
        request=Request(
            verb=verb.value,
            speakers=speakers,
            template=name,
            settings=settings,
            residual=residual,
            clip=clip.value,
            keep_original_audio=keep_original_audio,
            people_sha256=None if people is None else sha256(people),
            offscreen_sha256=find_verified(settings.offscreen_model)
            if settings.carry or settings.enrol
            else None,
        ),
        limits=_limits(jobs, threads, timeout, memory),
        manifest=None if manifest is None else user_path(manifest),
        base=None if base is None else user_path(base),
        shard=None if shard is None else read_shard(shard),
        force=force,
        retry_failed=retry_failed,
        verify=verify,
        fail_fast=fail_fast,
        dry_run=dry_run,
        report=not no_report,
        originals=report_originals,
        recruit=_recruit(cluster, item_cpus, item_gpus, settings.device, jobs),
    )
    check_order(wanted.request.settings)
    with _watcher(terminal, progress, wanted.output, results=not as_json) as watcher:
        outcome = run(wanted, watcher)
    tell(wanted, outcome, terminal, as_json=as_json, machine=progress == given.Style.JSON)


def _limits(
    jobs: int | None, threads: str, timeout: float | None, memory_gb: float | None
) -> Limits:
    from avse.batch.process_pool import Limits
    from avse.utils.processors import usable_processors

    at_once = jobs or usable_processors()
    return Limits(
        jobs=at_once,
        threads=given.read_threads(threads, at_once, usable_processors()),
        timeout_s=timeout,
        memory_bytes=None if memory_gb is None else int(memory_gb * 1e9),
    )


def _recruit(
    cluster: str | None, cpus: float, gpus: float, device: str, jobs: int | None
) -> Recruit | None:
    if cluster is None:
        return None
    from avse.batch.cluster import Resources, recruit_on

    return recruit_on(cluster, Resources(cpus, gpus), device, jobs)


def _watcher(terminal: Terminal, style: given.Style, output: Path, *, results: bool) -> Lines:
    from avse.cli import batch_progress

    if style == given.Style.JSON:
        return batch_progress.JsonLines(terminal, output if results else None)
    if style == given.Style.AUTO and terminal.draws:
        return batch_progress.Bars(terminal, output if results else None)
    return batch_progress.Lines(terminal, output if results else None)
