"""Options that several verbs share, so that each means the same everywhere.

Options of settings are made from the fields of `avse.settings.Settings`; this module defines the
others.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Literal, get_type_hints

import typer

from avse.cli.configuration import use_configuration
from avse.cli.error_handling import listen_to_library, quieten_libraries
from avse.cli.terminal import terminal_of
from avse.errors import UsageError
from avse.settings import Settings, read_same
from avse.utils.clock import read_clock

OUTPUT, PEOPLE, PART = "Output", "People", "Part of the recording"
QUALITY, ADVANCED = "Quality", "Advanced"
PANELS = (OUTPUT, PEOPLE, PART, QUALITY, ADVANCED)
"""Titles in the help of verbs with many options, in order; options without a title are advanced."""

_BITS: dict[str, Literal[16, 24, 32]] = {"16": 16, "24": 24, "32": 32}


class ClipMode(StrEnum):
    """What to do where an integer file would clip."""

    RESCALE = "rescale"
    CLAMP = "clamp"
    NONE = "none"


def read_time(text: str) -> float:
    """Read an option that takes seconds or a clock time: 90, 1:30, 1:02:03.5.

    Raises:
        typer.BadParameter: it is neither.
    """
    try:
        return float(read_clock(text))
    except UsageError as error:
        raise typer.BadParameter(f"{error.message}; {error.hint}") from error


def read_bits(text: str) -> Literal[16, 24, 32]:
    """Read --bits.

    Raises:
        typer.BadParameter: no such depth.
    """
    if str(text) not in _BITS:
        raise typer.BadParameter(f"{text!r} is not one of 16, 24, 32")
    return _BITS[str(text)]


def _hear(context: typer.Context, count: int) -> int:
    if not context.resilient_parsing:
        terminal = terminal_of(context)
        terminal.verbosity = max(terminal.verbosity, count) if terminal.verbosity >= 0 else -1
        quieten_libraries(terminal)
        listen_to_library(terminal)
    return count


def _hush(context: typer.Context, quiet: bool) -> bool:
    if quiet and not context.resilient_parsing:
        terminal_of(context).verbosity = -1
    return quiet


def examples(*pairs: tuple[str, str]) -> str:
    """Examples at the end of a help text: command lines with comments."""
    lines = [line for what, command in pairs for line in (f"# {what}", command)]
    return "\n".join(["\b", "Examples:", *(f"  {line}" for line in lines)])


_SETTINGS = {one.name: one for one in dataclasses.fields(Settings) if one.metadata}
_WRITTEN = {"start": float | None, "end": float | None, "same": list[str] | None}
"""Types that differ on the command line from those in `Settings`."""

_Verb = Callable[..., None]


def setting(name: str) -> Any:
    """The option of a field of `Settings`, for the annotation of a parameter."""
    about = dict(_SETTINGS[name].metadata)
    parser = read_time if about["metavar"] in ("TIME", "SECONDS") else None
    return typer.Option(*about.pop("names"), parser=parser, **about)


def takes_settings(*names: str) -> Callable[[_Verb], _Verb]:
    """Give a verb the options of these fields of `Settings`, or of all that have one.

    The options take the place of the verb's parameter `settings`, which gets the user's choices.
    """
    types = {**get_type_hints(Settings), **_WRITTEN}
    offered = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None if name == "same" else _SETTINGS[name].default,
            annotation=Annotated[types[name], setting(name)],
        )
        for name in names or _SETTINGS
    ]

    def decorated(verb: _Verb) -> _Verb:
        @functools.wraps(verb)
        def call(**given: Any) -> None:
            chosen = {one.name: given.pop(one.name) for one in offered}
            if "same" in chosen:
                chosen["same"] = read_same(chosen["same"] or ())
            verb(**given, settings=Settings(**chosen))

        signature = inspect.signature(verb, eval_str=True)
        parameters = [
            each
            for one in signature.parameters.values()
            for each in (offered if one.name == "settings" else [one])
        ]
        call.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return call

    return decorated


Input = Annotated[
    list[str],
    typer.Argument(metavar="INPUT", help="A video with sound, or a pattern that matches one."),
]
Inputs = Annotated[
    list[str],
    typer.Argument(metavar="INPUT...", help="Recordings, or patterns that match recordings."),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        show_default="the current folder",
        rich_help_panel=OUTPUT,
        help="A file if there is one output, else a folder, created if missing. The ending chooses "
        "the kind: .wav, .flac, .mp3, .m4a and .opus are sound; .mp4, .m4v, .mov, .mkv and .webm "
        "are the video with its picture copied and the voice as its sound.",
    ),
]
Tracks = Annotated[
    str | None,
    typer.Option(
        "--tracks",
        metavar="FILE.mov|mkv|mp4",
        show_default=False,
        rich_help_panel=OUTPUT,
        help="Write one video for editing programs: the picture copied, a sound track for each "
        "person, and one for everything else. Without -o it is the only output.",
    ),
]
Bits = Annotated[
    Literal[16, 24, 32] | None,
    typer.Option(
        "--bits",
        metavar="16|24|32",
        parser=read_bits,
        envvar="AVSE_BITS",
        show_default="those of the recording",
        rich_help_panel=OUTPUT,
        help="Bit depth of .wav, .flac, .mov and .mkv. 32 is floating point, which .flac cannot "
        "hold.",
    ),
]
Report = Annotated[
    bool,
    typer.Option(
        "--report",
        envvar="AVSE_REPORT",
        rich_help_panel=OUTPUT,
        help="Also write a report for reviewers, as .avse.json and .avse.txt beside the outputs: "
        "versions, settings, SHA-256 of all files, and where a voice was guessed.",
    ),
]
Speaker = Annotated[
    str,
    typer.Option(
        "--speaker",
        "-s",
        metavar="N|NAME|all|@TIME:X,Y",
        envvar="AVSE_SPEAKER",
        rich_help_panel=PEOPLE,
        help="Whose voice: a number that `avse inspect` shows, a name in --people, several (1,3), "
        "all, or the person visible at a time and place, such as @12.5s:0.31,0.40 or "
        "@1:02:03.5:0.31,0.40 (0 to 1 from the left and from the top).",
    ),
]
Name = Annotated[
    str,
    typer.Option(
        "--name",
        metavar="TEMPLATE",
        envvar="AVSE_NAME",
        rich_help_panel=OUTPUT,
        help="Pattern for the names of files in a folder. {speaker} is the number, or residual, "
        "narrator or "
        "crowd; {person} the name from --people, or the number; {stem} and {name} are the input's "
        "name without and with its ending. An ending in place of {ext} chooses the kind.",
    ),
]
Residual = Annotated[
    bool,
    typer.Option(
        "--residual",
        envvar="AVSE_RESIDUAL",
        rich_help_panel=OUTPUT,
        help="Also write the residual: all sound but the chosen voices. Voices and residual add "
        "up to "
        "the original.",
    ),
]
Offscreen = Annotated[
    bool,
    typer.Option(
        "--offscreen",
        envvar="AVSE_OFFSCREEN",
        rich_help_panel=OUTPUT,
        help="Also write off-screen speech: clear voices (narrator), many voices at once (crowd), "
        "and the residual. All stems add up to the original.",
    ),
]
Clipping = Annotated[
    ClipMode,
    typer.Option(
        "--clip",
        envvar="AVSE_CLIP",
        help="What to do where an integer file would clip: rescale attenuates all files of the "
        "recording by one gain, so that they still add up; clamp cuts the peaks; both print a "
        "warning. none cuts the peaks without a warning.",
    ),
]
KeepOriginalAudio = Annotated[
    bool,
    typer.Option(
        "--keep-original-audio",
        envvar="AVSE_KEEP_ORIGINAL_AUDIO",
        rich_help_panel=OUTPUT,
        help="In videos, keep the original sound as a further track, after the new ones.",
    ),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        min=1,
        metavar="N",
        envvar="AVSE_JOBS",
        show_default="one for each processor",
        help="Number of parallel processes.",
    ),
]
AsJson = Annotated[
    bool,
    typer.Option(
        "--json", rich_help_panel=OUTPUT, help="Write one JSON object to stdout, for programs."
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", "-f", rich_help_panel=OUTPUT, help="Replace files that exist."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        "-n",
        rich_help_panel=OUTPUT,
        help="Check everything and name the outputs, but write nothing.",
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        callback=_hush,
        is_eager=True,
        help="Print only results, warnings and errors.",
    ),
]
Verbose = Annotated[
    int,
    typer.Option(
        "--verbose",
        "-v",
        count=True,
        callback=_hear,
        is_eager=True,
        show_default=False,
        metavar="",
        help="Print more; -vv adds tracebacks and messages of libraries.",
    ),
]
Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="FILE.toml",
        envvar="AVSE_CONFIG",
        callback=use_configuration,
        is_eager=True,
        show_default=False,
        help="File with defaults for options. The command line and the environment take "
        "precedence.",
    ),
]
