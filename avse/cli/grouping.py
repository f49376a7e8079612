"""Help of a verb with many options: under titles, what people need first on top."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

from avse.cli.options import ADVANCED, PANELS


class GroupedCommand(TyperCommand):
    """A verb whose help lists options under the titles in `PANELS`.

    Typer does that for help with markup only, which takes twice as long.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments, then the options of each title."""
        groups: dict[str, list[tuple[str, str]]] = {"Arguments": [], **{p: [] for p in PANELS}}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            option = parameter.param_type_name == "option"
            title = getattr(parameter, "rich_help_panel", None) or ADVANCED
            groups[title if option else "Arguments"].append(record)
        for title, records in groups.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
