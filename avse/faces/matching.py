"""Assignment of faces between frames, and the numbering of people."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from avse.faces.detect import Box, Image
from avse.faces.scaling import fit_inside

Table = npt.NDArray[np.float64]

_FEW = 60
"""Number of possible assignments up to which every one is tried."""


def table(rows: list[list[float]]) -> Table:
    """Convert rows to a matrix, also if there are none."""
    columns = len(rows[0]) if rows else 0
    return np.array(rows, np.float64).reshape(len(rows), columns)


def assign(cost: Table, gate: float) -> list[tuple[int, int]]:
    """Find the one-to-one pairs (row, column) with the least total cost, each below `gate`."""
    if not cost.size:
        return []
    bounded = np.minimum(cost, gate + 1e3 * (cost >= gate))
    return [(row, column) for row, column in _cheapest(bounded) if cost[row, column] < gate]


def _cheapest(cost: Table) -> Iterable[tuple[int, int]]:
    """Find the one-to-one pairs with the least sum."""
    rows, columns = cost.shape
    if rows > columns:
        return [(row, column) for column, row in _cheapest(cost.T)]
    if math.perm(columns, rows) <= _FEW:
        orders = itertools.permutations(range(columns), rows)
        every = np.arange(rows)
        return enumerate(min(orders, key=lambda order: cost[every, np.array(order)].sum()))
    from scipy.optimize import linear_sum_assignment  # takes a quarter of a second to import

    found = linear_sum_assignment(cost)
    return zip(*(indices.tolist() for indices in found), strict=True)


def distance(one: Box, other: Box) -> float:
    """Distance of two faces in face sizes; large if their sizes differ twofold."""
    size = max(one.w, one.h, 1.0)
    ratio = max(other.w, other.h, 1.0) / size
    if not 0.5 < ratio < 2.0:
        return 1e3
    (x, y), (u, v) = one.centre, other.centre
    return float(np.hypot(x - u, y - v)) / size


def crop_face(image: Image, box: Box, side: int) -> Image:
    """Crop a square around a face with some margin, limited to the picture."""
    half = 0.8 * max(box.w, box.h)
    x, y = box.centre
    left, top = max(0, round(x - half)), max(0, round(y - half))
    right, bottom = min(image.shape[1], round(x + half)), min(image.shape[0], round(y + half))
    part = image[top : max(bottom, top + 1), left : max(right, left + 1)]
    if not part.size:
        return np.zeros((side, side, 3), np.uint8)
    return fit_inside(part, side).copy()


_ROW = 0.75
"""A face that is lower than the mean of a row by this number of face heights begins the next row.
Tiles of a video call are further apart than this; people who sit side by side are not."""


def number(
    seen: Sequence[tuple[Fraction, Box]], cuts: Sequence[Fraction], simultaneous_s: float
) -> list[int]:
    """Order people by first appearance; people who appear together are in reading order.

    Args:
        seen: time and box of each person's first sighting.
        cuts: times at which shots begin.
        simultaneous_s: people appear together if they are first seen in one shot, at most this many
            seconds after the first of them.

    Returns:
        Indices into `seen`, number 1 first.
    """
    groups: list[list[int]] = []
    for index in sorted(range(len(seen)), key=lambda i: (seen[i][0], seen[i][1].centre)):
        time = seen[index][0]
        start = seen[groups[-1][0]][0] if groups else time
        parted = any(start < cut <= time for cut in cuts)
        if not groups or time - start > simultaneous_s or parted:
            groups.append([])
        groups[-1].append(index)
    return [group[k] for group in groups for k in reading_order([seen[i][1] for i in group])]


def reading_order(boxes: Sequence[Box]) -> list[int]:
    """Order faces in rows from the top, each from left to right; returns indices into `boxes`."""
    rows: list[list[int]] = []
    for index in sorted(range(len(boxes)), key=lambda i: boxes[i].centre[1]):
        if rows:
            row = [boxes[i] for i in rows[-1]]
            lower = boxes[index].centre[1] - float(np.mean([box.centre[1] for box in row]))
            if lower < _ROW * float(np.mean([box.h for box in [*row, boxes[index]]])):
                rows[-1].append(index)
                continue
        rows.append([index])
    return [i for row in rows for i in sorted(row, key=lambda i: boxes[i].centre)]
