"""Tables: HTML as the model wrote it, a grid of cells, and clean HTML, Markdown or CSV from it.

The scanner knows the few tags of a table and takes everything else for text, as a model that copies
`a < b` or `<script>` from a page means it. It never nests, never recurses and takes time in
proportion to the text; spans are bounded by the grid. The standard library's HTML parser is no
match: it drops what looks like an unknown tag, and needs quadratic time on some malformed input in
the Python releases supported here (CVE-2025-6069).
"""

import csv
import html
import io
import re
from dataclasses import dataclass, field, replace

MAX_ROWS = 2_048
MAX_COLUMNS = 256
"""Bounds of a grid. 8,192 tokens, of which an empty cell takes two, write no larger table; cells
past the bounds are dropped."""

_TAG = re.compile(
    r"<(/?)(table|thead|tbody|tfoot|tr|td|th|caption|br|sup|sub|b|i|u|strong|em)\b([^<>]*)>", re.IGNORECASE
)
_SPAN = re.compile(r"\b(colspan|rowspan)\s{0,9}=\s{0,9}[\"']?\s{0,9}([0-9]{1,9})", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_FORMULA = re.compile(r"[=+\-@\t\r]")
_SIGNED_NUMBER = re.compile(r"[+-]?[0-9.,\s%]*")
"""What spreadsheets read as a formula, and what only looks like one."""

_INLINE = {"br": "\n", "sup": "^", "sub": "_", "b": "", "i": "", "u": "", "strong": "", "em": ""}
"""What plain text has in an opening tag's place; closing ones leave nothing."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: its plain text (lines end with a line feed), its place from 0, and its spans from 1."""

    text: str
    row: int
    column: int
    rowspan: int = 1
    colspan: int = 1
    header: bool = False


@dataclass(frozen=True, slots=True)
class TableGrid:
    """A table of `rows` by `columns` places; cells in reading order, none over another."""

    rows: int
    columns: int
    cells: tuple[Cell, ...]

    def texts(self) -> list[list[str]]:
        """The texts row by row; the places that a span covers, and those without a cell, are empty."""
        texts = [[""] * self.columns for _ in range(self.rows)]
        for cell in self.cells:
            texts[cell.row][cell.column] = cell.text
        return texts


@dataclass(slots=True)
class _RawCell:
    rowspan: int
    colspan: int
    header: bool
    pieces: list[str] = field(default_factory=list)


def parse(text: str) -> tuple[str | TableGrid, ...]:
    """Split text into the tables in it and the text around them, in order.

    A table that is never closed ends with the text; rows or cells without a table open one; the cells
    of a table within a cell become lines of that cell; a table without any cell is left out.
    """
    scanner = _Scanner()
    start = 0
    for match in _TAG.finditer(text):
        scanner.text(text[start : match.start()])
        scanner.tag(match[2].lower(), match[3], closes=bool(match[1]))
        start = match.end()
    scanner.text(text[start:])
    scanner.end_table()
    return tuple(scanner.segments)


class _Scanner:
    """Takes tags and text in turn and collects segments."""

    def __init__(self) -> None:
        self.segments: list[str | TableGrid] = []
        self._outside: list[str] = []
        self._rows: list[list[_RawCell]] = []
        self._cell: _RawCell | None = None
        self._depth = 0

    def text(self, text: str) -> None:
        (self._outside if self._cell is None else self._cell.pieces).append(text)

    def tag(self, name: str, attributes: str, *, closes: bool) -> None:
        if name == "table":
            self._table(closes=closes)
        elif name in _INLINE:
            self.text("" if closes and name != "br" else _INLINE[name])
        elif self._depth > 1:
            self.text("\n")
        else:
            self._cell = None
            if closes:
                return
            if name == "tr" or (name in {"td", "th"} and not self._rows):
                self._rows.append([])
            if name in {"td", "th"}:
                self._cell = _RawCell(*_spans(attributes), header=name == "th")
                self._rows[-1].append(self._cell)
            elif name == "caption":
                self.text("\n")

    def _table(self, *, closes: bool) -> None:
        if self._cell is not None and (self._depth > 1 or not closes):
            # Within a cell: a table of its own, or the end of one.
            self._depth += -1 if closes else 1
            self.text("\n")
        else:
            self.end_table()
            self._depth = 0 if closes else 1

    def end_table(self) -> None:
        self._cell = None
        if words := "\n".join(_lines(self._outside)).strip("\n"):
            self.segments.append(words)
        if (grid := _place(self._rows)) is not None:
            self.segments.append(grid)
        self._outside.clear()
        self._rows.clear()


def _spans(attributes: str) -> tuple[int, int]:
    found = {match[1].lower(): int(match[2]) for match in _SPAN.finditer(attributes)}
    return max(found.get("rowspan", 1), 1), max(found.get("colspan", 1), 1)


def _lines(pieces: list[str]) -> list[str]:
    """Text without entities and with white space folded within its lines."""
    text = _ENTITY.sub(lambda match: html.unescape(match[0]), "".join(pieces))
    return [" ".join(line.split()) for line in text.split("\n")]


def _place(rows: list[list[_RawCell]]) -> TableGrid | None:
    """Give every cell its place, as HTML's table model does: the next free one of its row.

    A span ends at the last row, at the last column allowed, and before a place already taken. A row
    without cells counts where a span from above runs through it.
    """
    rows = rows[:MAX_ROWS]
    free_from = [0] * MAX_COLUMNS  # the first row in which each column is free again
    cells: list[Cell] = []
    row = 0
    for raw_cells in rows:
        if not raw_cells and max(free_from) <= row:
            continue
        column = 0
        for raw in raw_cells:
            while column < MAX_COLUMNS and free_from[column] > row:
                column += 1
            if column == MAX_COLUMNS:
                break
            rowspan = min(raw.rowspan, len(rows) - row)
            end = column
            while end < min(column + raw.colspan, MAX_COLUMNS) and free_from[end] <= row:
                free_from[end] = row + rowspan
                end += 1
            text = "\n".join(filter(None, _lines(raw.pieces)))
            cells.append(Cell(text, row, column, rowspan, end - column, raw.header))
            column = end
        row += 1
    if not cells:
        return None
    columns = max(cell.column + cell.colspan for cell in cells)
    within = tuple(replace(cell, rowspan=min(cell.rowspan, row - cell.row)) for cell in cells)
    return TableGrid(row, columns, within)


def to_html(grid: TableGrid) -> str:
    """HTML with table tags alone, on one line as the model writes it; all else is escaped."""
    parts = ["<table>"]
    row = -1
    for cell in grid.cells:
        while row < cell.row:
            parts.append("<tr>" if row < 0 else "</tr><tr>")
            row += 1
        name = "th" if cell.header else "td"
        spans = f' rowspan="{cell.rowspan}"' if cell.rowspan > 1 else ""
        spans += f' colspan="{cell.colspan}"' if cell.colspan > 1 else ""
        text = html.escape(cell.text, quote=False).replace("\n", "<br>")
        parts.append(f"<{name}{spans}>{text}</{name}>")
    parts.append("</tr>" + "<tr></tr>" * (grid.rows - 1 - row) + "</table>")
    return "".join(parts)


def to_markdown(grid: TableGrid) -> str:
    """A pipe table with the first row as its head, which the syntax demands.

    Pipe tables have no spans: the text stands in the first place of a span, the others are empty.
    """
    lines = ["| " + " | ".join(map(_pipe_cell, row)) + " |" for row in grid.texts()]
    lines.insert(1, "|" + " --- |" * grid.columns)
    return "\n".join(lines)


def _pipe_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def to_csv(grid: TableGrid) -> str:
    """Comma-separated values (RFC 4180); spans as in the pipe table.

    A text that spreadsheets would take for a formula gets an apostrophe before it, their own mark for
    text: what stood on the page must not run in somebody's spreadsheet.
    """
    out = io.StringIO()
    csv.writer(out).writerows([_csv_cell(text) for text in row] for row in grid.texts())
    return out.getvalue()


def _csv_cell(text: str) -> str:
    return f"'{text}" if _FORMULA.match(text) and not _SIGNED_NUMBER.fullmatch(text) else text
