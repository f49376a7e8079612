"""Plain-text tables, which can be piped and pasted."""

from __future__ import annotations

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> list[str]:
    """Lay out a table.

    Args:
        heads: headings of the columns.
        rows: the cells of each row, one for each column.
        right: headings of the right-aligned columns, joined by spaces.

    Returns:
        Its lines.
    """
    flush = set(right.split())
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    lines = []
    for row in [heads, *rows]:
        cells = [
            text.rjust(width) if head in flush else text.ljust(width)
            for head, text, width in zip(heads, row, widths, strict=True)
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
