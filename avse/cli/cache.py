"""`avse cache`: show and clear the analysis results that avse keeps of recordings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from avse.cli import options
from avse.cli.tables import table
from avse.cli.terminal import printable, terminal_of

if TYPE_CHECKING:
    from avse.scene.cache import Cache, Entry

SHOW_EXAMPLES = options.examples(
    ("recordings, sizes, last use", "avse cache show"),
    ("for a program", "avse cache show --json"),
)
CLEAR_EXAMPLES = options.examples(
    ("remove all of it", "avse cache clear"),
    ("also remove corrections made by hand", "avse cache clear --corrections"),
)

Corrections = Annotated[
    bool,
    typer.Option(
        "--corrections", help="Also remove corrections made by hand. This cannot be undone."
    ),
]

_WHAT = {"faces": "faces and lips", "sync": "A/V offset"}


def show(
    context: typer.Context,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show which recordings have cached results, most recently used first.

    The cache is the folder AVSE_CACHE, else a folder in the user's cache folder. Above
    AVSE_CACHE_GB gigabytes (2), avse removes the results that were not used for the longest time.
    """
    from avse.media.atomic_files import size

    terminal = terminal_of(context)
    cache = _cache()
    entries = [entry for entry in cache.entries() if entry.kind in _WHAT]
    total = cache.bytes()
    if as_json:
        terminal.result_json(
            {
                "folder": str(cache.folder),
                "bytes": total,
                "limit_bytes": cache.limit_bytes,
                "entries": [_as_json(entry) for entry in entries],
            }
        )
        return
    if entries:
        rows = [
            [printable(one.recording), _WHAT[one.kind], size(one.bytes), _when(one.used)]
            for one in entries
        ]
        for line in table(["recording", "what", "size", "last used"], rows, right="size"):
            terminal.result(line)
    terminal.note(f"{size(total)} of {size(cache.limit_bytes)} in {cache.folder}")


def clear(
    context: typer.Context,
    corrections: Corrections = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Remove the cached results of recordings; avse computes them again when needed.

    Corrections made by hand stay, unless --corrections is given.
    """
    from avse.media.atomic_files import size
    from avse.scene.corrections import clear_corrections

    terminal = terminal_of(context)
    cache = _cache()
    terminal.note(f"{size(cache.clear())} removed from {cache.folder}")
    if corrections:
        count = clear_corrections()
        terminal.note(f"the corrections of {count} recording{'s' * (count != 1)} removed")


def _cache() -> Cache:
    """The cache, even if its size limit is 0.

    Raises:
        InputError: there is no folder for it.
    """
    from avse.errors import InputError
    from avse.scene.cache import Cache, cache_folder, cache_limit

    folder = cache_folder()
    if folder is None:
        raise InputError("there is no home folder for a cache", "set AVSE_CACHE to a folder")
    return Cache(folder, cache_limit())


def _as_json(entry: Entry) -> dict[str, object]:
    used = datetime.fromtimestamp(entry.used, UTC).isoformat(timespec="seconds")
    return {
        "recording": entry.recording,
        "kind": entry.kind,
        "bytes": entry.bytes,
        "used": used,
    }


def _when(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"
