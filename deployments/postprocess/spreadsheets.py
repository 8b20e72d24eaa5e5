"""The tables of a document as CSV, and as a workbook for Excel and its like."""

import io
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import xlsxwriter  # type: ignore[import-untyped]  # has no types

from deployments.postprocess import tables
from deployments.postprocess.tables import TableGrid
from deployments.types import PageResult

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")
"""What is written as a number: plain decimal notation that a double holds without loss. A number with
leading zeros, thousands separators or a unit stays text, as nobody knows what it means."""

_MAX_CELL_CHARS = 32_767
_MAX_COLUMN_WIDTH = 60
"""Excel's longest cell, and the widest column that is of use, in characters."""


def grids(results: Iterable[PageResult]) -> Iterator[tuple[int, int, TableGrid]]:
    """Yield every table with its page's number and its own on that page, both from 1."""
    for result in results:
        number = 0
        for table in result.tables:
            for part in tables.parse(table.html):
                if isinstance(part, TableGrid):
                    number += 1
                    yield result.index + 1, number, part


def to_csv(results: Iterable[PageResult]) -> str:
    """All tables as one CSV text, an empty line between two; empty where there are none."""
    return "\r\n".join(tables.to_csv(grid) for _, _, grid in grids(results))


def write_xlsx(out: BinaryIO, results: Iterable[PageResult]) -> None:
    """Write a workbook with a sheet for each table, `page 1 table 1` and so on.

    Cells that span several are merged. Text is never taken for a formula or a link.

    Args:
        out: a file open for writing.
        results: the pages in order.
    """
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(content, options) as book:
        body = book.add_format({"text_wrap": True, "valign": "top"})
        head = book.add_format({"text_wrap": True, "valign": "top", "bold": True})
        empty = True
        for page, number, grid in grids(results):
            empty = False
            _write_grid(book.add_worksheet(f"page {page} table {number}"), grid, body, head)
        if empty:
            book.add_worksheet("no tables").write_string(0, 0, "No tables were found on these pages.")
    out.write(content.getvalue())


def _write_grid(
    sheet: "xlsxwriter.worksheet.Worksheet",
    grid: TableGrid,
    body: "xlsxwriter.format.Format",
    head: "xlsxwriter.format.Format",
) -> None:
    widths = [8] * grid.columns
    for cell in grid.cells:
        text = cell.text[:_MAX_CELL_CHARS]
        style = head if cell.header else body
        bottom, right = cell.row + cell.rowspan - 1, cell.column + cell.colspan - 1
        if (bottom, right) != (cell.row, cell.column):
            sheet.merge_range(cell.row, cell.column, bottom, right, "", style)
        else:
            longest = max(map(len, text.split("\n")), default=0)
            widths[cell.column] = min(max(widths[cell.column], longest + 2), _MAX_COLUMN_WIDTH)
        if _NUMBER.fullmatch(text):
            sheet.write_number(cell.row, cell.column, float(text), style)
        elif text:
            sheet.write_string(cell.row, cell.column, text, style)
    for column, width in enumerate(widths):
        sheet.set_column(column, column, width)
