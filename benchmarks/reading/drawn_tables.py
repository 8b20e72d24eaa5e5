"""Tables of the generated set: ruled, with rules above and below, and without any."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.reading.sheet import Sheet, font
from benchmarks.reading.vocabulary import Writer
from deployments.postprocess.tables import Cell, TableGrid, to_html
from deployments.types import BlockType

Rules = Literal["full", "booktabs", "none"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a table says, before it has a place.

    Attributes:
        grid: its cells.
        heads: rows of its head.
        rules: how it is ruled.
    """

    grid: TableGrid
    heads: int
    rules: Rules


def plan_table(rng: random.Random, rules: Rules, *, spans: bool, language: str = "english") -> Plan:
    """Make up a table of 3 to 9 rows and 3 to 6 columns below its head.

    The first column holds names, the others figures of one kind each: whole numbers, decimals, per cents,
    single digits, short words; a few cells are empty or hold a dash.

    Args:
        rng: where choices come from.
        rules: how it is ruled.
        spans: whether its head spans columns, and in a ruled table its first column rows.
        language: of its words.
    """
    writer = Writer(rng, language)
    columns, rows = rng.randint(3, 6), rng.randint(3, 9)
    columns = 5 if spans and columns < 5 else columns
    kinds = [rng.choice(("whole", "decimal", "percent", "digit", "word")) for _ in range(columns - 1)]
    cells: list[Cell] = []
    heads = 2 if spans else 1
    if spans:
        cells.append(Cell(_word(writer), 0, 0, 2, 1) if rules == "full" else Cell(_word(writer), 1, 0))
        middle = 1 + (columns - 1) // 2
        cells.append(Cell(" ".join(_word(writer) for _ in range(2)), 0, 1, 1, middle - 1))
        cells.append(Cell(" ".join(_word(writer) for _ in range(2)), 0, middle, 1, columns - middle))
        cells += [Cell(_word(writer), 1, column) for column in range(1, columns)]
    else:
        cells += [Cell(_word(writer), 0, column) for column in range(columns)]
    grouped = spans and rules == "full" and rows >= 4
    row = heads
    while row < heads + rows:
        step = 2 if grouped and row + 1 < heads + rows and rng.random() < 0.5 else 1
        label = " ".join(_word(writer) for _ in range(rng.randint(1, 2)))
        cells.append(Cell(label, row, 0, step, 1))
        for line in range(row, row + step):
            for column, kind in enumerate(kinds, 1):
                text = _value(rng, writer, kind)
                if text:
                    cells.append(Cell(text, line, column))
        row += step
    return Plan(
        TableGrid(row, columns, tuple(sorted(cells, key=lambda cell: (cell.row, cell.column)))), heads, rules
    )


def draw_table(sheet: Sheet, plan: Plan, left: float, top: float, right: float, size: float = 9.5) -> float:
    """Draw a table and note it; returns where it ends, in points from the top."""
    grid, step = plan.grid, round(1.9 * size)
    xs = _edges(plan, left, right, size)
    ys = [top + step * row for row in range(grid.rows + 1)]
    for cell in grid.cells:
        style = 1 if cell.row < plan.heads else 0
        wide = float(font(sheet.family, style).text_length(cell.text, size))
        x1, x2 = xs[cell.column], xs[cell.column + cell.colspan]
        if cell.colspan > 1:
            x = (x1 + x2 - wide) / 2
        elif cell.column == 0:
            x = x1 + 5
        else:
            x = x2 - 6 - wide
        middle = (ys[cell.row] + ys[cell.row + cell.rowspan]) / 2
        sheet.line(x, middle + 0.35 * size, cell.text, size, style)
        if plan.rules == "full":
            sheet.page.draw_rect((x1, ys[cell.row], x2, ys[cell.row + cell.rowspan]), width=0.7)
        elif plan.rules == "booktabs" and cell.colspan > 1:
            sheet.rule(x1 + 6, ys[1], x2 - 2, ys[1], 0.4)
    if plan.rules == "full":
        _complete(sheet, grid, xs, ys)
    elif plan.rules == "booktabs":
        for y in (ys[0], ys[plan.heads], ys[-1]):
            sheet.rule(left, y, xs[-1], y, 0.9)
    sheet.note(BlockType.TABLE, to_html(_whole(grid)), (left, ys[0], xs[-1], ys[-1]))
    return ys[-1]


def _edges(plan: Plan, left: float, right: float, size: float) -> list[float]:
    """Return the x of the columns' edges: the widest text of each and some air, within the width there is."""
    wanted = [26.0] * plan.grid.columns
    for cell in plan.grid.cells:
        wide = float(font("serif", 1).text_length(cell.text, size)) + 20
        share = wide / cell.colspan
        for column in range(cell.column, cell.column + cell.colspan):
            wanted[column] = max(wanted[column], share)
    spare = max(0.0, (right - left - sum(wanted)) / plan.grid.columns)
    edges = [left]
    for width in wanted:
        edges.append(edges[-1] + width + min(spare, 40.0))
    return edges


def _complete(sheet: Sheet, grid: TableGrid, xs: Sequence[float], ys: Sequence[float]) -> None:
    """Draw the frames of the places that have no cell."""
    taken = {
        (row, column)
        for cell in grid.cells
        for row in range(cell.row, cell.row + cell.rowspan)
        for column in range(cell.column, cell.column + cell.colspan)
    }
    for row in range(grid.rows):
        for column in range(grid.columns):
            if (row, column) not in taken:
                sheet.page.draw_rect((xs[column], ys[row], xs[column + 1], ys[row + 1]), width=0.7)


def _whole(grid: TableGrid) -> TableGrid:
    """Return a grid whose empty places have cells too, as HTML needs them."""
    taken = {
        (row, column)
        for cell in grid.cells
        for row in range(cell.row, cell.row + cell.rowspan)
        for column in range(cell.column, cell.column + cell.colspan)
    }
    empty = [
        Cell("", row, column)
        for row in range(grid.rows)
        for column in range(grid.columns)
        if (row, column) not in taken
    ]
    cells = sorted([*grid.cells, *empty], key=lambda cell: (cell.row, cell.column))
    return TableGrid(grid.rows, grid.columns, tuple(cells))


def _word(writer: Writer) -> str:
    if writer.is_cjk:
        return "".join(writer.words(1))
    word = max(writer.words(3), key=len).strip(",.")
    return word[0].upper() + word[1:]


def _value(rng: random.Random, writer: Writer, kind: str) -> str:
    if rng.random() < 0.06:
        return rng.choice(("", "–"))
    match kind:
        case "whole":
            return f"{rng.randint(10, 99_999):,}"
        case "decimal":
            return f"{rng.uniform(0, 100):.{rng.randint(1, 2)}f}"
        case "percent":
            return f"{rng.uniform(0, 100):.1f}%"
        case "digit":
            return str(rng.randint(0, 9))
        case _:
            return _word(writer).lower()
