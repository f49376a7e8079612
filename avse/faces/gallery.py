"""The contact sheet: a picture of all people with their numbers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from avse.faces.detect import Image
from avse.faces.people import People, Person
from avse.faces.scaling import resize
from avse.utils.clock import clock

_TILE, _CAPTION, _GAP = 200, 58, 12
_PAPER, _INK, _FAINT, _BADGE = (250, 250, 248), (28, 28, 30), (96, 96, 100), (200, 30, 60)


Shown = tuple[float, Image]
"""Time of a frame, in seconds from `Scene.origin`, and the frame."""

_MOST_FRAMES, _WIDE = 4, 4 * (_TILE + _GAP) + _GAP


def moments(people: People) -> list[float]:
    """Choose up to four times at which together as many people as possible are visible."""
    left = {person.number: person for person in people}
    found: list[float] = []
    while left and len(found) < _MOST_FRAMES:
        person = next(iter(left.values()))
        times = person.times[:: -(-len(person.times) // 100)]
        middle = times[len(times) // 2]
        _, _, best = max(
            (sum(p.box_at(float(t)) is not None for p in left.values()), -abs(t - middle), t)
            for t in times
        )
        found.append(float(best))
        left = {n: p for n, p in left.items() if p.box_at(float(best)) is None}
    return sorted(found)


def contact_sheet(
    people: People,
    columns: int = 5,
    *,
    began: Fraction = Fraction(0),
    frames: Sequence[Shown] = (),
) -> Image:
    """Draw each person with number, time of the first sighting, and seconds on screen.

    Args:
        people: the people to draw.
        columns: maximum number of people side by side.
        began: beginning of the recording, in seconds from `Scene.origin`.
        frames: frames to draw above the people, with the numbers of all people; see `moments`.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    count = max(1, len(people))
    across = min(columns, count)
    down = -(-count // across)
    size = (
        across * (_TILE + _GAP) + _GAP,
        down * (_TILE + _CAPTION + _GAP) + _GAP,
    )
    shown = [_frame(image, people, time, max(size[0], _WIDE)) for time, image in frames]
    above = sum(picture.height + _CAPTION // 2 + _GAP for picture in shown)
    width = max([size[0], *(picture.width + 2 * _GAP for picture in shown)])
    sheet = Pillow.new("RGB", (width, size[1] + above), _PAPER)
    pen = ImageDraw.Draw(sheet)
    top = _GAP
    for (time, _), picture in zip(frames, shown, strict=True):
        sheet.paste(picture, (_GAP, top))
        top += picture.height + 6
        pen.text((_GAP, top), f"at {clock(max(0.0, time - float(began)))}", _INK, _font(19))
        top += _CAPTION // 2 + _GAP - 6
    if not len(people):
        pen.text((_GAP, above + _GAP), "no faces", fill=_INK, font=_font(20))
    for position, person in enumerate(people):
        row, column = divmod(position, across)
        left = _GAP + column * (_TILE + _GAP)
        top = above + _GAP + row * (_TILE + _CAPTION + _GAP)
        _tile(sheet, pen, person, left, top, float(person.first_seen - began))
    return np.asarray(sheet, np.uint8)


def png(
    people: People,
    columns: int = 5,
    *,
    began: Fraction = Fraction(0),
    frames: Sequence[Shown] = (),
) -> bytes:
    """The contact sheet as a PNG file; see `contact_sheet`."""
    file = io.BytesIO()
    sheet = contact_sheet(people, columns, began=began, frames=frames)
    Pillow.fromarray(sheet).save(file, "PNG")
    return file.getvalue()


def _frame(image: Image, people: People, time: float, sheet_width: int) -> Pillow.Image:
    """Draw the numbers into a frame, and scale its longer side to the width of the sheet."""
    side = sheet_width - 2 * _GAP
    scale = side / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return Pillow.fromarray(annotated(resize(image, *size), people, time))


def annotated(image: Image, people: People, time: float) -> Image:
    """Copy a frame, and draw a box with the number around each visible person."""
    picture = Pillow.fromarray(image.copy())
    pen = ImageDraw.Draw(picture)
    height, width = image.shape[:2]
    size = max(14, height // 24)
    for person in people:
        box = person.box_at(time)
        if box is None:
            continue
        left, top = box[0] * width, box[1] * height
        right, bottom = left + box[2] * width, top + box[3] * height
        pen.rectangle((left, top, right, bottom), outline=_BADGE, width=max(2, height // 240))
        inside = min(max(0.0, top - 0.6 * size), height - 1.25 * size)
        badge(pen, str(person.number), min(max(0.0, left), width - 1.25 * size), inside, size)
    return np.asarray(picture, np.uint8)


def _tile(
    sheet: Pillow.Image,
    pen: ImageDraw.ImageDraw,
    person: Person,
    left: int,
    top: int,
    from_s: float,
) -> None:
    view = person.thumbnail
    enlarge = _TILE / max(view.shape[:2])
    size = (max(1, round(view.shape[1] * enlarge)), max(1, round(view.shape[0] * enlarge)))
    pen.rectangle((left, top, left + _TILE - 1, top + _TILE - 1), fill=(226, 226, 224))
    shown = Pillow.fromarray(resize(view, *size))
    sheet.paste(shown, (left + (_TILE - size[0]) // 2, top + (_TILE - size[1]) // 2))
    badge(pen, str(person.number), left + 6, top + 6, 30)
    below = top + _TILE + 6
    about = f"{person.name + ', ' if person.name else ''}from {clock(max(0.0, from_s))}"
    pen.text((left, below), about, fill=_INK, font=_font(19))
    still = ", still picture" if person.still else ""
    seconds = f"{person.seconds_on_screen:.1f} s on screen{still}"
    pen.text((left, below + 25), seconds, fill=_FAINT, font=_font(17))


def badge(
    pen: ImageDraw.ImageDraw,
    text: str,
    left: float,
    top: float,
    size: int,
    colour: tuple[int, int, int] = _BADGE,
) -> None:
    """Draw a short white text, `size` pixels high, on a coloured background."""
    font = _font(size)
    wide = pen.textlength(text, font=font)
    box = (left, top, left + max(wide + 0.6 * size, 1.25 * size), top + 1.25 * size)
    pen.rounded_rectangle(box, radius=0.3 * size, fill=colour)
    pen.text(
        ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), text, fill="white", font=font, anchor="mm"
    )


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
