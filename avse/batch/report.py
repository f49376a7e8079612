"""Write the report of a batch: one HTML file that plays the files beside it.

It can be sent with these files: every address is relative to its folder, and no text contains a
folder of this machine.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path

from avse import __version__
from avse.batch.cards import Card, Face, Sound, likely_plays, read_card
from avse.batch.listeners import Summary
from avse.batch.manifest import Manifest, Record
from avse.batch.originals import name_of_copy, within
from avse.batch.plan import Item
from avse.batch.request import Request
from avse.media.atomic_files import appearing
from avse.scene.naming import Stem
from avse.utils.clock import clock
from avse.utils.sharing import link, shown, without_folders

TEMPLATE = "report.html.jinja"
SCRIPT = "report.js"

_MOST_CARDS = 500
"""Recordings with players and pictures, about 20 kB each; the report only links to the others."""

_WIDTH, _HEIGHT = 240, 36
_LABELS: dict[str, str] = {
    Stem.TOGETHER: "Everybody in the picture",
    Stem.RESIDUAL: "Everything else",
    Stem.NARRATOR: "Off-screen speech",
    Stem.CROWD: "Many voices at once",
}


@dataclass(frozen=True)
class Player:
    """A sound in the report.

    Attributes:
        label: label of the stem.
        name: name of the file, safe to show.
        link: relative address of the file.
        plays: "audio" or "video" if browsers play it, else "".
        wave: its waveform, an SVG path.
        shift_s: offset in seconds from its position to that in the original.
        face: face of the person, if the stem is a person's.
    """

    label: str
    name: str
    link: str
    plays: str
    wave: str = ""
    shift_s: float = 0.0
    face: Face | None = None


@dataclass(frozen=True)
class Row:
    """A recording in the report.

    Attributes:
        name: name of the input, with the sub-folders that its outputs keep.
        number: number of the recording, for links to it.
        record: its record; None if it was not begun.
        warnings: warnings for the user.
        message, hint: reason of a failure, and the next step.
        before: the original, if the report can link to it.
        after: outputs with sound.
        files: all other outputs.
        faces: people in the picture without a stem here.
    """

    name: str
    number: int
    record: Record | None
    warnings: Sequence[str] = ()
    message: str = ""
    hint: str = ""
    before: Player | None = None
    after: Sequence[Player] = ()
    files: Sequence[Player] = ()
    faces: Sequence[Face] = ()

    @property
    def shows_video(self) -> bool:
        """Whether the outputs are videos, so that the original is shown as video too."""
        return any(player.plays == "video" for player in self.after)


def write_report(
    path: Path,
    items: Sequence[Item],
    manifest: Manifest,
    cards: Path,
    summary: Summary,
    request: Request,
) -> None:
    """Write the report; the one of an earlier run is replaced.

    The page is written in parts, so that memory does not grow with the number of recordings.

    Args:
        path: path of the report, in the folder of the batch.
        items: all recordings, done now or before.
        manifest: their records.
        cards: folder of their cards.
        summary: summary of the run.
        request: the request.

    Raises:
        OutputError: it cannot be written.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["clock"] = _length
    source = files("avse.batch").joinpath(TEMPLATE).read_text(encoding="utf-8")
    script = files("avse.batch").joinpath(SCRIPT).read_text(encoding="utf-8")
    rows = partial(_rows, items, manifest, path.parent)
    stream = environment.from_string(source).stream(
        rows=rows,
        full_rows=partial(rows, cards=cards, request=request),
        failures=sum(_is(manifest, item, "failed") for item in items),
        s=summary,
        verb=request.verb,
        model=shown(Path(request.settings.model).name),
        version=__version__,
        made=datetime.now(UTC).isoformat(sep=" ", timespec="minutes").removesuffix("+00:00"),
        width=_WIDTH,
        height=_HEIGHT,
        most=_MOST_CARDS,
        count=len(items),
        script=script,
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    with (
        appearing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="replace", newline="\n") as file,
    ):
        for piece in stream:
            file.write(piece)


def wave(peaks: Sequence[float]) -> str:
    """The outline of a sound as the path of an SVG of 240 × 36."""
    if not peaks:
        return ""
    middle, step = _HEIGHT / 2, _WIDTH / len(peaks)
    upper = [f"{i * step:.1f},{middle - max(0.3, p * middle):.1f}" for i, p in enumerate(peaks)]
    lower = [f"{i * step:.1f},{middle + max(0.3, p * middle):.1f}" for i, p in enumerate(peaks)]
    return "M" + "L".join([*upper, *reversed(lower)]) + "Z"


