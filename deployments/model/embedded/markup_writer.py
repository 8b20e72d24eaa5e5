"""The model's own markup, from blocks."""

import html
from collections.abc import Sequence

from deployments.types import Box

TextCell = tuple[int, int, int, int, str]
"""A cell: its first row and column, how many rows and columns it spans, and its text."""

_SCALE = 999  # the model counts a page's width and height from 0 to 999


def grounded(label: str, box: Box, page: Box, content: str) -> str:
    """Write a block: its label and place, its content, a blank line.

    Args:
        label: the model's word for what it is.
        box: in pixels of the page.
        page: the page's own box.
        content: Markdown, or HTML for a table; empty for a picture.
    """
    reference = f"{reference_of(label, [box], page)}\n"
    return f"{reference}{content}\n\n" if content else f"{reference}\n"


def reference_of(label: str, boxes: Sequence[Box], page: Box) -> str:
    """Write a label and its boxes in the model's tokens."""
    places = ", ".join(str(list(_scaled(box, page))) for box in boxes)
    return f"<|ref|>{label}<|/ref|><|det|>[{places}]<|/det|>"


def plain(text: str) -> str:
    """Return text from a page such that none of it reads as one of the model's own tokens."""
    return text.replace("<|", "< |").replace("|>", "| >")


def html_table(cells: Sequence[TextCell]) -> str:
    """Write a table as the model does: HTML on one line, spans where there are any."""
    rows: dict[int, list[str]] = {}
    for row, _, spanned_rows, spanned_columns, text in sorted(cells):
        spans = f' rowspan="{spanned_rows}"' if spanned_rows > 1 else ""
        spans += f' colspan="{spanned_columns}"' if spanned_columns > 1 else ""
        rows.setdefault(row, []).append(f"<td{spans}>{html.escape(plain(text), quote=False)}</td>")
    last = max((row + spanned for row, _, spanned, _, _ in cells), default=0)
    body = "".join(f"<tr>{''.join(rows.get(row, []))}</tr>" for row in range(last))
    return f"<table>{body}</table>"


def text_table(cells: Sequence[TextCell]) -> str:
    """Write a table as plain text: a line a row, tabs between cells."""
    rows: dict[int, list[str]] = {}
    for row, _, _, _, text in sorted(cells):
        rows.setdefault(row, []).append(text)
    return "\n".join("\t".join(texts) for _, texts in sorted(rows.items()))


def _scaled(box: Box, page: Box) -> tuple[int, int, int, int]:
    width, height = max(1, page.x2), max(1, page.y2)
    x1, y1, x2, y2 = (
        min(_SCALE, max(0, round(value / size * _SCALE)))
        for value, size in zip(box, (width, height, width, height), strict=True)
    )
    # A box that rounds to nothing would be dropped by whoever reads it.
    if x2 <= x1:
        x1, x2 = (x1, x1 + 1) if x1 < _SCALE else (_SCALE - 1, _SCALE)
    if y2 <= y1:
        y1, y2 = (y1, y1 + 1) if y1 < _SCALE else (_SCALE - 1, _SCALE)
    return x1, y1, x2, y2
