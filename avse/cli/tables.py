"""Tables of plain text, which survive a pipe and a paste."""

from __future__ import annotations

from collections.abc import Sequence


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: str = "") -> list[str]:
    """Lay out a table.

    Args:
        heads: of the columns.
        rows: as many texts each.
        right: heads of the columns that are set flush right, joined by spaces.

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
