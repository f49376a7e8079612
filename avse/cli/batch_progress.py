"""Progress of a batch on stderr: bars for a terminal, lines for a log, JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import avse.utils.clock
from avse.batch.listeners import Outlook, Watcher
from avse.cli.progress import STAGES
from avse.cli.terminal import Terminal, printable

if TYPE_CHECKING:
    from typing import Self

    from rich.progress import Progress, TaskID

    from avse.batch.manifest import Record

clock = partial(avse.utils.clock.clock, decimals=0, hours=True)
"""Seconds as h:mm:ss."""

_LOOKING_S = 10.0

_BASES = {
    "records": " (from earlier recordings)",
    "trial": " (from a trial)",
    "rule": " (rule of thumb)",
}


class Lines(Watcher):
    """Write a line for each recording, and one every ten seconds while files are checked.

    Args:
        terminal: writes to the user.
        output: folder of the batch, to write paths of outputs to stdout as they come; None: not.
    """

    def __init__(self, terminal: Terminal, output: Path | None) -> None:
        self.terminal, self._output = terminal, output
        self.outlook: Outlook | None = None
        self.ended_count = 0
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to put away."""

    def say(self, text: str) -> None:
        """Something that is good to know."""
        self.terminal.note(text)

    def warn(self, text: str) -> None:
        """Something that the user must know."""
        self.terminal.warn(printable(text))

    def probing(self, done: int, total: int) -> None:
        """How many files have been looked into."""
        if time.monotonic() - self._told > _LOOKING_S:
            self._told = time.monotonic()
            self.say(f"checked {done} of {total} files")

    def planned(self, outlook: Outlook) -> None:
        """The work begins."""
        self.outlook = outlook
        self.say(said(outlook))

    def ended(self, worker: int | None, record: Record, work_s: float) -> None:
        """A recording is done or has failed."""
        self.ended_count += 1
        self.tell(record)
        if self._output is not None and record.status == "done":
            self.results([str(self._output / output.path) for output in record.outputs])

    def results(self, paths: Sequence[str]) -> None:
        """Write the paths of outputs, one a line whatever is in them."""
        for path in paths:
            self.terminal.result(path.replace("\n", "\\n").replace("\r", "\\r"))

    def tell(self, record: Record) -> None:
        """Say what came of a recording."""
        todo = 0 if self.outlook is None else self.outlook.todo
        count = f"[{self.ended_count}/{todo}]"
        if record.error is not None:
            self.terminal.error(f"{count} {printable(failure(record.input, record.error.message))}")
        else:
            people = "" if record.people is None else f", people: {record.people}"
            self.say(f"{count} {printable(record.input)}: {record.seconds:.1f} s{people}")


