"""Tables from geometry: cells from ruling lines, or from the gaps between aligned pieces of text."""

import itertools
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
    """Return the cells of a table whose rows and columns are all ruled; none if it is not such a table.

    Cells that no rule parts are one cell, which spans them.

    Args:
        table: where it is.
        rules: found in it.
    """
    xs = _levels([(rule.x1 + rule.x2) / 2 for rule in rules.vertical])
    ys = _levels([(rule.y1 + rule.y2) / 2 for rule in rules.horizontal])
    if len(xs) < 3 or len(ys) < 3:
        return []
    tall, wide = max(map(height, rules.vertical)), max(map(width, rules.horizontal))
    framed = tall >= 0.6 * (ys[-1] - ys[0]) and wide >= 0.6 * (xs[-1] - xs[0])
    if not framed or xs[-1] - xs[0] < 0.85 * width(table) or ys[-1] - ys[0] < 0.7 * height(table):
        return []
    rows, columns = len(ys) - 1, len(xs) - 1
    parent = list(range(rows * columns))

    def root(slot: int) -> int:
        while parent[slot] != slot:
            slot = parent[slot]
        return slot

    for slot in range(rows * columns):
        row, column = divmod(slot, columns)
        if column + 1 < columns:
            edge = [(rule.y1, rule.y2) for rule in rules.vertical if _at(rule.x1, rule.x2, xs[column + 1])]
            if not _covers(edge, ys[row], ys[row + 1]):
                parent[root(slot + 1)] = root(slot)
        if row + 1 < rows:
            edge = [(rule.x1, rule.x2) for rule in rules.horizontal if _at(rule.y1, rule.y2, ys[row + 1])]
            if not _covers(edge, xs[column], xs[column + 1]):
                parent[root(slot + columns)] = root(slot)
    return _merged_cells([root(slot) for slot in range(rows * columns)], xs, ys)


def aligned_cells(table: Box, pieces: Sequence[Box], rules: Rules, borders: Sequence[int]) -> list[Cell]:
    """Return the cells of a table without a full set of rules.

    Rows are parted where no column has text, and at long horizontal rules. A piece that crosses columns
    spans them, as does one that is centred over a short rule that crosses them, or alone and centred
    over the whole table.

    Args:
        table: where it is.
        pieces: of text in it, parted at the gaps between columns.
        rules: found in it.
        borders: between its columns, as `column_borders` found them.

    Returns:
        The cells, no two over each other.
    """
    if not pieces:
        return []
    size = statistics.median(height(piece) for piece in pieces)
    edges = [table.x1, *borders, table.x2]
    columns = list(itertools.pairwise(edges))
    middles = [_text_middle(column, pieces) for column in columns]
    cells: list[Cell] = []
    for row, (top, bottom) in enumerate(_bands(table, pieces, rules, len(columns))):
        inside = [piece for piece in pieces if top <= centre(piece)[1] < bottom]
        taken = [False] * len(columns)
        for first, last in _spans(inside, columns, middles, rules, size):
            if not any(taken[first : last + 1]):
                taken[first : last + 1] = [True] * (last + 1 - first)
                box = Box(columns[first][0], top, columns[last][1], bottom)
                cells.append(Cell(row, first, 1, last + 1 - first, box))
        cells.extend(
            Cell(row, column, 1, 1, Box(left, top, right, bottom))
            for column, (left, right) in enumerate(columns)
            if not taken[column]
        )
    return sorted(cells, key=lambda cell: (cell.row, cell.column))


