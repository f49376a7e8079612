"""Progress bar on stderr, drawn on a terminal only."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from avse.cli.terminal import Terminal

if TYPE_CHECKING:
    from typing import Self

    from rich.progress import Progress, TaskID

STAGES = {
    "model": "Loading the model",
    "faces": "Looking for faces",
    "sync": "Measuring A/V offset",
    "known voices": "Learning voices",
    "voices": "Separating voices",
    "video": "Writing the video",
    "words": "Recognising words",
    "activity": "Detecting who speaks",
    "preview": "Drawing the preview",
}


class Stages:
    """A bar for the current stage with the remaining time; removed at the end.

    An instance is the hook that the library calls: (stage, seconds done, seconds in all or None).
    Without a terminal, -v has a line for each stage.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._stage: str | None = None
        self._began = 0.0

    def __call__(self, stage: str, done_s: float, total_s: float | None) -> None:
        """Update the progress of a stage."""
        if stage != self._stage:
            self._begin(stage)
        if self._bar is not None and self._task is not None:
            completed = done_s if total_s is None else min(done_s, total_s)
            self._bar.update(self._task, completed=completed, total=total_s)

    def __enter__(self) -> Self:
        if self._terminal.draws:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                Progress,
                TaskProgressColumn,
                TextColumn,
                TimeRemainingColumn,
            )

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn(),
                TimeRemainingColumn(elapsed_when_finished=True),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self._end()
        if self._bar is not None:
            self._bar.stop()

    def _begin(self, stage: str) -> None:
        self._end()
        self._stage, self._began = stage, time.monotonic()
        name = STAGES.get(stage, stage)
        if self._bar is not None:
            self._task = self._bar.add_task(name, total=None)

    def _end(self) -> None:
        if self._stage is None:
            return
        name = STAGES.get(self._stage, self._stage)
        self._terminal.detail(f"{name}: {time.monotonic() - self._began:.1f} s")
        if self._bar is not None and self._task is not None:
            self._bar.remove_task(self._task)
        self._stage = self._task = None