class JsonLines(Lines):
    """A JSON object for each event."""

    def _event(self, event: str, **about: Any) -> None:
        print(json.dumps({"event": event, **about}), file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Something that is good to know."""
        self._event("note", text=text)

    def warn(self, text: str) -> None:
        """Something that the user must know."""
        self._event("warning", text=text)

    def probing(self, done: int, total: int) -> None:
        """How many files have been looked into."""
        self._event("probing", done=done, total=total)

    def planned(self, outlook: Outlook) -> None:
        """The work begins."""
        self.outlook = outlook
        self._event("planned", **asdict(outlook))

    def began(self, worker: int, source: Path) -> None:
        """A worker has taken a recording."""
        self._event("began", worker=worker + 1, input=str(source))

    def stage(
        self, worker: int, source: Path, stage: str, done_s: float, total_s: float | None
    ) -> None:
        """How far a worker is with it."""
        self._event(
            "stage",
            worker=worker + 1,
            input=str(source),
            stage=stage,
            done_s=round(done_s, 2),
            total_s=None if total_s is None else round(total_s, 2),
        )

    def tell(self, record: Record) -> None:
        """Say what came of a recording."""
        error = None if record.error is None else asdict(record.error)
        self._event(
            "ended",
            input=record.input,
            status=record.status,
            outputs=[output.path for output in record.outputs],
            seconds=record.seconds,
            people=record.people,
            warnings=list(record.warnings),
            error=error,
        )


class Bars(Lines):
    """An overall bar with the remaining time, and a line for each worker."""

    def __init__(self, terminal: Terminal, output: Path | None) -> None:
        super().__init__(terminal, output)
        self._stack = ExitStack()
        self._bars: Progress | None = None
        self._whole: TaskID | None = None
        self._workers: dict[int, TaskID] = {}

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            # Recordings end at irregular times, so the speed is averaged over a long time.
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._bars = Progress(
            *columns, console=Console(stderr=True), transient=True, speed_estimate_period=600
        )
        self._stack.enter_context(self._bars)
        self._whole = self._bars.add_task("Checking files", total=None, note="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def say(self, text: str) -> None:
        """Something that is good to know."""
        self._print(f"avse: {printable(text)}")

    def warn(self, text: str) -> None:
        """Something that the user must know."""
        self._print(f"avse: warning: {printable(text)}")

    def probing(self, done: int, total: int) -> None:
        """How many files have been looked into."""
        self._update(self._whole, completed=done, total=total, note=f"{done}/{total}")

    def planned(self, outlook: Outlook) -> None:
        """The work begins."""
        super().planned(outlook)
        if self._bars is not None and self._whole is not None:
            self._bars.reset(
                self._whole,
                total=max(outlook.todo, 1),
                description="All",
                note=f"0/{outlook.todo}",
            )

    def began(self, worker: int, source: Path) -> None:
        """A worker has taken a recording."""
        if self._bars is None:
            return
        if worker not in self._workers:
            self._workers[worker] = self._bars.add_task(f"{worker + 1}", total=None, note="")
        self._bars.reset(
            self._workers[worker],
            description=f"{worker + 1} {printable(source.name)[:40]}",
            total=None,
            note="",
        )

    def stage(
        self, worker: int, source: Path, stage: str, done_s: float, total_s: float | None
    ) -> None:
        """How far a worker is with it."""
        completed = done_s if total_s is None else min(done_s, total_s)
        self._update(
            self._workers.get(worker),
            completed=completed,
            total=total_s,
            note=STAGES.get(stage, stage),
        )

    def ended(self, worker: int | None, record: Record, work_s: float) -> None:
        """A recording is done or has failed."""
        super().ended(worker, record, work_s)
        todo = 0 if self.outlook is None else self.outlook.todo
        self._update(self._whole, completed=self.ended_count, note=f"{self.ended_count}/{todo}")

    def results(self, paths: Sequence[str]) -> None:
        """Write the paths of outputs above the bars, so that the two do not mix."""
        if sys.stdout.isatty():
            self._print("\n".join(map(printable, paths)))
        else:
            super().results(paths)

    def tell(self, record: Record) -> None:
        """Keep failures on the screen; the bars show the rest."""
        if record.error is not None:
            self._print(f"avse: error: {printable(failure(record.input, record.error.message))}")

    def _update(self, task: TaskID | None, **about: Any) -> None:
        if self._bars is not None and task is not None:
            self._bars.update(task, **about)

    def _print(self, text: str) -> None:
        if self._bars is not None:
            self._bars.console.print(text, markup=False, highlight=False, soft_wrap=True)


def failure(path: str, message: str) -> str:
    """Error message with the name of the file, which most messages include already."""
    return message if message.startswith(path) else f"{path}: {message}"


def said(outlook: Outlook) -> str:
    """The outlook in words."""
    text = f"{outlook.total} recordings: {outlook.todo} to do"
    if outlook.done_before:
        text += f", {outlook.done_before} done before"
    if outlook.todo:
        text += (
            f"; {clock(outlook.media_s)} of video, about {clock(outlook.estimate.low_s)} to "
            f"{clock(outlook.estimate.high_s)} with {outlook.jobs} at once"
            f"{_BASES[outlook.estimate.basis]}, {outlook.bytes_needed / 1e6:,.0f} MB"
        )
    return text
