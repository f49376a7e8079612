"""Training progress: on stderr, as curves, and in TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from avse.cli.terminal import Terminal
from avse.errors import MissingExtraError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from avse.training.plots import Board
    from avse.training.recipe import StageSettings
    from avse.training.run_folder import Done

LINE_EVERY_S = 30.0
"""Seconds between lines where there is no progress bar."""


class Follower:
    """Shows training progress on stderr: a bar on a terminal, else lines at intervals.

    Args:
        terminal: writes to the user.
        run: folder of the run.
        board: whether to log for TensorBoard too.
        quiet: whether another process shows the progress and draws the curves.

    Raises:
        MissingExtraError: tensorboard is wanted and not installed.
    """

    def __init__(self, terminal: Terminal, run: Path, *, board: bool, quiet: bool) -> None:
        self.terminal, self.run, self.with_board, self.quiet = terminal, run, board, quiet
        self.bar: Progress | None = None
        self.board: Board | None = None
        self.curves = not quiet
        if board:
            from avse.training.plots import check_board

            check_board()
        if self.curves:
            from avse.training.plots import check_curves

            try:
                check_curves()
            except MissingExtraError as error:
                self.curves = False
                terminal.note(f"no curves are drawn: {error.message} ({error.hint})")

    def __enter__(self) -> Follower:
        if self.terminal.draws and not self.quiet:
            self.bar = make_bar()
            self.bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.stop()
        if self.board is not None:
            self.board.__exit__(None, None, None)

    def stage(self, settings: StageSettings, folder: Path, step: int) -> StageFollower:
        """A stage begins or resumes."""
        if step and not self.quiet:
            self.note(f"stage {settings.name}: resuming at step {step} of {settings.steps}")
        if self.with_board:
            from avse.training.plots import Board

            self.board = Board(self.run / "tensorboard" / settings.name)
        return StageFollower(self, settings, folder, step)

    def note(self, text: str) -> None:
        """Write a note above the bar."""
        self.say(self.terminal.note, text)

    def done(self, done: Done) -> None:
        """A stage is finished or was stopped."""
        if self.quiet:
            return
        if self.board is not None:
            self.board.__exit__(None, None, None)
            self.board = None
        if done.skipped:
            self.note(f"stage {done.name}: finished before, {done.steps} steps")
        elif done.finished:
            self.note(f"stage {done.name}: finished, {done.steps} steps")
        if not done.skipped:
            self.draw(done.folder)

    def draw(self, folder: Path) -> None:
        """Draw the curves of a stage, if matplotlib is installed."""
        from avse.training.plots import draw_curves

        if self.curves:
            draw_curves(folder)

    def say(self, how: Callable[[str], None], text: str) -> None:
        """Write a line without damaging the bar."""
        if self.quiet:
            return
        if self.bar is None:
            how(text)
            return
        self.bar.stop()
        how(text)
        self.bar.start()


class StageFollower:
    """Shows the progress of one stage."""

    def __init__(
        self, follower: Follower, settings: StageSettings, folder: Path, step: int
    ) -> None:
        self.follower, self.settings, self.folder = follower, settings, folder
        self.told = time.monotonic()
        self.task: TaskID | None = None
        if follower.bar is not None:
            self.task = follower.bar.add_task(
                settings.name, total=settings.steps, completed=step, figures=""
            )

    def step(self, step: int, loss: float | None) -> None:
        """A step is done."""
        bar = self.follower.bar
        if bar is not None and self.task is not None:
            bar.update(self.task, completed=step)
            if step >= self.settings.steps:
                bar.remove_task(self.task)
                self.task = None

    def figures(self, step: int, figures: dict[str, float]) -> None:
        """Figures were logged."""
        if self.follower.board is not None:
            self.follower.board.write(step, figures)
        text = described(figures)
        validation = any(name.startswith("valid_") for name in figures)
        bar = self.follower.bar
        if bar is not None and self.task is not None and not validation:
            bar.update(self.task, figures=text)
            return
        now = time.monotonic()
        last = step >= self.settings.steps
        if validation or last or now - self.told >= LINE_EVERY_S:
            left = ""
            seconds = figures.get("seconds_per_step")
            if seconds and not last:
                left = f", {readable((self.settings.steps - step) * seconds)} left"
            self.told = now
            self.follower.note(f"{self.settings.name} {step}/{self.settings.steps}: {text}{left}")
        if validation:
            self.follower.draw(self.folder)


def make_bar() -> Progress:
    """A bar with the step, the metrics and the remaining time."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def described(figures: dict[str, float]) -> str:
    """Metrics in one line: loss 3.21, gain_faces 1.40, 0.52 s a step."""
    words = [
        f"{name.removeprefix('valid_')} {value:.3g}"
        for name, value in figures.items()
        if name not in ("seconds_per_step", "rate", "activity")
    ]
    if any(name.startswith("valid_") for name in figures):
        return "held out: " + ", ".join(words)
    if "seconds_per_step" in figures:
        words.append(f"{figures['seconds_per_step']:.2g} s a step")
    return ", ".join(words)


def readable(seconds: float) -> str:
    """A time to wait: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
