"""`avse who`: speaker diarization, who speaks when."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avse.cli import options
from avse.cli.error_handling import MISSING
from avse.cli.inputs import one_input
from avse.cli.progress import Stages
from avse.cli.tables import table
from avse.cli.terminal import Terminal, terminal_of
from avse.errors import MissingExtraError, UsageError
from avse.scene.naming import check_outputs
from avse.settings import Settings
from avse.utils.paths import user_path

if TYPE_CHECKING:
    from avse.diarization.segments import Segment
    from avse.diarization.who import Activity, SpeakerTurns

EXAMPLES = options.examples(
    ("a table: who speaks from when to when", "avse who talk.mp4"),
    ("for a program, with the probability 25 times a second", "avse who talk.mp4 --json --frames"),
    ("for programs that score diarisation", "avse who talk.mp4 --rttm talk.rttm"),
    ("subtitles that name the speaker", "avse who talk.mp4 --srt talk.srt --vtt talk.vtt"),
    ("for editing programs", "avse who talk.mp4 -o talk.otio -o talk.edl"),
    ("leave out dubbing and voice-over", "avse who talk.mp4 --dubbing"),
    ("a video with boxes, numbers and bars", "avse who talk.mp4 --preview seen.mp4"),
)


def _file(option: str, metavar: str, text: str) -> typer.models.OptionInfo:
    made: typer.models.OptionInfo = typer.Option(
        option, metavar=metavar, show_default=False, help=text
    )
    return made


_ENDINGS = {f".{kind}": kind for kind in ("otio", "edl", "rttm", "srt", "vtt")}

Output = Annotated[
    list[str] | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        show_default=False,
        help="Write who speaks when to a file, whose ending chooses the kind: .otio "
        "(OpenTimelineIO) and .edl (CMX 3600) for editing programs, .rttm, .srt, .vtt. May be "
        "given more than once.",
    ),
]
Rttm = Annotated[
    str | None, _file("--rttm", "FILE", "Write RTTM, the format of NIST's scoring tools.")
]
Srt = Annotated[str | None, _file("--srt", "FILE.srt", "Write subtitles (SubRip): Speaker 2.")]
Vtt = Annotated[str | None, _file("--vtt", "FILE.vtt", "Write subtitles (WebVTT).")]
Preview = Annotated[
    str | None,
    _file("--preview", "FILE.mp4", "Write the video with boxes, numbers and bars of activity."),
]
Frames = Annotated[
    bool, typer.Option("--frames", help="Add the probability of each video frame to --json.")
]
Dubbing = Annotated[
    bool,
    typer.Option(
        "--dubbing/--no-dubbing",
        envvar="AVSE_DUBBING",
        help="Leave out stretches of seconds in which the lips do not match the voice: dubbing, "
        "voice-over. Lips that are tracked badly can look the same. Needs --sync.",
    ),
]


@options.takes_settings(
    "start",
    "end",
    "track",
    "picture",
    "model",
    "device",
    "window_s",
    "overlap",
    "faces",
    "people",
    "same",
    "sync",
    "cache",
    "corrections",
)
def who(
    *,
    context: typer.Context,
    inputs: options.Input,
    output: Output = None,
    rttm: Rttm = None,
    srt: Srt = None,
    vtt: Vtt = None,
    preview: Preview = None,
    frames: Frames = False,
    settings: Settings,
    dubbing: Dubbing = False,
    as_json: options.AsJson = False,
    force: options.Force = False,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show who speaks when.

    Uses lips and sound; without a sound track, moving lips count as speech. Person numbers are
    those of `avse inspect`; times are playing time.
    """
    terminal = terminal_of(context)
    source = one_input(inputs, "who")
    if frames and not as_json:
        raise UsageError("--frames needs --json", "add --json")
    named = {"rttm": rttm, "srt": srt, "vtt": vtt}
    files = [(kind, user_path(name)) for kind, name in named.items() if name is not None]
    files += [(_kind_of(name), user_path(name)) for name in output or ()]
    seen = None if preview is None else user_path(preview)
    missing = seen is not None and not _can_preview(seen, bool(files), terminal)
    from avse.scene.scene import examine

    examined = examine(source, settings, need_audio=None)
    outputs = [path for _, path in files]
    if seen is not None and not missing:
        outputs.append(seen)
    check_outputs(outputs, source, force=force)
    with Stages(terminal) as progress:
        progress("model", 0.0, None)
        from avse.diarization.who import who as find_out

        activity = find_out(
            source, dubbing=dubbing, settings=settings, progress=progress, examined=examined
        )
        if seen is not None and not missing:
            from avse.diarization.preview import write_preview

            write_preview(activity, seen, overwrite=force, progress=progress)
    written = _write(activity, files, source, force)
    for warning in (*_warnings(activity), *written):
        terminal.warn(f"{source.name}: {warning}")
    if as_json:
        terminal.result_json(_as_json(source, activity, frames))
    else:
        for line in _report(activity, dubbing):
            terminal.result(line)
    if missing:
        raise typer.Exit(MISSING)


