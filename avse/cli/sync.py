"""`avse sync`: measure and correct the A/V offset."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avse.cli import options
from avse.cli.inputs import one_input
from avse.cli.progress import Stages
from avse.cli.tables import table
from avse.cli.terminal import Terminal, terminal_of
from avse.errors import InputError, UsageError
from avse.scene.naming import check_outputs
from avse.settings import Settings
from avse.utils.paths import user_path

if TYPE_CHECKING:
    from avse.media import MediaInfo
    from avse.scene.scene import Examined, Scene
    from avse.sync.result import Offset, Sync

EXAMPLES = options.examples(
    ("measure the A/V offset", "avse sync talk.mp4"),
    ("correct it without encoding again", "avse sync talk.mp4 --fix -o fixed.mp4"),
    ("does the offset change over time?", "avse sync talk.mp4 --over-time"),
    ("for a program", "avse sync talk.mp4 --json"),
)

Fix = Annotated[
    bool,
    typer.Option(
        "--fix",
        help="Write a copy in which sound and picture are in sync. Packets are copied; only the "
        "time stamps of the sound change. Needs -o.",
    ),
]
Fixed = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        show_default=False,
        help="The file that --fix writes: .mp4, .m4v, .mov, .mkv or .webm.",
    ),
]
OverTime = Annotated[
    bool, typer.Option("--over-time", help="Also print the offset of every five seconds.")
]


@options.takes_settings(
    "start", "end", "track", "picture", "model", "device", "faces", "cache", "corrections", "same"
)
def sync(
    *,
    context: typer.Context,
    inputs: options.Input,
    fix: Fix = False,
    output: Fixed = None,
    over_time: OverTime = False,
    settings: Settings,
    as_json: options.AsJson = False,
    force: options.Force = False,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Measure the offset between sound and lips, and correct it with --fix.

    Offsets are in milliseconds; positive: the sound is late. The confidence is the probability
    that the offset is within 40 ms of the truth. --start and --end choose the part that is
    measured; --fix still writes the whole recording.
    """
    terminal = terminal_of(context)
    source = one_input(inputs, "sync")
    target = _target(fix=fix, output=output)
    if target is not None:
        check_outputs([target], source, force=force)
    from avse.scene.scene import examine

    examined = examine(source, settings)
    if target is not None:
        _check_copy(examined.info, target, force)
    scene, found = _measure(examined, settings, terminal)
    for note in scene.notes:
        terminal.warn(f"{source.name}: {note}")
    if target is not None:
        _fix(source, target, found, force, terminal)
    if as_json:
        terminal.result_json(_as_json(source, scene, found, target, over_time=over_time))
    elif target is not None:
        terminal.result(str(target))
    else:
        for line in _report(source, scene, found, over_time=over_time):
            terminal.result(line)


def _target(*, fix: bool, output: str | None) -> Path | None:
    """Where to write."""
    if not fix:
        if output is not None:
            raise UsageError("--output is for --fix", "add --fix, or leave -o out")
        return None
    if output is None:
        raise UsageError("--fix needs a file to write", "such as: --fix -o fixed.mp4")
    return user_path(output)


def _check_copy(info: MediaInfo, target: Path, force: bool) -> None:
    """Check, before the network is loaded, that the copy can hold the streams."""
    from avse.media.copying import check_copy, check_streams

    check_copy(info.path, target, overwrite=force)
    check_streams(info, target)


def _measure(examined: Examined, settings: Settings, terminal: Terminal) -> tuple[Scene, Sync]:
    source = examined.info.path
    with Stages(terminal) as progress:
        progress("model", 0.0, None)
        from avse.inference.networks import open_network
        from avse.models.device import pick_device
        from avse.scene.scene import look
        from avse.sync.measuring import measure

        network = open_network(settings.model, device=pick_device(settings.device))
        scene = look(source, settings, progress=progress, examined=examined)
        if scene.offset_ms is not None:
            terminal.note(
                f"{source.name}: an offset of {scene.offset_ms:g} ms is set by hand, and other "
                f"verbs use it; this verb shows the measured one"
            )
        return scene, measure(replace(scene, offset_ms=None), network, progress=progress)


def _fix(source: Path, target: Path, found: Sync, force: bool, terminal: Terminal) -> None:
    from avse.media import move_sound

    if not found.probable:
        raise InputError(
            f"{source.name}: no reliable A/V offset: {found.describe()}",
            "nothing was written; try a longer recording, or one with a larger face",
        )
    terminal.note(found.describe())
    if not found.confident:
        terminal.warn("this offset is likely, not certain: check the result")
    offset_ms = found.whole.offset_ms or 0.0
    if not found.apart:
        terminal.note("sound and picture are in sync: the file is copied unchanged")
        offset_ms = 0.0
    if found.drift is not None:
        terminal.warn(
            f"the offset changes by {found.drift.ms_per_minute:.0f} ms a minute, which a constant "
            f"shift cannot correct: only the middle of the recording is in sync"
        )
    result = move_sound(source, target, Fraction(round(offset_ms), 1000), overwrite=force)
    for what in result.dropped:
        terminal.warn(f"{target.name}: left out {what}")


def _as_json(
    source: Path, scene: Scene, found: Sync, target: Path | None, *, over_time: bool
) -> dict[str, object]:
    about: dict[str, object] = {"input": str(source), **found.as_json()}
    if over_time:
        about["over_time"] = [
            {
                "start_s": round(_playing_time(scene, window.start_s), 2),
                "end_s": round(_playing_time(scene, window.end_s), 2),
                **window.offset.as_json(),
            }
            for window in found.windows
        ]
    if target is not None:
        about["output"] = str(target)
    return about


def _report(source: Path, scene: Scene, found: Sync, *, over_time: bool) -> list[str]:
    heads = ["offset", "confidence"]
    people = [[str(person.number), *_cells(person.offset)] for person in found.people]
    lines = [f"{source.name}: {found.describe()}", ""]
    lines += table(["person", *heads], people, right="person offset confidence")
    if over_time:
        times = [
            [
                f"{_playing_time(scene, window.start_s):.1f}",
                f"{_playing_time(scene, window.end_s):.1f}",
                *_cells(window.offset),
            ]
            for window in found.windows
        ]
        lines += ["", *table(["from s", "to s", *heads], times, right="offset confidence")]
    return lines


def _cells(offset: Offset) -> list[str]:
    late = "?" if offset.offset_ms is None else f"{offset.offset_ms:+.0f} ms"
    return [late, f"{offset.confidence:.2f}"]


def _playing_time(scene: Scene, seconds: float) -> float:
    return max(0.0, scene.playing_time(Fraction(seconds)))
