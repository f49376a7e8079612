"""`avse models`: list and verify weights, and export them from a training run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from avse.cli import options
from avse.cli.tables import table
from avse.cli.terminal import terminal_of
from avse.errors import AvseError, MissingWeightsError
from avse.settings import Settings
from avse.utils.fingerprint import sha256
from avse.utils.paths import user_path

LIST_EXAMPLES = options.examples(
    ("size, licence, training data and measured quality", "avse models list"),
    ("for a program", "avse models list --json"),
)
VERIFY_EXAMPLES = options.examples(
    ("all shipped models", "avse models verify"),
    ("a file of your own", "avse models verify my-weights.safetensors"),
)

EXPORT_EXAMPLES = options.examples(
    ("the weights of the last stage", "avse models export runs/small small.safetensors"),
    ("of another stage", "avse models export runs/small/joint joint.safetensors"),
    ("... to use", "avse separate talk.mp4 --model small.safetensors"),
)

Run = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Folder of a run of avse train, or of one of its stages."),
]
File = Annotated[str, typer.Argument(metavar="FILE.safetensors", help="File to write.")]
Bias = Annotated[
    float,
    typer.Option(
        "--bias",
        metavar="LOGIT",
        help="Bias added to the mask logits. A higher bias favours visible speakers over the "
        "residual. Choose it on held-out speakers. Real masks only.",
    ),
]
FullPrecision = Annotated[
    bool,
    typer.Option(
        "--full-precision", help="Store 32-bit floats, which doubles the size of the file."
    ),
]

Which = Annotated[
    str | None,
    typer.Argument(
        metavar="[NAME|PATH]",
        show_default=False,
        help="Name of a model. Without it, all shipped models.",
    ),
]


def list_models(
    context: typer.Context,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """List the shipped weights."""
    from avse.utils.shipped import shipped

    terminal = terminal_of(context)
    models = shipped()
    if not models:
        terminal.note("this copy of avse has no weights; give --model a file")
    if as_json:
        terminal.result_json(
            {
                "models": [
                    {
                        "name": model.name,
                        "kind": model.kind,
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

    The exit code is 3 if they are not.
    """
    from avse.inference.offscreen_weights import check_weights
    from avse.utils.shipped import find, shipped

    terminal = terminal_of(context)
    names = [entry.name for entry in shipped()] if model is None else [model]
    if not names:
        raise MissingWeightsError(
            "this copy of avse has no weights", "reinstall avse, or name a file to check"
        )
    worst = 0
    for name in names:
        try:
            path, expected = find(name)
            check_weights(name)
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


def export(
    context: typer.Context,
    run: Run,
    file: File,
    bias: Bias = 0.0,
    full_precision: FullPrecision = False,
    as_json: options.AsJson = False,
    force: options.Force = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Export the weights of a run of avse train to a file.

    Writes the averaged weights of the stage and the specification of the network. A stage that is
    not finished gives the weights of its last saved step.

    Prints the path of the file.
    """
    from avse.media.atomic_files import check_destination
    from avse.models.device import check_torch

    check_torch("exporting a run", "train")
    from avse.training.exporting import export_weights

    terminal = terminal_of(context)
    path = user_path(file)
    check_destination(path, overwrite=force)
    made = export_weights(user_path(run), path, bias=bias, half=not full_precision)
    digest = sha256(path)
    if made.steps < made.all_steps:
        terminal.warn(f"stage {made.stage} is at step {made.steps} of {made.all_steps}")
    if as_json:
        terminal.result_json(
            {
                "file": str(path),
                "sha256": digest,
                "stage": made.stage,
                "steps": made.steps,
                "parameters": made.parameters,
            }
        )
    else:
        terminal.result(str(path))
    terminal.note(
        f"stage {made.stage}, {made.parameters / 1e6:.1f} million parameters, sha256 {digest}"
    )
