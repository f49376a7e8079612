"""A picture of who is number what."""

from __future__ import annotations

import io
from fractions import Fraction

import cv2
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from avse.clock import clock
from avse.faces.detect import Image
from avse.faces.people import People, Person

_TILE, _CAPTION, _GAP = 200, 58, 12
_PAPER, _INK, _FAINT, _BADGE = (250, 250, 248), (28, 28, 30), (96, 96, 100), (200, 30, 60)


def contact_sheet(people: People, columns: int = 5, *, began: Fraction = Fraction(0)) -> Image:
    """Draw every person with number, instant of the first sighting and seconds in sight.

    Args:
        people: whom to draw.
        columns: at most so many side by side.
        began: the beginning of the recording on the time line of the people.

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
    sheet = Pillow.new("RGB", size, _PAPER)
    pen = ImageDraw.Draw(sheet)
    if not len(people):
        pen.text((_GAP, _GAP), "no faces", fill=_INK, font=_font(20))
    for position, person in enumerate(people):
        row, column = divmod(position, across)
        left = _GAP + column * (_TILE + _GAP)
        top = _GAP + row * (_TILE + _CAPTION + _GAP)
        _tile(sheet, pen, person, left, top, float(person.first_seen - began))
    return np.asarray(sheet, np.uint8)


def png(people: People, columns: int = 5, *, began: Fraction = Fraction(0)) -> bytes:
    """The contact sheet as a PNG file; see `contact_sheet`."""
    file = io.BytesIO()
    Pillow.fromarray(contact_sheet(people, columns, began=began)).save(file, "PNG")
    return file.getvalue()


def annotated(image: Image, people: People, time: float) -> Image:
    """A copy of a frame with a numbered frame around everybody in sight."""
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
        badge(pen, str(person.number), left, top - 0.6 * size, size)
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
    way = cv2.INTER_CUBIC if enlarge > 1 else cv2.INTER_AREA
    pen.rectangle((left, top, left + _TILE - 1, top + _TILE - 1), fill=(226, 226, 224))
    shown = Pillow.fromarray(np.asarray(cv2.resize(view, size, interpolation=way), np.uint8))
    sheet.paste(shown, (left + (_TILE - size[0]) // 2, top + (_TILE - size[1]) // 2))
    badge(pen, str(person.number), left + 6, top + 6, 30)
    below = top + _TILE + 6
    about = f"{person.name + ', ' if person.name else ''}from {clock(max(0.0, from_s))}"
    pen.text((left, below), about, fill=_INK, font=_font(19))
    seconds = f"{person.seconds_on_screen:.1f} s on screen"
    pen.text((left, below + 25), seconds, fill=_FAINT, font=_font(17))


def badge(
    pen: ImageDraw.ImageDraw,
    text: str,
    left: float,
    top: float,
    size: int,
    colour: tuple[int, int, int] = _BADGE,
) -> None:
    """Draw a few white letters, `size` pixels high, on a coloured ground."""
    font = _font(size)
    wide = pen.textlength(text, font=font)
    box = (left, top, left + max(wide + 0.6 * size, 1.25 * size), top + 1.25 * size)
    pen.rounded_rectangle(box, radius=0.3 * size, fill=colour)
    pen.text(
        ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), text, fill="white", font=font, anchor="mm"
    )


def _font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)
