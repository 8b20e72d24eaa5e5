"""A table's cells once they are read: columns and rows that say nothing alone are folded away."""

import re
from collections.abc import Sequence

from deployments.model.embedded.markup_writer import TextCell

_CURRENCY = re.compile(r"^[$€£¥₹]$")


def tidy_cells(cells: Sequence[TextCell]) -> list[TextCell]:
    """Return the cells without empty rows and columns, a currency's sign beside its figure.

    Args:
        cells: as found; no two over each other.
    """
    tidied = [(row, column, rows, columns, text.strip()) for row, column, rows, columns, text in cells]
    for column in reversed(range(_size(tidied, 1) - 1)):
        if _is_currency(tidied, column):
            tidied = _with_currency(tidied, column)
    for column in reversed(range(_size(tidied, 1))):
        if not any(text for _, first, _, spanned, text in tidied if first == column and spanned == 1):
            tidied = _without(tidied, column, 1)
    for row in reversed(range(_size(tidied, 0))):
        if not any(text for first, _, spanned, _, text in tidied if first <= row < first + spanned):
            tidied = _without(tidied, row, 0)
    return sorted(tidied)


def _size(cells: Sequence[TextCell], axis: int) -> int:
    return max((sum(_span(cell, axis)) for cell in cells), default=0)


def _span(cell: TextCell, axis: int) -> tuple[int, int]:
    """Return the first row and the rows spanned (axis 0), or the same of columns (axis 1)."""
    row, column, rows, columns, _ = cell
    return (column, columns) if axis else (row, rows)


def _is_currency(cells: Sequence[TextCell], column: int) -> bool:
    texts = [text for _, first, _, spanned, text in cells if first == column and spanned == 1 and text]
    return bool(texts) and all(_CURRENCY.match(text) for text in texts)


def _with_currency(cells: Sequence[TextCell], column: int) -> list[TextCell]:
    signs = {row: text for row, first, _, spanned, text in cells if first == column and spanned == 1}
    joined = [
        (row, first, rows, spanned, f"{signs.get(row, '')} {text}".strip() if first == column + 1 else text)
        for row, first, rows, spanned, text in cells
    ]
    return _without(joined, column, 1)


def _without(cells: Sequence[TextCell], line: int, axis: int) -> list[TextCell]:
    """Take out one column (axis 1) or row (axis 0); what spans it shrinks by one."""
    kept: list[TextCell] = []
    for cell in cells:
        first, spanned = _span(cell, axis)
        if first == line and spanned == 1:
            continue
        if first > line:
            first -= 1
        elif line < first + spanned:
            spanned -= 1
        row, column, rows, columns, text = cell
        if axis:
            column, columns = first, spanned
        else:
            row, rows = first, spanned
        kept.append((row, column, rows, columns, text))
    return kept
