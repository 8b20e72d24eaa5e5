"""Reads a table's cells: finds its grid, parts lines that run through several cells, finds missed ones."""

import statistics
from collections.abc import Callable, Sequence

import numpy as np

from deployments.model.embedded.geometry import centre, contains, height, share_inside, union, width
from deployments.model.embedded.ink import Ink, Rules, ink_bounds, rules_in, widest_blank
from deployments.model.embedded.lines import TextLine
from deployments.model.embedded.markup_writer import TextCell
from deployments.model.embedded.paragraphs import join_lines
from deployments.model.embedded.table_text import tidy_cells
from deployments.model.embedded.tables import Cell, aligned_cells, ruled_cells, text_rows
from deployments.types import Box


def read_table(
    table: Box, lines: Sequence[TextLine], ink: Ink, read: Callable[[TextLine], str]
) -> list[TextCell]:
    """Return a table's cells with their text.

    Args:
        table: where it is.
        lines: found in it; at least one.
        ink: of the page.
        read: reads a line.
    """
    size = statistics.median(line.height for line in lines)
    margin = round(0.6 * size)
    frame = Box(
        max(0, table.x1 - margin),
        max(0, table.y1 - margin),
        min(ink.shape[1], table.x2 + margin),
        min(ink.shape[0], table.y2 + margin),
    )
    rules = rules_in(ink, frame, size)
    text = _without_rules(ink, frame, rules)
    cells = ruled_cells(frame, rules)
    if cells:
        pieces = [piece for line in lines for piece in _parted_by_rules(line, cells)]
    else:
        pieces = list(lines)
        cells, borders = aligned_cells(table, [piece.box for piece in pieces], rules)
        parted = [piece for line in lines for piece in _parted_at(line, borders, text, frame, size)]
        if len(parted) > len(pieces):
            pieces = parted
            cells, _ = aligned_cells(table, [piece.box for piece in pieces], rules)
    dealt = _deal(pieces, cells)
    texts = []
    for cell, inside in zip(cells, dealt, strict=True):
        found = inside or _missed(cell, pieces, text, frame, size)
        texts.append((cell.row, cell.column, cell.rows, cell.columns, _cell_text(found, read)))
    return tidy_cells(texts)


def _cell_text(lines: Sequence[TextLine], read: Callable[[TextLine], str]) -> str:
    by_box = {line.box: line for line in lines}
    rows = text_rows(list(by_box))
    return join_lines([" ".join(filter(None, (read(by_box[box]) for box in row))) for row in rows])


def _deal(pieces: Sequence[TextLine], cells: Sequence[Cell]) -> list[list[TextLine]]:
    dealt: list[list[TextLine]] = [[] for _ in cells]
    for piece in pieces:
        best = max(range(len(cells)), key=lambda index: _fit(piece.box, cells[index].box), default=None)
        if best is not None:
            dealt[best].append(piece)
    return dealt


def _fit(piece: Box, cell: Box) -> float:
    return share_inside(piece, cell) + (0.5 if contains(cell, *centre(piece)) else 0)


def _without_rules(ink: Ink, frame: Box, rules: Rules) -> Ink:
    """Return a copy of the ink in a frame without its ruling lines, shape (height, width) of the frame."""
    text = ink[frame.y1 : frame.y2, frame.x1 : frame.x2].copy()
    for rule in (*rules.horizontal, *rules.vertical):
        top, left = max(0, rule.y1 - frame.y1 - 1), max(0, rule.x1 - frame.x1 - 1)
        text[top : rule.y2 - frame.y1 + 1, left : rule.x2 - frame.x1 + 1] = 0
    return text


def _inside(box: Box, frame: Box) -> Box:
    """Return a box in a frame's own coordinates, cut to the frame."""
    return Box(
        min(max(0, box.x1 - frame.x1), width(frame)),
        min(max(0, box.y1 - frame.y1), height(frame)),
        max(0, min(box.x2 - frame.x1, width(frame))),
        max(0, min(box.y2 - frame.y1, height(frame))),
    )


def _cut(line: TextLine, places: Sequence[int]) -> list[TextLine]:
    edges = [line.box.x1, *places, line.box.x2]
    return [
        TextLine.of(Box(left, line.box.y1, right, line.box.y2))
        for left, right in zip(edges, edges[1:], strict=False)
        if right - left > 2
    ]


def _parted_by_rules(line: TextLine, cells: Sequence[Cell]) -> list[TextLine]:
    """Part a line where it runs over rules between cells."""
    _, middle = centre(line.box)
    slack = 0.4 * line.height
    places = sorted(
        {
            cell.box.x1
            for cell in cells
            if cell.box.y1 <= middle < cell.box.y2 and line.box.x1 + slack < cell.box.x1 < line.box.x2 - slack
        }
    )
    return _cut(line, places) if places else [line]


def _parted_at(line: TextLine, borders: Sequence[int], text: Ink, frame: Box, size: float) -> list[TextLine]:
    """Part a line at borders between columns where it is blank for more than a space's width."""
    box, inset, reach = line.box, round(0.15 * line.height), round(1.2 * size)
    places = []
    for border in borders:
        if not box.x1 + 0.3 * size < border < box.x2 - 0.3 * size:
            continue
        window = Box(
            max(box.x1, border - reach),
            box.y1 + inset,
            min(box.x2, border + reach),
            max(box.y1 + inset + 1, box.y2 - inset),
        )
        blank = widest_blank(text, _inside(window, frame))
        if blank and blank[1] - blank[0] >= 0.45 * size:
            places.append(frame.x1 + (blank[0] + blank[1]) // 2)
    places = sorted(set(places))
    return _cut(line, places) if places else [line]


def _missed(cell: Cell, pieces: Sequence[TextLine], text: Ink, frame: Box, size: float) -> list[TextLine]:
    """Return what the detector overlooked in a cell: a dash or a single digit."""
    slot = _inside(Box(cell.box.x1 + 2, cell.box.y1 + 2, cell.box.x2 - 2, cell.box.y2 - 2), frame)
    if width(slot) < 4 or height(slot) < 4:
        return []
    part = text[slot.y1 : slot.y2, slot.x1 : slot.x2].copy()
    for piece in pieces:
        covered = _inside(piece.box, frame)
        top, left = max(0, covered.y1 - slot.y1), max(0, covered.x1 - slot.x1)
        part[top : max(0, covered.y2 - slot.y1), left : max(0, covered.x2 - slot.x1)] = 0
    bounds = ink_bounds(part, Box(0, 0, part.shape[1], part.shape[0]))
    if bounds is None or width(bounds) < 0.25 * size or width(bounds) > 0.95 * width(slot):
        return []
    if height(bounds) > 2 * size or np.count_nonzero(part) < 0.02 * size * size:
        return []
    left, top = frame.x1 + slot.x1 + bounds.x1, frame.y1 + slot.y1 + bounds.y1
    middle, pad = top + height(bounds) / 2, round(0.35 * size)
    tall = max(height(bounds) / 2 + 0.15 * size, 0.6 * size)
    box = Box(
        max(0, left - pad), max(0, round(middle - tall)), left + width(bounds) + pad, round(middle + tall)
    )
    return [TextLine.of(box)]


def table_bounds(lines: Sequence[TextLine]) -> Box:
    """Return the box around lines; there must be at least one."""
    return union(line.box for line in lines)