def _kind_of(name: str) -> str:
    suffix = user_path(name).suffix.lower()
    if suffix not in _ENDINGS:
        raise UsageError(
            f"--output {name}: cannot write {suffix or 'a name without an ending'}",
            f"choose one of {' '.join(_ENDINGS)}; --preview writes a video",
        )
    return _ENDINGS[suffix]


def _can_preview(path: Path, others: bool, terminal: Terminal) -> bool:
    """Whether the requested preview can be made.

    Raises:
        UsageError: its file name does not fit.
        MissingExtraError: it cannot be made, and no other file is requested.
    """
    from avse.diarization.preview import check_preview

    try:
        check_preview(path)
    except MissingExtraError as error:
        if not others:
            raise
        terminal.error(f"{error.message}; all other files are written", error.hint)
        return False
    return True


def _warnings(activity: Activity) -> list[str]:
    found = list(activity.scene.notes)
    if not activity.heard:
        found.append("there is no sound track: moving lips count as speech")
    sync = activity.sync
    if sync is not None and sync.out_of_step:
        found.append(f"{sync.describe()}; the lips were shifted to match")
    elif sync is not None and sync.probable and sync.apart:
        found.append(f"{sync.describe()}, too uncertain to correct; `avse sync --fix` would")
    found += [
        f"person {talk.person.number}'s lips do not match the voice for {talk.dubbed.seconds:.1f} "
        f"s (dubbing?); this is left out, --no-dubbing keeps it"
        for talk in activity.talks
        if talk.dubbed is not None and talk.dubbed.segments
    ]
    return found


def _write(
    activity: Activity, files: list[tuple[str, Path]], source: Path, force: bool
) -> list[str]:
    """Write all text files and return notes for the user."""
    from avse.diarization.formats import as_text
    from avse.media.atomic_files import place_text

    warnings = []
    for kind, path in files:
        text, warned = as_text(activity, kind, path, source)
        place_text(path, text, overwrite=force)
        warnings += warned
    return warnings


def _as_json(source: Path, activity: Activity, frames: bool) -> dict[str, object]:
    sync = None if activity.sync is None else activity.sync.as_json()
    about: dict[str, object] = {"input": str(source), "sound": activity.heard, "sync": sync}
    if frames:
        about["frames"] = {"rate_hz": 25, "first_s": round(activity.first, 4)}
    return {**about, "people": [_talk_json(talk, frames) for talk in activity.talks]}


def _talk_json(talk: SpeakerTurns, frames: bool) -> dict[str, object]:
    about: dict[str, object] = {
        "number": talk.person.number,
        "seconds_on_screen": round(talk.person.seconds_on_screen, 2),
        "seconds_speaking": round(talk.seconds, 2),
        "segments": _segments_json(talk.segments),
        "dubbed": None
        if talk.dubbed is None
        else {
            "probability": round(talk.dubbed.probability, 3),
            "seconds": round(talk.dubbed.seconds, 2),
            "segments": _segments_json(talk.dubbed.segments),
        },
    }
    if frames:
        values = talk.probability.tolist()
        about["probability"] = [None if p != p else round(p, 3) for p in values]  # NaN: unseen
    return about


def _segments_json(segments: Sequence[Segment]) -> list[dict[str, float]]:
    return [{"start_s": round(s.start, 3), "end_s": round(s.stop, 3)} for s in segments]


def _dubbed(talk: SpeakerTurns) -> str:
    """Seconds in which the lips do not match the voice; ? where there is too little evidence."""
    return "?" if talk.dubbed is None else f"{talk.dubbed.seconds:.1f} s"


def _report(activity: Activity, dubbing: bool) -> list[str]:
    named = any(talk.person.name for talk in activity.talks)
    people = [
        [
            str(talk.person.number),
            *([talk.person.name or ""] if named else []),
            f"{talk.person.seconds_on_screen:.1f} s",
            f"{talk.seconds:.1f} s",
            str(len(talk.segments)),
            *([_dubbed(talk)] if dubbing else []),
        ]
        for talk in activity.talks
    ]
    heads = ["person", *(["name"] if named else []), "in sight", "speaks", "times"]
    heads += ["dubbed"] if dubbing else []
    lines = table(heads, people, right="person speaks times dubbed")
    turns = sorted(
        (segment, talk.person.number) for talk in activity.talks for segment in talk.segments
    )
    if not turns:
        return [*lines, "", "nobody speaks"]
    rows = [
        [f"{s.start:.2f}", f"{s.stop:.2f}", f"{s.length:.2f}", str(number)] for s, number in turns
    ]
    heads = ["from", "to", "seconds", "person"]
    return [*lines, "", *table(heads, rows, right="from to seconds person")]
