"""`avse open`: separate a recording in the browser."""

from __future__ import annotations

import logging
import os
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avse.cli import options
from avse.cli.inputs import one_input
from avse.cli.terminal import Terminal, terminal_of
from avse.settings import Settings
from avse.utils.paths import user_path

if TYPE_CHECKING:
    from avse.page.protocol import Session
    from avse.page.words import Recogniser

EXAMPLES = options.examples(
    ("click a face to hear only that person", "avse open talk.mp4"),
    ("choose a file in the browser", "avse open"),
    ("with subtitles of each person", "avse open talk.mp4 --transcribe faster-whisper:small.en"),
    ("on a machine without a screen: ssh -L 8000:localhost:8000", "avse open --port 8000"),
)

_CLOSING_S = 1.0  # that closing a recording may take

File = Annotated[
    str | None,
    typer.Argument(
        metavar="[FILE]",
        show_default=False,
        help="A video with sound. Without it, choose one in the browser.",
    ),
]
Port = Annotated[
    int,
    typer.Option(
        "--port",
        min=0,
        max=65535,
        metavar="N",
        envvar="AVSE_PORT",
        show_default="a free one",
        help="Port on this computer. Other computers cannot reach it.",
    ),
]
Browser = Annotated[
    bool,
    typer.Option(
        "--browser/--no-browser",
        envvar="AVSE_BROWSER",
        help="Open the page in the browser; its address is printed in any case.",
    ),
]

Transcribe = Annotated[
    str | None,
    typer.Option(
        "--transcribe",
        metavar="RECOGNISER",
        envvar="AVSE_TRANSCRIBE",
        show_default=False,
        help="Also show what each person says, with faster-whisper[:MODEL] or a command that "
        "prints the words in the sound file {}. The command runs without a shell.",
    ),
]


@options.takes_settings("track", "picture", "model", "device", "faces", "people")
def open_page(
    *,
    context: typer.Context,
    file: File = None,
    port: Port = 0,
    browser: Browser = True,
    transcribe: Transcribe = None,
    settings: Settings,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Open a page in the browser: click a face, hear the voice.

    The page works offline and sends no data off this computer. A browser needs the printed address
    to connect. Ctrl-C ends the program.
    """
    terminal = terminal_of(context)
    source = None if file is None else one_input([file], "open")
    _check(source, settings)
    recogniser = None if transcribe is None else _open_recogniser(transcribe)
    from avse.page.scratch import close_all
    from avse.page.server import Page
    from avse.page.serving import Server, bind
    from avse.page.session import (  # type: ignore[import-untyped, import-not-found, unused-ignore]
        open_recording,
    )
    from avse.utils.memory import give_back_at_once

    def open_session(path: Path) -> Session:
        session: Session = open_recording(path, settings, recogniser)
        return session

    def ready(address: str) -> None:
        terminal.result(address)
        terminal.note("Ctrl-C ends it")
        if browser:
            threading.Thread(target=_show, args=(address, terminal), daemon=True).start()

    give_back_at_once()
    _log(terminal)
    with bind(port) as bound:
        page = Page(
            open_session,
            None if source is None else open_session(source),
            picture=settings.picture,
            on_defect=terminal.trace,
        )
        try:
            Server(page, bound, ready=ready, log=terminal.verbosity >= 1).serve_until_stopped()
        finally:
            # A thread that hangs must not keep the program running.
            closing = threading.Thread(target=page.close, daemon=True)
            closing.start()
            closing.join(_CLOSING_S)
            close_all()
    sys.stdout.flush()
    sys.stderr.flush()
    if any(thread.daemon for thread in threading.enumerate()):
        # A thread that runs a network cannot be stopped and would crash while the program exits.
        os._exit(0)


def _check(source: Path | None, settings: Settings) -> None:
    """Check the input before the server starts and PyTorch is loaded."""
    if source is not None:
        from avse.scene.scene import examine

        examine(source, settings)
    elif settings.people is not None:
        from avse.faces.people_file import read_people

        read_people(user_path(settings.people))
    if settings.model != Settings.model:
        from avse.utils.shipped import find

        find(settings.model)
    if settings.device != Settings.device:
        from avse.models.device import pick_device

        pick_device(settings.device)


def _open_recogniser(line: str) -> Recogniser:
    """The speech recogniser, loaded at once so that a missing package is reported before the
    start."""
    from avse.page.words import open_recogniser

    return open_recogniser(line, option="--transcribe")


def _show(address: str, terminal: Terminal) -> None:
    """Open a browser; the call blocks if the browser runs in the terminal."""
    if not webbrowser.open(address):
        terminal.note("no browser was found: open the printed address by hand")


def _log(terminal: Terminal) -> None:
    """Show the server's log with -v only, on stderr; stdout is for results."""
    log = logging.getLogger("uvicorn")
    log.propagate = False
    log.handlers = [
        logging.StreamHandler(sys.stderr) if terminal.verbosity >= 1 else logging.NullHandler()
    ]