def _length(seconds: float | None) -> str:
    return "–" if seconds is None else clock(seconds)


def _is(manifest: Manifest, item: Item, status: str) -> bool:
    record = manifest.latest.get(str(item.source))
    return record is not None and record.status == status


def _rows(
    items: Sequence[Item],
    manifest: Manifest,
    output: Path,
    *,
    cards: Path | None = None,
    request: Request | None = None,
) -> Iterator[Row]:
    """Every recording; with its sounds where `cards` and `request` are given."""
    given = 0
    for number, item in enumerate(items, 1):
        name = shown((item.below / item.source.name).as_posix())
        record = manifest.latest.get(str(item.source))
        if record is None:
            yield Row(name, number, None)
            continue
        said = partial(_said, item=item, name=name, output=output)
        error = record.error
        row = Row(
            name,
            number,
            record,
            [said(warning) for warning in record.warnings],
            "" if error is None else said(error.message).removeprefix(f"{name}: "),
            "" if error is None else said(error.hint),
        )
        if cards is None or request is None:
            yield row
        elif record.status == "failed":
            left = [o.path for o in record.outputs if (output / o.path).exists()]
            yield _with_files(row, left)
        elif given >= _MOST_CARDS:
            yield _with_files(row, [o.path for o in record.outputs])
        else:
            given += 1
            card = read_card(cards / f"{item.key}.json")
            yield _with_sounds(row, item, record, card, output, request)


def _said(text: str, *, item: Item, name: str, output: Path) -> str:
    """A message safe to send: it contains file names but no folders."""
    folders = (output, item.source.parent, Path.cwd(), Path.home())
    known = {str(item.source): name, **{f"{folder}{os.sep}": "" for folder in folders}}
    known |= {" ".join(path.split()): short for path, short in known.items()}  # as in `Trouble`
    return shown(without_folders(text, {path: short for path, short in known.items() if path}))


def _with_files(row: Row, paths: Sequence[str]) -> Row:
    return replace(row, files=[_linked(path) for path in paths])


def _linked(path: str, plays: str = "") -> Player:
    return Player("", shown(Path(path).name), link(path), plays)


def _with_sounds(
    row: Row, item: Item, record: Record, card: Card | None, output: Path, request: Request
) -> Row:
    before = None if card is None else card.before
    top = max(before.peaks if before is not None else [], default=0.0) or 1.0
    faces = {} if card is None else {str(face.number): face for face in card.faces}
    original, begin = _original(item, record, before, top, output, request)
    after, others = [], []
    for made in record.outputs:
        sound = None if card is None else card.after.get(Path(made.path).name)
        plays = likely_plays(made.path) if sound is None else sound.plays
        if sound is None and not plays:
            others.append(_linked(made.path))
            continue
        sound = sound or Sound([], 0.0, plays)
        face = faces.pop(sound.stem, None)
        after.append(
            replace(
                _linked(made.path, plays),
                label=_label(sound.stem, face),
                wave=_wave(sound, top),
                shift_s=round(begin - sound.start_s, 4),
                face=face,
            )
        )
    left = list(faces.values())
    return replace(row, before=original, after=after, files=others, faces=left)


def _original(
    item: Item,
    record: Record,
    sound: Sound | None,
    top: float,
    output: Path,
    request: Request,
) -> tuple[Player | None, float]:
    """The original, and the start of the processed part in it."""
    below = within(output, item.source)
    plays = likely_plays(str(item.source)) if sound is None else sound.plays
    drawn = "" if sound is None else _wave(sound, top)
    if below is None or not plays:
        copy = None
        if record.input_mark is not None:
            copy = name_of_copy(record.input_mark, request.settings)
        if copy is not None and (output / copy).is_file():
            return Player("Original", "compressed copy", link(copy), "audio", drawn), 0.0
    if below is None:
        return None, 0.0
    begin = 0.0 if sound is None else sound.start_s
    return replace(_linked(below, plays), label="Original", wave=drawn), begin


def _label(stem: str, face: Face | None) -> str:
    if stem.isdecimal():
        name = "" if face is None or face.name is None else f": {shown(face.name)}"
        return f"Person {stem}{name}"
    return _LABELS.get(stem, stem) or "Voice"


def _wave(sound: Sound, top: float) -> str:
    """Use one scale for all sounds of a recording, so that attenuation is visible."""
    return wave([min(1.0, peak / top) for peak in sound.peaks])
