"""Tables from geometry: cells from ruling lines, or from the gaps between aligned pieces of text."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from deployments.model.embedded.geometry import centre, height, overlap_x, overlap_y, width
from deployments.model.embedded.ink import Rules
from deployments.types import Box


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        row: its first row, from 0.
        column: its first column, from 0.
        rows: how many rows it spans.
        columns: how many columns it spans.
        box: in pixels of the page.
    """

    row: int
    column: int
    rows: int
    columns: int
    box: Box


def ruled_cells(table: Box, rules: Rules) -> list[Cell]:
    """Return the cells of a table whose columns and rows are all ruled; none if it is not such a table.

    Cells that no rule parts are one cell that spans them. Open sides are closed: a table with rules
    between its columns needs no frame around them.

    Args:
        table: where it is.
        rules: found in it.
    """
    xs = _levels([(rule.x1 + rule.x2) / 2 for rule in rules.vertical], 5)
    ys = _levels([(rule.y1 + rule.y2) / 2 for rule in rules.horizontal], 5)
    tall = max((height(rule) for rule in rules.vertical), default=0)
    wide = max((width(rule) for rule in rules.horizontal), default=0)
    framed = (
        len(xs) >= 3 and len(ys) >= 3 and tall >= 0.6 * (ys[-1] - ys[0]) and wide >= 0.6 * (xs[-1] - xs[0])
    )
    if not framed or xs[-1] - xs[0] < 0.85 * width(table) or ys[-1] - ys[0] < 0.7 * height(table):
        return []
    rows, columns = len(ys) - 1, len(xs) - 1
    parent = list(range(rows * columns))

    def root(slot: int) -> int:
        while parent[slot] != slot:
            slot = parent[slot]
        return slot

    for row in range(rows):
        for column in range(columns):
            slot = row * columns + column
            if column + 1 < columns and not _ruled(
                rules.vertical, xs[column + 1], ys[row], ys[row + 1], upright=True
            ):
                parent[root(slot + 1)] = root(slot)
            if row + 1 < rows and not _ruled(
                rules.horizontal, ys[row + 1], xs[column], xs[column + 1], upright=False
            ):
                parent[root(slot + columns)] = root(slot)
    return _merged_cells([root(slot) for slot in range(rows * columns)], xs, ys)


def aligned_cells(table: Box, pieces: Sequence[Box], rules: Rules) -> tuple[list[Cell], list[int]]:
    """Return the cells of a table without a full set of rules, and the column borders found.

    Columns are parted where (nearly) no row has text, and at vertical rules. Rows are parted where no
    column has text, and at long horizontal rules. A piece that crosses columns spans them, and so does
    one that is centred over a short rule that crosses them.

    Args:
        table: where it is.
        pieces: of text in it.
        rules: found in it.

    Returns:
        The cells, no two over each other, and the x of the borders between columns.
    """
    if not pieces:
        return [], []
    size = statistics.median(height(piece) for piece in pieces)
    bands = _bands(table, pieces, rules, size)
    borders = _column_borders(table, pieces, rules, size)
    edges = [table.x1, *borders, table.x2]
    columns = [(edges[index], edges[index + 1]) for index in range(len(edges) - 1)]
    cells: list[Cell] = []
    for row, (top, bottom) in enumerate(bands):
        inside = [piece for piece in pieces if top <= centre(piece)[1] < bottom]
        taken = [False] * len(columns)
        for first, last in _spans(inside, columns, rules, size):
            if not any(taken[first : last + 1]):
                taken[first : last + 1] = [True] * (last + 1 - first)
                box = Box(columns[first][0], top, columns[last][1], bottom)
                cells.append(Cell(row, first, 1, last + 1 - first, box))
        cells.extend(
            Cell(row, column, 1, 1, Box(left, top, right, bottom))
            for column, (left, right) in enumerate(columns)
            if not taken[column]
        )
    return sorted(cells, key=lambda cell: (cell.row, cell.column)), borders


def text_rows(pieces: Sequence[Box]) -> list[list[Box]]:
    """Return the pieces in rows, top to bottom, each left to right."""
    rows: list[list[Box]] = []
    for piece in sorted(pieces, key=lambda box: box.y1 + box.y2):
        for row in reversed(rows[-3:]):
            if overlap_y(row[0], piece) > 0.5 * min(height(row[0]), height(piece)) and all(
                overlap_x(other, piece) < 0.5 * min(width(other), width(piece)) for other in row
            ):
                row.append(piece)
                break
        else:
            rows.append([piece])
    return [sorted(row, key=lambda box: box.x1) for row in rows]


def _levels(values: Sequence[float], tolerance: float) -> list[int]:
    """Return the means of values that lie together, ascending."""
    groups: list[list[float]] = []
    for value in sorted(values):
        if groups and value - groups[-1][-1] <= tolerance:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [round(statistics.fmean(group)) for group in groups]


def _ruled(rules: Sequence[Box], level: int, start: int, end: int, upright: bool) -> bool:
    """Tell whether rules cover most of an edge between two cells."""
    covered = 0
    for rule in rules:
        position = (rule.x1 + rule.x2) / 2 if upright else (rule.y1 + rule.y2) / 2
        low, high = (rule.y1, rule.y2) if upright else (rule.x1, rule.x2)
        if abs(position - level) <= 5:
            covered += max(0, min(high, end) - max(low, start))
    return covered >= 0.6 * (end - start)


