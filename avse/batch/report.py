"""The report of a batch: one HTML file that needs nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from avse import __version__
from avse.batch.cards import Card, read_card
from avse.batch.manifest import Manifest, Record
from avse.batch.plan import Item
from avse.batch.request import Request
from avse.batch.watching import Summary
from avse.media.placing import appearing

TEMPLATE = "report.html.jinja"

_MOST_CARDS = 500
"""Recordings that are shown with pictures: about 20 kB each. The table holds all of them."""

_WIDTH, _HEIGHT = 240, 36


@dataclass(frozen=True)
class Row:
    """A recording in the report.

    Attributes:
        name: of the input, fit to be shown.
        record: what came of it; None if it was not begun.
        faces: (number, seconds in sight, JPEG in base64).
        waves: (caption, SVG path) of the sound before and after.
    """

    name: str
    record: Record | None
    faces: Sequence[tuple[int, float, str]] = ()
    waves: Sequence[tuple[str, str]] = ()


def write_report(
    path: Path,
    items: Sequence[Item],
    manifest: Manifest,
    cards: Path,
    summary: Summary,
    request: Request,
) -> None:
    """Write the report; the one of an earlier run is replaced.

    The page is written as it is made, so that memory does not grow with the number of recordings.

    Args:
        path: where to.
        items: every recording, done now or before.
        manifest: what came of them.
        cards: folder of their pictures.
        summary: of the run.
        request: what was wanted.

    Raises:
        OutputError: it cannot be written.
    """
    import jinja2

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("avse.batch").joinpath(TEMPLATE).read_text(encoding="utf-8")
    stream = environment.from_string(source).stream(
        rows=lambda: _rows(items, manifest, cards),
        plain_rows=lambda: _plain(items, manifest),
        s=summary,
        request=request,
        version=__version__,
        made=datetime.now(UTC).isoformat(sep=" ", timespec="seconds"),
        failed=[(shown(str(p)), trouble) for p, trouble in summary.failed],
        width=_WIDTH,
        height=_HEIGHT,
        most=_MOST_CARDS,
        count=len(items),
    )
    with (
        appearing(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="replace") as file,
    ):
        for piece in stream:
            file.write(piece)


def shown(name: str) -> str:
    """A file name as text; bytes that are none become marks, control characters escapes."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def wave(peaks: Sequence[float]) -> str:
    """The outline of a sound as the path of an SVG of 240 × 36."""
    if not peaks:
        return ""
    middle, step = _HEIGHT / 2, _WIDTH / len(peaks)
    upper = [f"{i * step:.1f},{middle - max(0.3, p * middle):.1f}" for i, p in enumerate(peaks)]
    lower = [f"{i * step:.1f},{middle + max(0.3, p * middle):.1f}" for i, p in enumerate(peaks)]
    return "M" + "L".join([*upper, *reversed(lower)]) + "Z"


def _plain(items: Sequence[Item], manifest: Manifest) -> Iterator[Row]:
    for item in items:
        yield Row(shown(str(item.source)), manifest.latest.get(str(item.source)))


def _rows(items: Sequence[Item], manifest: Manifest, cards: Path) -> Iterator[Row]:
    given = 0
    for item in items:
        record = manifest.latest.get(str(item.source))
        if record is None or record.status != "done":
            continue
        card = read_card(cards / f"{item.key}.json")
        if card is None:
            continue
        given += 1
        if given > _MOST_CARDS:
            return
        yield Row(shown(str(item.source)), record, card.faces, list(_waves(card)))


def _waves(card: Card) -> Iterator[tuple[str, str]]:
    top = max(card.before, default=0.0) or 1.0  # one scale for all: what became softer looks so
    yield "before", wave([peak / top for peak in card.before])
    for name, peaks in card.after.items():
        yield shown(name), wave([min(1.0, peak / top) for peak in peaks])
