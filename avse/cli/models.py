"""`avse models`: which weights there are, and whether they are what they should be."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avse.cli import options
from avse.cli.tables import table
from avse.cli.terminal import terminal_of
from avse.errors import AvseError, MissingWeightsError
from avse.settings import Settings

LIST_EXAMPLES = options.examples(
    ("size, licence, training data and measured quality", "avse models list"),
    ("for a program", "avse models list --json"),
)
VERIFY_EXAMPLES = options.examples(
    ("all that came with avse", "avse models verify"),
    ("a file of your own", "avse models verify my-weights.safetensors"),
)

Which = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME|PATH]", show_default=False, help="One model; all shipped ones if left out."
    ),
]


def list_models(
    context: typer.Context,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """List the weights that came with avse."""
    from avse.models.weights import shipped

    terminal = terminal_of(context)
    models = shipped()
    if not models:
        terminal.note("no weights came with this copy of avse; give --model a file")
    if as_json:
        terminal.result_json(
            {
                "models": [
                    {
                        "name": model.name,
                        "default": model.name == Settings.model,
                        "megabytes": round(model.megabytes, 1),
                        "sha256": model.sha256,
                        "description": model.description,
                        "licence": model.licence,
                        "data": model.data,
                        "quality": model.quality,
                    }
                    for model in models
                ]
            }
        )
        return
    if models and not quiet:
        rows = [
            [
                model.name + (" (default)" if model.name == Settings.model else ""),
                f"{model.megabytes:.1f} MB" if model.path.is_file() else "missing",
                model.licence,
            ]
            for model in models
        ]
        for line in table(["model", "size", "licence"], rows, right="size"):
            terminal.result(line)
    for model in models:
        for line in ("", model.name, f"  {model.description}"):
            terminal.result(line)
        terminal.result(f"  trained on: {model.data}")
        terminal.result(f"  measured:   {model.quality}")


def verify(
    context: typer.Context,
    model: Which = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Check that weights are undamaged and complete.

    Exit code 3 if they are not.
    """
    from avse.models.weights import find, load, sha256, shipped

    terminal = terminal_of(context)
    names = [entry.name for entry in shipped()] if model is None else [model]
    if not names:
        raise MissingWeightsError(
            "no weights came with this copy of avse", "reinstall avse, or name a file to check"
        )
    worst = 0
    for name in names:
        try:
            path, expected = find(name)
            load(name)
        except AvseError as error:
            terminal.error(error.message, error.hint)
            terminal.trace(error)
            worst = max(worst, error.exit_code)
            continue
        digest = sha256(path) if expected is None else expected
        shown = name if expected is not None else str(Path(name))
        terminal.result(f"{shown}: ok, sha256 {digest}")
    if worst:
        raise typer.Exit(worst)
