"""Run a batch from its inputs to its summary."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from avse.batch import memory
from avse.batch.discover import absolute, discover
from avse.batch.estimates import look_ahead, try_out
from avse.batch.execution import Runner
from avse.batch.listeners import Interrupts, Outlook, Summary, Watcher, counted_interrupts
from avse.batch.manifest import Manifest
from avse.batch.originals import copy_originals
from avse.batch.plan import BatchPlan, Item, in_shard, make_items, make_plan
from avse.batch.process_pool import Executor, Limits, Report, WorkerPool
from avse.batch.request import Request
from avse.batch.staging import Staging
from avse.batch.worker import ProbeTask, Tried, make_task_runner
from avse.errors import OutputError, UsageError
from avse.media.atomic_files import size, writing

MANIFEST = "avse-batch.jsonl"
REPORT = "avse-batch.html"

_WORKER_BYTES = 700_000_000
"""Memory of a worker with the network and MediaPipe loaded, and working space."""

_MEMORY_SHARE = 0.9
_WAIT_S = 0.5

Recruit = Callable[[Limits, Path], Executor]
"""Makes the executor, given a folder for the output of its processes."""


@dataclass(frozen=True)
class Batch:
    """Options of a batch.

    Attributes:
        inputs: files, folders, patterns.
        lists: files with more of them.
        output: folder of the batch.
        request: request for each recording.
        limits: limits of the processes; memory None for nine tenths of the free memory.
        manifest: its path; None for avse-batch.jsonl in the folder, or one for the shard.
        base: see `discover`.
        shard: (i, n): do the i-th of n parts, counted from 1.
        force: process everything again and replace existing files.
        retry_failed: process only recordings that failed before.
        verify: hash every file to detect changes.
        fail_fast: stop at the first failure.
        dry_run: plan only, write nothing.
        report: whether to write the HTML report.
        originals: whether to put copies of the original sound beside the report.
        recruit: makes the executor; None for processes of this machine.
    """

    inputs: Sequence[str]
    output: Path
    request: Request
    limits: Limits
    lists: Sequence[str] = ()
    manifest: Path | None = None
    base: Path | None = None
    shard: tuple[int, int] | None = None
    force: bool = False
    retry_failed: bool = False
    verify: bool = False
    fail_fast: bool = False
    dry_run: bool = False
    report: bool = True
    originals: bool = False
    recruit: Recruit | None = None

    @property
    def ending(self) -> str:
        """Suffix that distinguishes the files of a shard from those of the others."""
        return "" if self.shard is None else ".{}-of-{}".format(*self.shard)

    @property
    def manifest_path(self) -> Path:
        """Absolute path of the manifest."""
        if self.manifest is not None:
            return absolute(self.manifest)
        name = Path(MANIFEST)
        return absolute(self.output) / f"{name.stem}{self.ending}{name.suffix}"


@dataclass(frozen=True)
class Outcome:
    """Result of a run with its plan.

    Attributes:
        summary: of the run.
        plan: the planned work.
        outlook: its figures.
        report: path of the HTML report, if one was written.
    """

    summary: Summary
    plan: BatchPlan
    outlook: Outlook
    report: Path | None = None


def run(batch: Batch, watcher: Watcher) -> Outcome:
    """Run a batch.

    Raises:
        UsageError: outputs clash, another run is working, or the request is impossible.
        InputError: no inputs.
        OutputError: the folder cannot be written to, or the disk is too small.
        MissingError: weights or a face backend are missing.
        KeyboardInterrupt: the user has pressed Ctrl-C twice; running recordings are dropped.
    """
    began = time.monotonic()
    output = absolute(batch.output)
    model = _hash_of_weights(batch.request)
    found = discover(batch.inputs, batch.lists, output=output, base=batch.base)
    made = _made_before(batch, output)
    items = make_items([f for f in found if f.path not in made], batch.request, output)
    if batch.shard is not None:
        items = [item for item in items if in_shard(item, *batch.shard)]
    limits = _bounded(batch, watcher)
    with ExitStack() as stack:
        interrupts = stack.enter_context(counted_interrupts(watcher))
        manifest = Manifest(batch.manifest_path, beside=_beside(batch, output))
        staging: Staging | None = None
        if batch.dry_run:
            manifest.load()
            logs = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="avse-")))
        else:
            with writing(output):
                output.mkdir(parents=True, exist_ok=True)
            stack.enter_context(manifest)
            staging = Staging(output, batch.manifest_path)
            stack.callback(staging.close)
            _tell_repairs(manifest, staging.recover(manifest), watcher)
            if staging.refused:
                watcher.warn(
                    f"{staging.refused} notes of other runs in {output} are damaged or name files "
                    "outside of it; they were not followed"
                )
            logs = staging.logs
        plan = make_plan(
            items,
            batch.request,
            model,
            manifest.latest,
            output,
            force=batch.force,
            retry_failed=batch.retry_failed,
            verify=batch.verify,
        )
        crew = stack.enter_context(_crew(batch, limits, logs))
        probe_all(crew, plan, batch.request, watcher, interrupts)
        plan.sort()
        trials: list[Tried] = []
        if batch.dry_run and not any(r.status == "done" for r in manifest.latest.values()):
            watcher.say("measuring the speed on the first seconds of some recordings")
            trials = try_out(crew, plan, batch.request, interrupts)
        outlook = look_ahead(
            plan,
            batch.request,
            manifest.latest,
            output,
            total=len(items),
            jobs=crew.size,
            trials=trials,
        )
        watcher.planned(outlook)
        summary = Summary(len(items), len(plan.done), left_alone=plan.left_alone)
        if staging is None:
            return Outcome(summary, plan, outlook)
        _refuse_small_disk(outlook, output)
        carrying = Runner(batch.request, model, staging, manifest, watcher, summary, batch.force)
        carrying.carry_out(crew, plan, interrupts, fail_fast=batch.fail_fast)
        summary.seconds = time.monotonic() - began
        report = None
        if batch.report:
            from avse.batch.report import write_report

            if batch.originals and not summary.interrupted and not summary.halted:
                copy_originals(
                    crew,
                    items,
                    manifest,
                    output,
                    staging.cards,
                    batch.request.settings,
                    watcher,
                    interrupts,
                )
            report = output / f"{Path(REPORT).stem}{batch.ending}{Path(REPORT).suffix}"
            write_report(report, items, manifest, staging.cards, summary, batch.request)
        return Outcome(summary, plan, outlook, report)


def probe_all(
    crew: Executor, plan: BatchPlan, request: Request, watcher: Watcher, interrupts: Interrupts
) -> None:
    """Probe every file to process; an error becomes the `trouble` of its item."""
    items = {str(item.source): item for item in plan.todo if item.trouble is None}
    waiting: list[Item] = list(reversed(items.values()))
    seen = 0
    while (waiting and not interrupts.count) or crew.busy():
        while waiting and not interrupts.count and crew.idle():
            crew.give(ProbeTask(str(waiting.pop().source), request))
        for report in crew.wait(_WAIT_S):
            if report.stage:
                continue
            item = items[report.task.source]
            _note_probe(item, report)
            seen += 1
            watcher.probing(seen, len(items))


def _note_probe(item: Item, report: Report) -> None:
    if report.fatal is not None:
        raise report.fatal
    item.probed, item.trouble = report.result, report.trouble


@contextmanager
def _crew(batch: Batch, limits: Limits, logs: Path) -> Iterator[Executor]:
    setup = partial(make_task_runner, device=batch.request.settings.device)
    crew = WorkerPool(setup, limits, logs) if batch.recruit is None else batch.recruit(limits, logs)
    try:
        yield crew
    finally:
        crew.close()


def _bounded(batch: Batch, watcher: Watcher) -> Limits:
    """Limits with a bound on memory, and only as many processes as fit under it."""
    limits = batch.limits
    if batch.recruit is not None:
        return limits
    bound = limits.memory_bytes
    if bound is None:
        free = memory.available()
        bound = None if free is None else int(_MEMORY_SHARE * free)
    jobs = limits.jobs
    if bound is not None and jobs > max(1, bound // _WORKER_BYTES):
        jobs = max(1, bound // _WORKER_BYTES)
        watcher.warn(f"memory is enough for {jobs} of {limits.jobs} jobs at once")
    return replace(limits, jobs=jobs, memory_bytes=bound)


def _hash_of_weights(request: Request) -> str:
    from avse.utils.shipped import find_verified

    return find_verified(request.settings.model)


def _made_before(batch: Batch, output: Path) -> set[Path]:
    """Outputs of earlier runs, which are excluded from the inputs."""
    manifest = Manifest(batch.manifest_path, beside=_beside(batch, output))
    manifest.load()
    return {output / made.path for r in manifest.latest.values() for made in r.outputs}


def _beside(batch: Batch, output: Path) -> list[Path]:
    """Other manifests in the folder: parts of the same work, divided in another way."""
    name = Path(MANIFEST)
    own = batch.manifest_path
    found = sorted(output.glob(f"{name.stem}*{name.suffix}")) if output.is_dir() else []
    return [path for path in found if path != own]


def _tell_repairs(manifest: Manifest, finished: int, watcher: Watcher) -> None:
    if manifest.repaired:
        watcher.warn(f"{manifest.path.name}: an incomplete last line was removed")
    if manifest.unread:
        watcher.warn(
            f"{manifest.path.name}: {manifest.unread} lines cannot be read and were ignored"
        )
    if finished:
        watcher.say(f"{finished} recordings of an interrupted run were completed")


def _refuse_small_disk(outlook: Outlook, output: Path) -> None:
    if outlook.bytes_needed > outlook.bytes_free:
        raise OutputError(
            f"the outputs need about {size(outlook.bytes_needed)}, and the disk of {output} "
            f"has {size(outlook.bytes_free)} left",
            "free some space, write .flac (--name), or choose another --output",
        )


def read_shard(text: str) -> tuple[int, int]:
    """Read --shard: "3/8".

    Raises:
        UsageError: it is not I/N.
    """
    number, slash, count = text.partition("/")
    if slash and number.strip().isdecimal() and count.strip().isdecimal():
        i, n = int(number), int(count)
        if 1 <= i <= n:
            return i, n
    raise UsageError(
        f"--shard must be I/N with I from 1 to N, not {text!r}", "such as 3/8: the third of eight"
    )
