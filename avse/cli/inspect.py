"""`avse inspect`: streams and people of a recording, with each person's number."""

from __future__ import annotations

from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from avse.cli import options
from avse.cli.inputs import several_inputs
from avse.cli.progress import Stages
from avse.cli.tables import table
from avse.cli.terminal import Terminal, printable, terminal_of
from avse.errors import AvseError, NoFaceError, UsageError
from avse.scene.naming import check_outputs
from avse.scene.part import find_part
from avse.settings import Settings
from avse.utils.clock import clock
from avse.utils.paths import user_path

if TYPE_CHECKING:
    from avse.faces.people import Person
    from avse.media import AudioStream, MediaInfo, OtherStream, VideoStream
    from avse.scene.scene import Scene

EXAMPLES = options.examples(
    ("streams, and the people with their numbers", "avse inspect talk.mp4"),
    ("a picture of all faces with their numbers", "avse inspect talk.mp4 --sheet faces.png"),
    (
        "remember the people, to know them in other recordings",
        "avse inspect talk.mp4 --remember people.toml",
    ),
    ("which of them are in this recording?", "avse inspect next.mp4 --people people.toml"),
    ("the people in the second picture of a file", "avse inspect call.mkv --picture 1"),
    ("several recordings, one after the other", "avse inspect *.mp4"),
    ("for a program: an object a line", "avse inspect talk.mp4 --json"),
)

Sheet = Annotated[
    str | None,
    typer.Option(
        "--sheet",
        metavar="FILE.png",
        show_default=False,
        help="Write a picture of all faces with their numbers and places.",
    ),
]

Remember = Annotated[
    str | None,
    typer.Option(
        "--remember",
        metavar="FILE.toml",
        show_default=False,
        help="Add people to a file for --people, each with a face embedding, which is biometric "
        "data. People in the file are left as they are. Needs avse[identity].",
    ),
]


@options.takes_settings(
    "start", "end", "people", "same", "picture", "faces", "cache", "corrections", "device"
)
def inspect(
    *,
    context: typer.Context,
    inputs: options.Inputs,
    sheet: Sheet = None,
    settings: Settings,
    remember: Remember = None,
    as_json: options.AsJson = False,
    force: options.Force = False,
    config: options.Config = None,
    quiet: options.Quiet = False,
    verbose: options.Verbose = 0,
) -> None:
    """Show the streams of recordings and the people visible in them.

    `avse separate --speaker` takes the same numbers: in order of appearance, then in reading
    order, row by row. --same 2=3 joins two numbers of one person, here and in the other verbs.
    """
    from avse.cli.remembering import check_memory, remember_people

    terminal = terminal_of(context)
    memory = None if remember is None else check_memory(remember, settings.people)
    if memory is not None and memory.is_file():
        settings = replace(settings, people=str(memory))
    sources = several_inputs(inputs)
    drawing = _sheet_path(sheet)
    if drawing is not None and len(sources) > 1:
        raise UsageError(
            f"--sheet {sheet} is one picture, but there are {len(sources)} inputs",
            "give one input at a time",
        )
    shown = failed = 0
    for source in sources:
        try:
            info, scene = _inspected(source, settings, drawing, force, terminal)
        except AvseError as error:
            if len(sources) == 1:
                raise
            terminal.error(error.message, error.hint)
            failed = failed or error.exit_code
            continue
        if memory is not None:
            remember_people(memory, source, scene, terminal)
        found = () if scene is None else scene.people
        named = settings.people is not None or any(person.name for person in found)
        if as_json:
            about = _as_json(source, info, scene, named=named)
            if settings.start is not None or settings.end is not None:
                about["part"] = {"start_s": settings.start, "end_s": settings.end}
            terminal.result_json(about)
        else:
            between = [""] if shown else []
            for line in [*between, *_report(source, info, scene, named=named)]:
                terminal.result(line)
            _note_part(info, settings, terminal)
        shown += 1
    if failed:
        raise typer.Exit(failed)


def _note_part(info: MediaInfo, settings: Settings, terminal: Terminal) -> None:
    part = find_part(info, settings)
    if not part.is_whole:
        first = part.begin(info.start) - info.start
        last = part.length(info.start, info.duration)
        until = "the end" if last is None else clock(first + last)
        terminal.note(f"only the part from {clock(first)} to {until} was analysed")


def _inspected(
    source: Path, settings: Settings, drawing: Path | None, force: bool, terminal: Terminal
) -> tuple[MediaInfo, Scene | None]:
    """Show the streams and the people of a recording; None if nobody is visible."""
    from avse.media import probe

    info = probe(source)
    find_part(info, settings)
    if drawing is not None:
        check_outputs([drawing], source, force=force)
    scene = _look(source, info, settings, terminal)
    if scene is not None:
        info = scene.info
        for note in scene.notes:
            terminal.warn(f"{source.name}: {note}")
    if drawing is not None:
        _draw(scene, drawing, force, terminal)
    return info, scene


def _look(source: Path, info: MediaInfo, settings: Settings, terminal: Terminal) -> Scene | None:
    """Find the people of a recording; None if nobody is visible."""
    if info.video is None:
        terminal.note(f"{source.name}: there is no moving picture, so there are no faces")
        return None
    from avse.scene.scene import look

    try:
        with Stages(terminal) as progress:
            return look(source, settings, progress=progress, need_audio=False)
    except NoFaceError as error:
        terminal.note(f"{error.message}; {error.hint}")
        return None