def column_borders(table: Box, words: Sequence[Box], pieces: Sequence[Box], rules: Rules) -> list[int]:
    """Return the x of the borders between columns, ascending.

    Columns are parted where two rows in three have no text, and at long vertical rules.

    Args:
        table: where it is.
        words: in it, or parts of lines: parted at every gap that might be one between columns.
        pieces: of text in it, parted only where words stand too far apart to be of one cell.
        rules: found in it.
    """
    size = statistics.median(height(piece) for piece in pieces) if pieces else 1.0
    rows = [row for row in text_rows(words) if len(row) > 1]
    # A detected piece is some 0.15 of its height wider at each end than its letters.
    inset = round(0.15 * size)
    crossings = [0] * width(table)
    for row in rows:
        for piece in row:
            for x in range(max(piece.x1 + inset, table.x1), min(piece.x2 - inset, table.x2)):
                crossings[x - table.x1] += 1
    allowed = len(rows) // 3
    gaps: list[tuple[int, int]] = []
    start = 0
    for x, crossed in enumerate([*crossings, allowed + 1]):
        if crossed > allowed:
            if x - start >= 0.4 * size and start > 0 and x < len(crossings):
                gaps += _around(table.x1 + start, table.x1 + x, inset, pieces)
            start = x + 1
    # Within a gap the border is where the fewest rows cross it.
    borders = [left + _middle_of_least(crossings[left - table.x1 : right - table.x1]) for left, right in gaps]
    tall = [rule for rule in rules.vertical if height(rule) > 0.3 * height(table)]
    for x in _levels([(rule.x1 + rule.x2) / 2 for rule in tall]):
        outside = x - table.x1 < size or table.x2 - x < size
        if not outside and all(abs(x - border) > size for border in borders):
            borders.append(x)
    return sorted(borders)


def _around(left: int, right: int, inset: int, pieces: Sequence[Box]) -> list[tuple[int, int]]:
    """Part a gap around what stands inside it: a column that few rows fill, as with currency signs."""
    inside = sorted(
        (piece.x1 + inset, piece.x2 - inset)
        for piece in pieces
        if piece.x1 + inset >= left and piece.x2 - inset <= right
    )
    gaps, start = [], left
    for low, high in inside:
        gaps.append((start, low))
        start = max(start, high)
    gaps.append((start, right))
    return [(low, high) for low, high in gaps if high - low > inset]


def _middle_of_least(values: Sequence[int]) -> int:
    """Return the middle of the longest run of the least value."""
    least, best, start = min(values), (0, 0), 0
    for index, value in enumerate([*values, least + 1]):
        if value != least:
            best = max(best, (index - start, start))
            start = index + 1
    return best[1] + best[0] // 2


def text_rows(pieces: Sequence[Box]) -> list[list[Box]]:
    """Return the pieces in rows, top to bottom, each left to right."""
    rows: list[list[Box]] = []
    for piece in sorted(pieces, key=lambda box: (box.y1 + box.y2, box.x1)):
        for row in reversed(rows[-3:]):
            level = overlap_y(row[0], piece) > 0.5 * min(height(row[0]), height(piece))
            if level and all(
                overlap_x(other, piece) < 0.5 * min(width(other), width(piece)) for other in row
            ):
                row.append(piece)
                break
        else:
            rows.append([piece])
    return [sorted(row, key=lambda box: box.x1) for row in rows]


def _levels(values: Sequence[float], tolerance: float = 5) -> list[int]:
    """Return the means of values that lie within a few pixels of each other, ascending."""
    groups: list[list[float]] = []
    for value in sorted(values):
        if groups and value - groups[-1][-1] <= tolerance:
            groups[-1].append(value)
        else:
            groups.append([value])
    return [round(statistics.fmean(group)) for group in groups]


def _at(low: int, high: int, level: int) -> bool:
    return abs((low + high) / 2 - level) <= 5


def _covers(segments: Sequence[tuple[int, int]], start: int, end: int) -> bool:
    """Tell whether segments cover most of an edge between two cells."""
    covered = sum(max(0, min(high, end) - max(low, start)) for low, high in segments)
    return covered >= 0.6 * (end - start)


