"""`avse train`: train a network by a recipe."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from avse.cli import options
from avse.cli.error_handling import INTERRUPTED
from avse.cli.following import Follower
from avse.cli.terminal import Terminal, terminal_of
from avse.errors import UsageError
from avse.utils.paths import user_path

if TYPE_CHECKING:
    from avse.training.run_folder import Done

EXAMPLES = options.examples(
    ("all stages of a recipe", "avse train examples/train-small.toml -o runs/small"),
    ("run the same command again to resume", "avse train examples/train-small.toml -o runs/small"),
    ("does it work at all?", "avse train recipe.toml -o runs/try --steps 20"),
    ("one stage, with TensorBoard logs", "avse train r.toml -o run --stage joint --tensorboard"),
    (
        "on four GPUs",
        "torchrun --nproc-per-node 4 -m avse train recipe.toml -o run",
    ),
    ("then export the weights", "avse models export runs/small small.safetensors"),
)

RecipeFile = Annotated[
    str, typer.Argument(metavar="RECIPE.toml", help="Recipe: the data, the network and the stages.")
]
Output = Annotated[
    str,
    typer.Option(
        "--output", "-o", metavar="RUN", help="Folder of the run, with a folder for each stage."
    ),
]
StageName = Annotated[
    str | None,
    typer.Option(
        "--stage",
        metavar="NAME",
        show_default="all unfinished",
        help="Run only this stage.",
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        metavar="N",
        min=1,
        show_default="as the recipe says",
        help="Number of steps of each stage, for a trial run.",
    ),
]
TensorBoard = Annotated[
    bool, typer.Option("--tensorboard", help="Also write TensorBoard logs to RUN/tensorboard.")
]
Force = Annotated[
    bool,
    typer.Option(
        "--force", "-f", help="Continue a stage even if the recipe has changed since it began."
    ),
]


def train(
    context: typer.Context,
    recipe: RecipeFile,
    output: Output,
    stage: StageName = None,
    device: Annotated[str, options.setting("device")] = "auto",
    steps: Steps = None,
    tensorboard: TensorBoard = False,
    as_json: options.AsJson = False,
    force: Force = False,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Train a network by a recipe.

    Each stage of the recipe has a folder in RUN with last.pt, log.jsonl and curves.png. The same
    command resumes from last.pt and skips finished stages. Ctrl-C finishes the current step and
    saves. docs/training.md describes recipes.

    Prints the folder of each stage.
    """
    terminal = terminal_of(context)
    if not output.strip() or output == "-":
        raise UsageError("--output must be a folder", "such as: -o runs/small")
    run = user_path(output)
    from dataclasses import replace

    from avse.models.device import check_torch

    check_torch("training", "train")
    from avse.training.compute import computing
    from avse.training.recipe_file import read_recipe
    from avse.training.recipe_runner import run_recipe

    read = read_recipe(user_path(recipe))
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
        terminal.note("stopped and saved; run the same command again to resume")
        raise typer.Exit(stopped.code())


class Stopped:
    """Whether the user or the system has requested a stop."""

    def __init__(self) -> None:
        self.number: int | None = None

    def __call__(self) -> bool:
        """Whether to stop."""
        return self.number is not None

    def code(self) -> int:
        """Exit code for the stop; another process may have received the signal instead of this
        one."""
        return INTERRUPTED if self.number in (None, signal.SIGINT) else 128 + (self.number or 0)


@contextmanager
def stopping(terminal: Terminal) -> Iterator[Stopped]:
    """Stop after the current step on Ctrl-C or SIGTERM; a second Ctrl-C stops at once.

    `torchrun` forwards each Ctrl-C, so under it the second one has the effect of the first.
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
    except ValueError:  # only the main thread may set handlers
        yield stopped
        return
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
