"""Group the options and verbs in help texts under titles, the most used first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

from avse.cli.options import ADVANCED, PANELS

RECORDINGS, RESEARCHERS, HOUSEKEEPING = "For recordings", "For researchers", "Housekeeping"

_FIRST = (
    "--speaker",
    "--output",
    "--residual",
    "--tracks",
    "--people",
    "--start",
    "--end",
    "--model",
    "--device",
    "--force",
)
"""The most used options of all titles."""

_MOST_USED = "Most used"

# Typer has titles too, but in help with markup only, which takes twice as long.


class GroupedCommand(TyperCommand):
    """A verb whose help lists options under the titles in `PANELS`, the most used above them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options of each title."""
        titles = ("Arguments", _MOST_USED, *PANELS)
        groups: dict[str, list[tuple[str, str]]] = {title: [] for title in titles}
        parameters = self.get_params(ctx)
        for parameter in sorted(parameters, key=_place):
            record = parameter.get_help_record(ctx)
            if record is not None:
                groups[_title(parameter)].append(record)
        _write(groups, formatter)


class GroupedVerbs(TyperGroup):
    """A program whose help lists its verbs under titles."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the verbs of each title."""
        titles = (RECORDINGS, RESEARCHERS, HOUSEKEEPING)
        groups: dict[str, list[tuple[str, str]]] = {title: [] for title in titles}
        limit = formatter.width - 6 - max(len(name) for name in self.commands)
        for name in self.list_commands(ctx):
            command: Any = self.commands[name]
            groups[command.rich_help_panel].append((name, command.get_short_help_str(limit)))
        _write(groups, formatter)


def _place(parameter: Any) -> int:
    """Where an option stands among the most used; all others keep their order."""
    return next((n for n, name in enumerate(_FIRST) if name in parameter.opts), len(_FIRST))


def _title(parameter: Any) -> str:
    if parameter.param_type_name != "option":
        return "Arguments"
    if _place(parameter) < len(_FIRST):
        return _MOST_USED
    return getattr(parameter, "rich_help_panel", None) or ADVANCED


def _write(groups: Mapping[str, Sequence[tuple[str, str]]], formatter: Any) -> None:
    for title, records in groups.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)
