"""A picture with a row of faces for each person, to check the clustering."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from avse.prepare.appearance import PORTRAIT
from avse.prepare.shards import ShardClip

ACROSS, MOST = 16, 150
"""Faces in a row, and maximum number of rows; people with the most clips come first."""

_CAPTION = 190
_GAP = 2
_PAPER, _INK, _FAINT = (250, 250, 248), (28, 28, 30), (96, 96, 100)


def people_sheet(clips: Sequence[ShardClip]) -> bytes:
    """Draw a PNG: name, number of clips, split, and evenly spaced faces of each person."""
    people: dict[tuple[str, str], list[ShardClip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.source.id):
        people.setdefault((clip.source.corpus, clip.person), []).append(clip)
    order = sorted(people, key=lambda key: (-len(people[key]), key))[:MOST]
    step = PORTRAIT + _GAP
    sheet = Pillow.new("RGB", (_CAPTION + ACROSS * step, step * max(1, len(order))), _PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, key in enumerate(order):
        theirs = people[key]
        pen.text((4, row * step + 4), key[1][:26], fill=_INK, font=ImageFont.load_default(13))
        below = f"{key[0]}, {len(theirs)} clips, {theirs[0].split}"
        pen.text((4, row * step + 24), below[:32], fill=_FAINT, font=ImageFont.load_default(11))
        some = np.linspace(0, len(theirs) - 1, min(len(theirs), ACROSS)).round().astype(int)
        for column, n in enumerate(some):
            faces = theirs[n].result.arrays("portraits")["portraits"]
            face = Pillow.fromarray(faces[len(faces) // 2])
            sheet.paste(face, (_CAPTION + column * step, row * step))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()