def _merged_cells(roots: Sequence[int], xs: Sequence[int], ys: Sequence[int]) -> list[Cell]:
    """Make rectangles of slots that belong together; a shape that is none falls back to its slots."""
    columns = len(xs) - 1
    members: dict[int, list[int]] = {}
    for slot, root in enumerate(roots):
        members.setdefault(root, []).append(slot)
    cells = []
    for slots in members.values():
        rows = sorted({slot // columns for slot in slots})
        across = sorted({slot % columns for slot in slots})
        if len(rows) * len(across) == len(slots):
            box = Box(xs[across[0]], ys[rows[0]], xs[across[-1] + 1], ys[rows[-1] + 1])
            cells.append(Cell(rows[0], across[0], len(rows), len(across), box))
        else:
            for row, column in (divmod(slot, columns) for slot in slots):
                cells.append(Cell(row, column, 1, 1, Box(xs[column], ys[row], xs[column + 1], ys[row + 1])))
    return sorted(cells, key=lambda cell: (cell.row, cell.column))


def _bands(table: Box, pieces: Sequence[Box], rules: Rules, columns: int) -> list[tuple[int, int]]:
    """Return the top and bottom of each row of cells.

    A row of text belongs to the one above it if it stands closer than the table's full rows do, and
    not both are full: then it is a cell's next line.
    """
    rows = text_rows(pieces)
    tops = [min(box.y1 for box in row) for row in rows]
    bottoms = [max(box.y2 for box in row) for row in rows]
    middles = [statistics.median(centre(box)[1] for box in row) for row in rows]
    full = [len(row) > 0.6 * columns for row in rows]
    steps = [
        middles[index + 1] - middles[index]
        for index in range(len(rows) - 1)
        if full[index] and full[index + 1]
    ]
    step = statistics.median(steps) if steps else 0.0
    long_rules = [(rule.y1 + rule.y2) / 2 for rule in rules.horizontal if width(rule) > 0.6 * width(table)]
    starts = [0]
    for index in range(1, len(rows)):
        parted = any(middles[index - 1] < rule < middles[index] for rule in long_rules)
        close = middles[index] - middles[index - 1] < 0.75 * step
        if parted or not close or (full[index] and any(full[starts[-1] : index])):
            starts.append(index)
    ends = [*starts[1:], len(rows)]
    highs = [min(tops[start:end]) for start, end in zip(starts, ends, strict=True)]
    lows = [max(bottoms[start:end]) for start, end in zip(starts, ends, strict=True)]
    cuts = [round((low + high) / 2) for low, high in zip(lows, highs[1:], strict=False)]
    return list(zip([min(table.y1, highs[0]), *cuts], [*cuts, max(table.y2, lows[-1]) + 1], strict=True))


def _text_middle(column: tuple[int, int], pieces: Sequence[Box]) -> float:
    """Return the middle of the text that stands in one column alone, or else of the column."""
    left, right = column
    inside = [centre(piece)[0] for piece in pieces if left <= piece.x1 and piece.x2 <= right]
    return statistics.median(inside) if inside else (left + right) / 2


def _spans(
    pieces: Sequence[Box],
    columns: Sequence[tuple[int, int]],
    middles: Sequence[float],
    rules: Rules,
    size: float,
) -> list[tuple[int, int]]:
    """Return the first and last column of each piece that spans several, the widest first.

    Args:
        pieces: of one row.
        columns: their edges.
        middles: of the text in each column, which a rule under a head runs under although it may cross
            the border of a column that it does not mean.
        rules: of the table.
        size: height of its text.
    """
    left_edge, right_edge = columns[0][0], columns[-1][1]
    if len(pieces) == 1 and len(columns) > 2:
        middle = centre(pieces[0])[0]
        if abs(middle - (left_edge + right_edge) / 2) < 0.05 * (right_edge - left_edge) + size:
            return [(0, len(columns) - 1)]
    spans = []
    for piece in pieces:
        low, high = piece.x1 + 0.5 * size, piece.x2 - 0.5 * size
        inside = {index for index, (left, right) in enumerate(columns) if min(high, right) > max(low, left)}
        for rule in rules.horizontal:
            near = -0.5 * size < rule.y1 - piece.y2 < 1.2 * size
            over = abs((rule.x1 + rule.x2) / 2 - centre(piece)[0]) < 1.5 * size
            if near and over and width(rule) < 0.8 * (right_edge - left_edge):
                inside |= {index for index, middle in enumerate(middles) if rule.x1 < middle < rule.x2}
        if len(inside) > 1:
            spans.append((min(inside), max(inside)))
    return sorted(spans, key=lambda span: span[0] - span[1])
