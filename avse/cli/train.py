"""`avse train`: a recipe becomes weights."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from avse.cli import options
from avse.cli.boundary import INTERRUPTED
from avse.cli.terminal import Terminal, terminal_of
from avse.errors import UsageError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from avse.train.curves import Board
    from avse.train.recipe import StageSettings
    from avse.train.running import Done

EXAMPLES = options.examples(
    ("all stages of a recipe", "avse train examples/train-small.toml -o runs/small"),
    ("stopped? The same command goes on", "avse train examples/train-small.toml -o runs/small"),
    ("does it work at all?", "avse train recipe.toml -o runs/try --steps 20"),
    ("one stage, watched in TensorBoard", "avse train r.toml -o run --stage joint --tensorboard"),
    (
        "on four GPUs",
        "torchrun --nproc-per-node 4 -m avse train recipe.toml -o run",
    ),
    ("then weights to separate with", "avse models export runs/small small.safetensors"),
)

LINE_EVERY_S = 30.0
"""Seconds between lines where nobody draws."""

RecipeFile = Annotated[
    str, typer.Argument(metavar="RECIPE.toml", help="What to train, on what, and how.")
]
Output = Annotated[
    str,
    typer.Option(
        "--output", "-o", metavar="RUN", help="Folder of the run, with one for each stage in it."
    ),
]
StageName = Annotated[
    str | None,
    typer.Option(
        "--stage", metavar="NAME", show_default="all that are not finished", help="Only this one."
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        metavar="N",
        min=1,
        show_default="as the recipe says",
        help="Steps of each stage, for a try.",
    ),
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Also log for TensorBoard: RUN/tensorboard.")
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", "-f", help="Go on with a stage although the recipe has changed since it began."
    ),
]


def train(
    context: typer.Context,
    recipe: RecipeFile,
    output: Output,
    stage: StageName = None,
    device: options.Device = "auto",
    steps: Steps = None,
    tensorboard: TensorBoard = False,
    as_json: options.AsJson = False,
    force: Force = False,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Train a network by a recipe.

    Each stage of the recipe gets a folder in RUN: last.pt, from which the same command goes on
    where it was stopped; log.jsonl; curves.png. Stages that are finished are skipped. Ctrl-C
    finishes the step in hand and saves. How a recipe is written is told in docs/training.md.

    Prints the folder of each stage.
    """
    terminal = terminal_of(context)
    if not output.strip() or output == "-":
        raise UsageError("--output has to be a folder", "such as: -o runs/small")
    run = Path(output).expanduser()
    from dataclasses import replace

    from avse.train.compute import computing
    from avse.train.reading import read_recipe
    from avse.train.running import run_recipe

    read = read_recipe(Path(recipe).expanduser())
    if steps is not None:
        read = replace(read, stages=tuple(replace(s, steps=steps) for s in read.stages))
    with ExitStack() as stack:
        stopped = stack.enter_context(stopping(terminal))
        compute = stack.enter_context(computing(device, read.precision))
        if not compute.first:
            terminal.verbosity = -1
        audience = stack.enter_context(
            Follower(terminal, run, board=tensorboard and compute.first, quiet=not compute.first)
        )
        terminal.detail(f"training on {compute.device}, {compute.ranks} at a time")
        results = run_recipe(
            read, run, compute, only=stage, force=force, audience=audience, stop=stopped
        )
    if compute.first:
        _tell(results, terminal, as_json=as_json)
    if results and not results[-1].finished:
        terminal.note("stopped and saved; the same command goes on from here")
        raise typer.Exit(stopped.code())


class Stopped:
    """Whether the user, or the system, has asked for an end."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.number is not None

    def code(self) -> int:
        """The exit code for it; another process may have been asked instead of this one."""
        return INTERRUPTED if self.number in (None, signal.SIGINT) else 128 + (self.number or 0)


@contextmanager
def stopping(terminal: Terminal) -> Iterator[Stopped]:
    """Ctrl-C, and a request to terminate, wait for the end of the step; a second Ctrl-C does not.

    `torchrun` passes each Ctrl-C on, so under it the second one means no more than the first.
    """
    stopped = Stopped()

    def ask(number: int, frame: FrameType | None) -> None:
        if stopped.number is not None and "TORCHELASTIC_RUN_ID" not in os.environ:
            raise KeyboardInterrupt
        if stopped.number is None:
            again = "; press Ctrl-C again to leave at once" if number == signal.SIGINT else ""
            terminal.note(f"finishing the step, then saving{again}")
        stopped.number = number

    try:
        before = {n: signal.signal(n, ask) for n in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread, which alone may set handlers
        yield stopped
        return
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Follower:
    """Shows on stderr how training goes: a bar where somebody looks, else lines now and then.

    Args:
        terminal: whom to tell.
        run: folder of the run.
        board: whether to log for TensorBoard too.
        quiet: whether this process leaves showing and drawing to another.

    Raises:
        MissingExtraError: tensorboard is wanted and not installed.
    """

    def __init__(self, terminal: Terminal, run: Path, *, board: bool, quiet: bool) -> None:
        self.terminal, self.run, self.with_board, self.quiet = terminal, run, board, quiet
        self.bar: Progress | None = None
        self.board: Board | None = None
        self.curves = not quiet
        if board:
            from avse.train.curves import check_board

            check_board()

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
        """A stage begins, or is taken up."""
        if step and not self.quiet:
            self.note(f"stage {settings.name}: going on from step {step} of {settings.steps}")
        if self.with_board:
            from avse.train.curves import Board

            self.board = Board(self.run / "tensorboard" / settings.name)
        return StageFollower(self, settings, folder, step)

    def note(self, text: str) -> None:
        """Something that is good to know, above the bar."""
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
        """Draw the curves of a stage, if that can be done."""
        from avse.errors import MissingExtraError
        from avse.train.curves import draw_curves

        if not self.curves:
            return
        try:
            draw_curves(folder)
        except MissingExtraError as error:
            self.curves = False
            self.note(f"no curves are drawn: {error.message} ({error.hint})")

    def say(self, how: Callable[[str], None], text: str) -> None:
        """Say something without tearing the bar."""
        if self.quiet:
            return
        if self.bar is None:
            how(text)
            return
        self.bar.stop()
        how(text)
        self.bar.start()


class StageFollower:
    """Follows the loop of one stage."""

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
    """A bar with the step, the figures, and the time that is left."""
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
    """Figures in a line: loss 3.21, gain_faces 1.40, 0.52 s a step."""
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


def _tell(results: list[Done], terminal: Terminal, *, as_json: bool) -> None:
    if as_json:
        terminal.result_json(
            {
                "stages": [
                    {
                        "name": done.name,
                        "folder": str(done.folder),
                        "steps": done.steps,
                        "finished": done.finished,
                        "skipped": done.skipped,
                        "held_out": done.figures,
                    }
                    for done in results
                ]
            }
        )
        return
    for done in results:
        terminal.result(str(done.folder))