def _merged_cells(roots: Sequence[int], xs: Sequence[int], ys: Sequence[int]) -> list[Cell]:
    """Make rectangles of slots that belong together; a shape that is none falls back to its slots."""
    columns = len(xs) - 1
    members: dict[int, list[int]] = {}
    for slot, root in enumerate(roots):
        members.setdefault(root, []).append(slot)
    cells = []
    for slots in members.values():
        rows = {slot // columns for slot in slots}
        across = {slot % columns for slot in slots}
        if len(rows) * len(across) == len(slots):
            cells.append(_cell(min(rows), min(across), len(rows), len(across), xs, ys))
        else:
            cells.extend(_cell(slot // columns, slot % columns, 1, 1, xs, ys) for slot in slots)
    return sorted(cells, key=lambda cell: (cell.row, cell.column))


def _cell(row: int, column: int, rows: int, columns: int, xs: Sequence[int], ys: Sequence[int]) -> Cell:
    return Cell(row, column, rows, columns, Box(xs[column], ys[row], xs[column + columns], ys[row + rows]))


def _bands(table: Box, pieces: Sequence[Box], rules: Rules, size: float) -> list[tuple[int, int]]:
    """Return the top and bottom of each row of cells."""
    rows = text_rows(pieces)
    spans = [(min(box.y1 for box in row), max(box.y2 for box in row), len(row)) for row in rows]
    inset = 0.2 * size
    long_rules = [(rule.y1 + rule.y2) / 2 for rule in rules.horizontal if width(rule) > 0.6 * width(table)]
    widest = max(count for _, _, count in spans)
    groups = [[spans[0]]]
    for span in spans[1:]:
        bottom = max(low for _, low, _ in groups[-1])
        previous = groups[-1][-1]
        middle_above, middle = (previous[0] + previous[1]) / 2, (span[0] + span[1]) / 2
        touching = span[0] + inset < bottom - inset
        parted = any(middle_above < rule < middle for rule in long_rules)
        full = span[2] > 0.6 * widest and previous[2] > 0.6 * widest
        if touching and not parted and not full:
            groups[-1].append(span)
        else:
            groups.append([span])
    tops = [min(top for top, _, _ in group) for group in groups]
    bottoms = [max(low for _, low, _ in group) for group in groups]
    cuts = [round((low + top) / 2) for low, top in zip(bottoms, tops[1:], strict=False)]
    starts = [min(table.y1, tops[0]), *cuts]
    ends = [*cuts, max(table.y2, bottoms[-1]) + 1]
    return list(zip(starts, ends, strict=True))


def _column_borders(table: Box, pieces: Sequence[Box], rules: Rules, size: float) -> list[int]:
    rows = [row for row in text_rows(pieces) if len(row) > 1]
    # A detected piece is some 0.15 of its height wider at each end than its letters.
    inset = round(0.15 * size)
    crossings = [0] * (width(table) + 1)
    for row in rows:
        for piece in row:
            for x in range(max(piece.x1 + inset, table.x1), min(piece.x2 - inset, table.x2)):
                crossings[x - table.x1] += 1
    allowed = len(rows) // 8
    gaps, start = [], 0
    for x in range(len(crossings) + 1):
        blank = x < len(crossings) and crossings[x] <= allowed
        if not blank:
            if x - start >= 0.5 * size and start > 0 and x < len(crossings):
                gaps.append((table.x1 + start, table.x1 + x))
            start = x + 1
    borders = [(left + right) // 2 for left, right in gaps]
    for x in _levels(
        [(rule.x1 + rule.x2) / 2 for rule in rules.vertical if height(rule) > 0.3 * height(table)], 5
    ):
        apart = all(abs(x - border) > 1.5 * size for border in borders)
        outside = x - table.x1 < size or table.x2 - x < size
        if apart and not outside and not any(left <= x <= right for left, right in gaps):
            borders.append(x)
    return sorted(borders)


def _spans(
    pieces: Sequence[Box], columns: Sequence[tuple[int, int]], rules: Rules, size: float
) -> list[tuple[int, int]]:
    """Return the first and last column of each piece that crosses a border between columns."""
    spans = []
    for piece in pieces:
        low, high = piece.x1 + 0.3 * size, piece.x2 - 0.3 * size
        for rule in rules.horizontal:
            near = -0.5 * size < rule.y1 - piece.y2 < 1.2 * size
            middle = (rule.x1 + rule.x2) / 2
            if near and abs(middle - centre(piece)[0]) < 1.5 * size and width(rule) < 0.8 * _extent(columns):
                low, high = min(low, rule.x1 + 0.5 * size), max(high, rule.x2 - 0.5 * size)
        inside = [
            index for index, (left, right) in enumerate(columns) if min(high, right) - max(low, left) > 0
        ]
        if len(inside) > 1:
            spans.append((inside[0], inside[-1]))
    return sorted(spans, key=lambda span: span[0] - span[1])


def _extent(columns: Sequence[tuple[int, int]]) -> int:
    return columns[-1][1] - columns[0][0]