def _sheet_path(sheet: str | None) -> Path | None:
    if sheet is None:
        return None
    path = user_path(sheet)
    if path.suffix.lower() != ".png":
        raise UsageError(f"{sheet}: the picture of faces is a PNG file", "let it end in .png")
    return path


def _draw(scene: Scene | None, path: Path, force: bool, terminal: Terminal) -> None:
    if scene is None:
        terminal.warn(f"{path.name} was not written: there are no faces to show")
        return
    from avse.faces.gallery import moments, png
    from avse.media import read_frames
    from avse.media.atomic_files import appearing, check_destination

    check_destination(path, overwrite=force)
    frames = []
    for time in moments(scene.people):
        at = scene.origin + Fraction(time) - Fraction(1, 1000)
        pictures = read_frames(scene.info.path, picture=scene.picture, max_side=1920, start=at)
        frame = next(pictures, None)
        frames += [] if frame is None else [(time, frame.image)]
    began = scene.info.start - scene.origin
    with appearing(path, overwrite=force) as temporary:
        temporary.write_bytes(png(scene.people, began=began, frames=frames))
    terminal.note(f"the faces are in {path}")


def _as_json(
    source: Path, info: MediaInfo, scene: Scene | None, *, named: bool
) -> dict[str, object]:
    return {
        "input": str(source),
        "duration_s": None if info.duration is None else round(float(info.duration), 3),
        "people": [] if scene is None else [_person_json(scene, p, named) for p in scene.people],
        "container": info.format,
        "pictures": [_picture_json(video) for video in info.videos],
        "sounds": [_sound_json(audio) for audio in info.audio],
        "others": [asdict(other) for other in info.others],
    }


def _picture_json(video: VideoStream) -> dict[str, object]:
    rate = video.average_rate
    return {
        **_stream_json(video),
        "width": video.width,
        "height": video.height,
        "frame_rate": None if rate is None else round(float(rate), 3),
        "variable_frame_rate": video.variable_frame_rate,
        "rotation": video.rotation,
        "mirrored": video.mirrored,
    }


def _sound_json(audio: AudioStream) -> dict[str, object]:
    return {
        **_stream_json(audio),
        "sample_rate": audio.sample_rate,
        "channels": audio.channels,
        "layout": audio.layout,
    }


def _stream_json(stream: VideoStream | AudioStream) -> dict[str, object]:
    duration = stream.duration
    return {
        "index": stream.index,
        "codec": stream.codec,
        "language": stream.language,
        "title": stream.title,
        "default": stream.default,
        "start_s": round(float(stream.start), 3),
        "duration_s": None if duration is None else round(float(duration), 3),
    }


def _person_json(scene: Scene, person: Person, named: bool) -> dict[str, object]:
    return {
        "number": person.number,
        **({"name": person.name} if named else {}),
        "first_seen_s": _first_seen(scene, person),
        "seconds_on_screen": round(person.seconds_on_screen, 2),
        "box": [round(side) for side in person.box],
        "still_picture": person.still,
        **({"same": list(person.numbers)} if person.also else {}),
    }


def _first_seen(scene: Scene, person: Person) -> float:
    """Seconds from the beginning of the file, as players show them."""
    return max(0.0, round(scene.playing_time(person.first_seen), 2))


def _report(source: Path, info: MediaInfo, scene: Scene | None, *, named: bool) -> list[str]:
    length = "length unknown" if info.duration is None else clock(float(info.duration))
    lines = [f"{printable(source.name)}  {length}", ""]
    streams = [
        ["picture", str(n) if len(info.videos) > 1 else "", v.codec, _picture(v)]
        for n, v in enumerate(info.videos)
    ]
    streams += [["sound", str(n), a.codec, _sound(a)] for n, a in enumerate(info.audio)]
    streams += [[o.kind, "", o.codec or "unknown", _other(o)] for o in info.others]
    lines += table(["stream", "track", "codec", "what"], streams, right="track")
    if scene is None:
        return [*lines, "", "nobody in sight"]
    still = any(person.still for person in scene.people)
    people = [
        [
            "=".join(map(str, person.numbers)),
            *([person.name or ""] if named else []),
            clock(_first_seen(scene, person)),
            f"{person.seconds_on_screen:.1f} s",
            "{2}x{3} at {0},{1}".format(*map(round, person.box)),
            *(["still picture" if person.still else ""] if still else []),
        ]
        for person in scene.people
    ]
    heads = ["person", *(["name"] if named else []), "first seen", "in sight", "face (pixels)"]
    heads += ["note"] if still else []
    return [*lines, "", *table(heads, people, right="person")]


def _picture(video: VideoStream) -> str:
    parts = [f"{video.width}x{video.height}"]
    if video.average_rate is not None:
        parts.append(f"{float(video.average_rate):.5g} frames/s")
    if video.variable_frame_rate:
        parts.append("variable frame rate")
    return ", ".join([*parts, *_named(video)])


def _sound(audio: AudioStream) -> str:
    parts = [f"{audio.sample_rate} Hz", audio.layout]
    return ", ".join([*parts, *_named(audio)])


def _other(stream: OtherStream) -> str:
    unread = ["cannot be decoded"] if stream.kind in ("picture", "sound") else []
    return ", ".join([*unread, *_named(stream)])


def _named(stream: VideoStream | AudioStream | OtherStream) -> list[str]:
    """Language, title, and whether it is the one that players choose."""
    title = None if stream.title is None else f'"{printable(stream.title)}"'
    default = "default" if stream.default else None
    return [part for part in (stream.language, title, default) if part is not None]
