"""Output to the user: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

import typer

PROGRAM = "avse"


@dataclass
class Terminal:
    """Writes messages as verbosely as the user chose.

    Attributes:
        verbosity: -1 with --quiet, 0, 1 with -v, 2 and more with -vv.
        command: the program's name and its arguments; empty where the verbs are part of another
            program.
    """

    verbosity: int = 0
    command: tuple[str, ...] = ()

    @property
    def quiet(self) -> bool:
        """Whether to show only results, warnings and errors."""
        return self.verbosity < 0

    @property
    def debugging(self) -> bool:
        """Whether to show tracebacks and the messages of libraries."""
        return self.verbosity >= 2

    @property
    def draws(self) -> bool:
        """Whether to show a progress bar: stderr is a terminal."""
        return not self.quiet and sys.stderr.isatty()

    def result(self, line: str) -> None:
        """Write a line of the result; in a pipe, file names are not escaped."""
        print(printable(line) if sys.stdout.isatty() else line, flush=True)

    def result_json(self, value: Mapping[str, object]) -> None:
        """Write the result as one JSON object; ASCII, so that any terminal and pipe can show it."""
        print(json.dumps(value), flush=True)

    def detail(self, text: str) -> None:
        """Write a detail, shown with -v."""
        if self.verbosity >= 1:
            self._say(text)

    def note(self, text: str) -> None:
        """Write a note, hidden with --quiet."""
        if not self.quiet:
            self._say(text)

    def warn(self, text: str) -> None:
        """Write a warning, even with --quiet."""
        self._say(f"warning: {text}")

    def error(self, message: str, hint: str = "") -> None:
        """Write an error in one line and its hint in another."""
        self._say(f"error: {_one_line(message)}")
        if hint:
            print(f"hint: {printable(_one_line(hint))}", file=sys.stderr, flush=True)

    def internal_error(self, error: BaseException) -> None:
        """Report an internal error."""
        what = _one_line(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)
        self._say(f"internal error: {what}; please report it with the output of `avse doctor`")
        if not self.debugging:
            print("hint: run again with -vv to see where it happened", file=sys.stderr, flush=True)

    def trace(self, error: BaseException) -> None:
        """Write the traceback of an error, shown with -vv."""
        if self.debugging:
            for line in "".join(traceback.format_exception(error)).splitlines():
                print(printable(line), file=sys.stderr)

    def interrupted(self) -> None:
        """Say that the user stopped the program."""
        self._say("interrupted")

    def _say(self, text: str) -> None:
        print(f"{PROGRAM}: {printable(text)}", file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """Text on one line, with control characters shown as escapes.

    File names and metadata of files may contain control sequences for the terminal. Bytes of names
    that are not valid text stay unchanged, except those that a terminal with a one-byte encoding
    would read as control characters.
    """
    return "".join(c if _harmless(c) else repr(c)[1:-1] for c in text)


def _harmless(character: str) -> bool:
    return character.isprintable() or (
        character > "\ud7ff" and not "\udc80" <= character <= "\udc9f"
    )


def terminal_of(context: typer.Context) -> Terminal:
    """The terminal that the program was started with."""
    terminal = context.find_root().obj
    if not isinstance(terminal, Terminal):  # another program includes the verbs
        terminal = context.find_root().obj = Terminal()
    return terminal


def let_any_name_through(stream: TextIO) -> None:
    """Make a stream accept file names that are not valid text, as the system stores them."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="surrogateescape")


def _one_line(text: str) -> str:
    return " ".join(text.split())
