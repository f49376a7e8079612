"""Run the work of a batch: distribute, monitor, commit and record it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from avse import __version__
from avse.batch.listeners import Interrupts, Summary, Watcher
from avse.batch.manifest import Failure, Manifest, Record
from avse.batch.plan import BatchPlan, Item
from avse.batch.process_pool import Executor, Report
from avse.batch.request import Request
from avse.batch.staging import Staging
from avse.batch.worker import Cleaned, CleanTask
from avse.batch.worker_process import trouble_of
from avse.errors import OutputExistsError

SMALLEST_WINDOW_S = 1.0
"""Shortest window, in seconds, after halving for lack of memory."""

FULL = "disk-full"
_WAIT_S = 0.5


@dataclass
class Runner:
    """Objects that the work needs.

    Attributes:
        request: the request.
        model_sha256: hash of the weights.
        staging: folder in which outputs are made.
        manifest: receives the records.
        watcher: receives the events.
        summary: counts of the run, updated here.
        force: whether to replace files that are not in the manifest.
    """

    request: Request
    model_sha256: str
    staging: Staging
    manifest: Manifest
    watcher: Watcher
    summary: Summary
    force: bool = False
    _items: dict[str, Item] = field(default_factory=dict)
    _waiting: deque[Item] = field(default_factory=deque)

    def carry_out(
        self, crew: Executor, plan: BatchPlan, interrupts: Interrupts, *, fail_fast: bool
    ) -> None:
        """Run the plan, until the user, a full disk or `fail_fast` stops it.

        Raises:
            MissingError: something that every recording needs is missing.
            OutputError: the manifest cannot be written.
        """
        self._items = {str(item.source): item for item in plan.todo}
        for item in plan.todo:
            if item.trouble is not None:
                self._fail(None, item, item.trouble, 0.0)
            elif item.probed is not None:  # else the user interrupted the check
                self._waiting.append(item)
        unprobed = sum(item.trouble is None and item.probed is None for item in plan.todo)
        while True:
            if interrupts.count:
                self.summary.interrupted = True
            if fail_fast and self.summary.failed:
                self.summary.halted = "a recording failed and --fail-fast was given"
                break
            stopping = self.summary.interrupted or self.summary.halted
            while self._waiting and not stopping and crew.idle():
                item = self._waiting.popleft()
                self.watcher.began(crew.give(self._task(item)), item.source)
            if not crew.busy():
                break
            for report in crew.wait(_WAIT_S):
                self._hear(report)
        settled = self.summary.done + len(self.summary.failed)
        self.summary.not_begun = max(unprobed, len(plan.todo) - settled)

    def _task(self, item: Item) -> CleanTask:
        return CleanTask(
            source=str(item.source),
            request=self.request,
            window_s=item.window_s,
            folder=str(self.staging.folder(item.key)),
            below=str(item.below),
        )

    def _hear(self, report: Report) -> None:
        item = self._items[report.task.source]
        if report.stage:
            self.watcher.stage(
                report.worker, item.source, report.stage, report.done_s, report.total_s
            )
            return
        folder = Path(report.task.folder)
        if report.fatal is not None:
            raise report.fatal
        trouble = report.trouble
        if trouble is None:
            trouble = self._commit(item, folder, report)
        if trouble is None:
            return
        self.staging.drop(folder)
        if report.short_of_memory and item.window_s / 2 >= SMALLEST_WINDOW_S:
            item.window_s /= 2
            self.watcher.warn(
                f"{item.source.name}: out of memory; retrying with a window of {item.window_s:g} s"
            )
            self._waiting.append(item)
            return
        self._fail(report.worker, item, trouble, report.seconds)
        if trouble.kind == FULL:
            self.summary.halted = "the disk is full"

    def _commit(self, item: Item, folder: Path, report: Report) -> Failure | None:
        cleaned: Cleaned = report.result
        warnings = cleaned.warnings
        if item.window_s != self.request.settings.window_s:
            warnings += (f"memory was short, so a window of {item.window_s:g} s was used",)
        record = replace(
            self._record(item, report.seconds),
            status="done",
            input_mark=cleaned.input_mark,
            settings_sha256=self.request.digest(cleaned.corrected),
            outputs=cleaned.outputs,
            people=cleaned.people,
            warnings=warnings,
        )
        try:
            self.staging.commit(folder, record, self.manifest, force=self.force)
        except OutputExistsError as error:
            return trouble_of(error)
        for warning in warnings:
            self.watcher.warn(f"{item.source.name}: {warning}")
        self.summary.done += 1
        self.summary.outputs += len(record.outputs)
        self.summary.media_s += record.media_s or 0.0
        self.summary.warnings += len(warnings)
        self.watcher.ended(report.worker, record, item.work_s)
        return None

    def _fail(self, worker: int | None, item: Item, trouble: Failure, seconds: float) -> None:
        before = self.manifest.latest.get(str(item.source))
        record = replace(
            self._record(item, seconds),
            error=trouble,
            # Outputs of an earlier run still exist, and this input may still replace them.
            outputs=before.outputs if before is not None else (),
        )
        self.manifest.append(record)
        self.summary.failed.append((item.source, trouble))
        self.watcher.ended(worker, record, item.work_s)

    def _record(self, item: Item, seconds: float) -> Record:
        return Record(
            status="failed",
            input=str(item.source),
            input_mark=None,
            settings_sha256=self.request.digest(),
            model_sha256=self.model_sha256,
            seconds=round(seconds, 3),
            media_s=None if item.probed is None else item.probed.media_s,
            window_s=item.window_s,
            finished=datetime.now(UTC).isoformat(timespec="microseconds"),
            avse=__version__,
        )
