"""The program `avse`: registers the verbs and runs them inside the error boundary."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from avse import __version__
from avse.cli import (
    batch,
    cache,
    doctor,
    enhance,
    evaluate,
    inspect,
    mix,
    models,
    open,
    prepare,
    separate,
    sync,
    train,
    who,
)
from avse.cli.error_handling import USAGE, guarded
from avse.cli.grouping import (
    HOUSEKEEPING,
    RECORDINGS,
    RESEARCHERS,
    GroupedCommand,
    GroupedVerbs,
)
from avse.cli.options import examples
from avse.cli.terminal import PROGRAM, Terminal, let_any_name_through
from avse.utils.memory import share_arenas
from avse.utils.processors import share_processors

EXAMPLES = examples(
    ("click a face to hear only that person", "avse open talk.mp4"),
    ("who is in the video?", "avse inspect talk.mp4 --sheet faces.png"),
    ("the voice of person 2", "avse separate talk.mp4 --speaker 2 -o anna.wav"),
    ("only the voices of visible people", "avse enhance talk.mp4 -o clean.mp4"),
)

app = typer.Typer(
    name=PROGRAM,
    cls=GroupedVerbs,
    epilog=EXAMPLES,
    invoke_without_command=True,
    rich_markup_mode=None,  # plain help is twice as fast and can be piped
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
_models = typer.Typer(name="models", invoke_without_command=True, rich_markup_mode=None)
_cache = typer.Typer(name="cache", invoke_without_command=True, rich_markup_mode=None)

_recordings = partial(app.command, rich_help_panel=RECORDINGS)
_researchers = partial(app.command, rich_help_panel=RESEARCHERS)
_recordings("open", epilog=open.EXAMPLES)(open.open_page)
_recordings(cls=GroupedCommand, epilog=separate.EXAMPLES)(separate.separate)
_recordings(cls=GroupedCommand, epilog=enhance.EXAMPLES)(enhance.enhance)
_recordings(epilog=who.EXAMPLES)(who.who)
_recordings(epilog=inspect.EXAMPLES)(inspect.inspect)
_recordings(epilog=sync.EXAMPLES)(sync.sync)
_recordings(epilog=batch.EXAMPLES)(batch.batch)
_researchers(epilog=mix.EXAMPLES)(mix.mix)
_researchers(epilog=evaluate.EXAMPLES)(evaluate.evaluate)
_researchers(epilog=prepare.EXAMPLES)(prepare.prepare)
_researchers(epilog=train.EXAMPLES)(train.train)
_models.command("list", epilog=models.LIST_EXAMPLES)(models.list_models)
_models.command("verify", epilog=models.VERIFY_EXAMPLES)(models.verify)
_models.command("export", epilog=models.EXPORT_EXAMPLES)(models.export)
app.add_typer(_models, epilog=models.LIST_EXAMPLES, rich_help_panel=RESEARCHERS)
_cache.command("show", epilog=cache.SHOW_EXAMPLES)(cache.show)
_cache.command("clear", epilog=cache.CLEAR_EXAMPLES)(cache.clear)
app.add_typer(_cache, epilog=cache.SHOW_EXAMPLES, rich_help_panel=HOUSEKEEPING)
app.command(epilog=doctor.EXAMPLES, rich_help_panel=HOUSEKEEPING)(doctor.doctor)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Point at a face in a video, get that person's voice."""
    _ask_for_verb(context)
    if context.invoked_subcommand != "train":
        share_processors()
        share_arenas()


@_models.callback()
def _of_models(context: typer.Context) -> None:
    """Show, check and make files of weights."""
    _ask_for_verb(context)


@_cache.callback()
def _of_cache(context: typer.Context) -> None:
    """Show and clear what avse keeps of recordings."""
    _ask_for_verb(context)


def _ask_for_verb(context: typer.Context) -> None:
    """Show the list of verbs if none is given."""
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(USAGE)


def run(arguments: Sequence[str] | None) -> int:
    """Run the program and give its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    terminal = Terminal(command=(PROGRAM, *given))
    for stream in (sys.stdout, sys.stderr):
        let_any_name_through(stream)
    command = typer.main.get_command(app)

    def work() -> object:
        return command.main(
            args=given,
            prog_name=PROGRAM,
            standalone_mode=False,
            obj=terminal,
        )

    return guarded(work, terminal)
