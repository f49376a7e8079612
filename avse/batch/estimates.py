"""Estimate the time of a batch, from measurements on this machine if any, and its disk space."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from avse.batch.listeners import Estimate, Interrupts, Outlook
from avse.batch.manifest import Record
from avse.batch.plan import BatchPlan, Item, bytes_needed
from avse.batch.process_pool import Executor
from avse.batch.request import Request
from avse.batch.worker import Tried, TryTask
from avse.scene.naming import DEFAULT_NAME
from avse.scene.speakers import Speakers

START_S = 5.0
"""Seconds in which a process loads the network and the face backend: docs/scale.md."""

_MOST_TRIALS = 16
_WAIT_S = 0.5

_SPREAD = {"records": (0.8, 1.5), "trial": (0.7, 1.5), "rule": (0.8, 4.0)}
"""Bounds of the estimate, as factors. Other work on the machine is the main reason for their
width."""


def look_ahead(
    plan: BatchPlan,
    request: Request,
    latest: Mapping[str, Record],
    output: Path,
    *,
    total: int,
    jobs: int,
    trials: Sequence[Tried] = (),
) -> Outlook:
    """Compute the figures of a plan.

    Args:
        plan: the plan, with probed recordings.
        request: the request.
        latest: input -> last record.
        output: folder of the batch.
        total: number of recordings.
        jobs: number of processes.
        trials: results of `try_out`.
    """
    people = {name: r.people for name, r in latest.items() if r.people is not None}
    good = [item for item in plan.todo if item.trouble is None]
    existing = next(folder for folder in (output, *output.parents) if folder.is_dir())
    return Outlook(
        total=total,
        todo=len(plan.todo),
        done_before=len(plan.done),
        jobs=jobs,
        media_s=sum((i.probed.media_s or 0.0) for i in good if i.probed is not None),
        estimate=estimate(good, jobs, latest.values(), trials),
        bytes_needed=bytes_needed(good, request, people),
        bytes_free=shutil.disk_usage(existing).free,
    )


def estimate(
    items: Sequence[Item], jobs: int, known: Iterable[Record], trials: Sequence[Tried] = ()
) -> Estimate:
    """Estimate the duration of the work.

    Args:
        items: recordings to process.
        jobs: number of processes.
        known: records with measured durations, which are preferred to trials.
        trials: results of `try_out`.
    """
    work_s = [item.work_s for item in items]
    start_s, basis = START_S, "rule"
    took = [(r.seconds, r.media_s) for r in known if r.status == "done" and r.media_s]
    length = sum(i.probed.media_s or 0.0 for i in items if i.probed is not None)
    if took and length:
        basis = "records"
        whole = length * sum(s for s, _ in took) / sum(m or 0.0 for _, m in took)
        work_s = [whole * s / (sum(work_s) or 1.0) for s in work_s]
    elif trials:
        basis = "trial"
        start_s = max(trial.start_s for trial in trials)
        slowness = sum(t.seconds for t in trials) / sum(t.rule_s for t in trials)
        work_s = [s * slowness for s in work_s]
    if not items:
        return Estimate(0.0, 0.0, 0.0, basis)
    seconds = start_s + max(sum(work_s) / min(jobs, len(items)), *work_s)
    low, high = _SPREAD[basis]
    return Estimate(round(seconds, 1), round(low * seconds, 1), round(high * seconds, 1), basis)


def try_out(
    crew: Executor, plan: BatchPlan, request: Request, interrupts: Interrupts
) -> list[Tried]:
    """Measure the speed on the beginnings of some recordings, with all processes at the same time.

    Recordings that fail, for example without faces, are left out.

    Args:
        crew: the executor.
        plan: the plan, with the largest recordings first, which decide the duration.
        request: the request of the batch.
        interrupts: of the user.
    """
    # The requested person, names or part may not exist in the beginning of a recording.
    settings = replace(request.settings, start=None, end=None)
    request = replace(
        request, speakers=Speakers.read("all"), template=DEFAULT_NAME, settings=settings
    )
    good = (item for item in plan.todo if item.trouble is None and item.probed is not None)
    for item in islice(good, min(crew.size, _MOST_TRIALS)):
        if interrupts.count or not crew.idle():
            break
        crew.give(TryTask(str(item.source), request, item.rule_of_thumb_s))
    trials = []
    while crew.busy():
        for report in crew.wait(_WAIT_S):
            if report.fatal is not None:
                raise report.fatal
            if isinstance(report.result, Tried):
                trials.append(report.result)
    return trials
