"""Reads a table: finds its grid, parts lines that run through several cells, finds what was missed."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from deployments.model.embedded.geometry import (
    centre,
    contains,
    height,
    overlap_y,
    share_inside,
    union,
    width,
)
from deployments.model.embedded.ink import Ink, Rules, blank_runs, ink_bounds, is_dash, rules_in
from deployments.model.embedded.lines import TextLine
from deployments.model.embedded.markup_writer import TextCell
from deployments.model.embedded.paragraphs import join_lines
from deployments.model.embedded.table_text import tidy_cells
from deployments.model.embedded.tables import Cell, aligned_cells, column_borders, ruled_cells, text_rows
from deployments.types import Box

_SLANTED = 12.0  # degrees; a head that is turned to fit its column
_SPACE = 0.5  # of a line's height: a wider blank parts columns anywhere
_DASH = "-"  # as a cell's only text, whatever its length on paper
_NARROW = 0.3  # of a line's height: a wider blank parts columns where other rows part too


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of text in a table: where it belongs, and the line to read if it is not a plain box."""

    box: Box
    slanted: TextLine | None = None


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
        words = [piece.box for line in lines for piece in _parted_by_blanks(line, text, frame, rules)]
        apart = [piece.box for line in lines for piece in _parted_by_blanks(line, text, frame, rules, [])]
        borders = column_borders(frame, words, apart, rules)
        pieces = [piece for line in lines for piece in _parted_by_blanks(line, text, frame, rules, borders)]
        cells = aligned_cells(frame, [piece.box for piece in pieces], rules, borders)
    dealt: list[list[_Piece]] = [[] for _ in cells]
    for piece in pieces:
        best = max(range(len(cells)), key=lambda index: _fit(piece.box, cells[index].box))
        dealt[best].append(piece)
    rest = text.copy()
    for box in (_inside(piece.box, frame) for piece in pieces):
        rest[box.y1 : box.y2, box.x1 : box.x2] = 0
    texts = []
    for cell, found in zip(cells, dealt, strict=True):
        held = found or _missed(cell.box, table, rest, frame, size)
        lone = len(held) == 1 and is_dash(text, _inside(held[0].box, frame), size)
        content = _DASH if lone else _text(held, read)
        texts.append((cell.row, cell.column, cell.rows, cell.columns, content))
    return tidy_cells(texts)


def _text(pieces: Sequence[_Piece], read: Callable[[TextLine], str]) -> str:
    """Read a cell: pieces of one row as one line, unless they are slanted."""
    slanted = [read(piece.slanted) for piece in pieces if piece.slanted]
    rows = text_rows([piece.box for piece in pieces if not piece.slanted])
    return join_lines([*(read(TextLine.of(union(row))) for row in rows), *slanted])


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


def _parted_by_rules(line: TextLine, cells: Sequence[Cell]) -> list[_Piece]:
    """Part a line where it runs over rules between cells."""
    _, middle = centre(line.box)
    slack = 0.4 * line.height
    low, high = line.box.x1 + slack, line.box.x2 - slack
    cuts = {cell.box.x1 for cell in cells if cell.box.y1 <= middle < cell.box.y2 and low < cell.box.x1 < high}
    return _cut(line.box, [(cut, cut) for cut in sorted(cuts)])


def _parted_by_blanks(
    line: TextLine, text: Ink, frame: Box, rules: Rules, borders: Sequence[int] | None = None
) -> list[_Piece]:
    """Part a line at vertical rules, at blanks wider than a space, and at such as a space where columns part.

    Without borders it is parted at the narrower blanks everywhere.
    """
    if abs(line.slope) > _SLANTED or line.is_vertical:
        # It belongs where it starts: at its lower end where it rises, at its upper where it falls.
        start = line.quad[[0, 3]].mean(axis=0)
        half = line.height / 2
        x1, y1, x2, y2 = (round(float(value)) for value in (*(start - half), *(start + half)))
        return [_Piece(Box(x1, y1, x2, y2), line)]
    box, inset = line.box, round(0.15 * line.height)
    band = Box(box.x1, box.y1 + inset, box.x2, max(box.y1 + inset + 1, box.y2 - inset))
    gaps = []
    for low, high in blank_runs(text, _inside(band, frame)):
        start, end = frame.x1 + low, frame.x1 + high
        ruled = any(
            start <= rule.x1 and rule.x2 <= end and overlap_y(rule, band) > 0 for rule in rules.vertical
        )
        least = 0.0 if ruled else _SPACE if _is_far(start, end, line, borders) else _NARROW
        if end - start >= least * line.height and start > box.x1 and end < box.x2:
            gaps.append((start + 1, end - 1) if ruled else (start + inset, end - inset))
    return _cut(box, gaps)


def _is_far(start: int, end: int, line: TextLine, borders: Sequence[int] | None) -> bool:
    """Tell whether a blank is away from all borders between columns."""
    if borders is None:
        return False
    reach = 0.8 * line.height
    return all(not start - reach < border < end + reach for border in borders)


def _cut(box: Box, gaps: Sequence[tuple[int, int]]) -> list[_Piece]:
    starts, ends = [box.x1, *(end for _, end in gaps)], [*(start for start, _ in gaps), box.x2]
    pieces = [Box(start, box.y1, end, box.y2) for start, end in zip(starts, ends, strict=True)]
    return [_Piece(piece) for piece in pieces if width(piece) > 2]


def _missed(cell: Box, table: Box, rest: Ink, frame: Box, size: float) -> list[_Piece]:
    """Return what the detector overlooked in a cell: a dash or a single digit."""
    top, bottom = max(cell.y1, table.y1) + 2, min(cell.y2, table.y2) - 2
    slot = _inside(Box(max(cell.x1, table.x1) + 2, top, min(cell.x2, table.x2) - 2, bottom), frame)
    if width(slot) < 4 or height(slot) < 4:
        return []
    part = rest[slot.y1 : slot.y2, slot.x1 : slot.x2]
    whole = Box(0, 0, part.shape[1], part.shape[0])
    bounds = ink_bounds(part, whole)
    if bounds is None or width(bounds) > 0.8 * width(slot):
        return []
    # A hyphen is smaller than any letter or digit.
    if not is_dash(part, whole, size) and (
        width(bounds) < 0.25 * size
        or height(bounds) > 1.2 * size
        or width(bounds) > 6 * height(bounds)
        or np.count_nonzero(part) < 0.02 * size * size
    ):
        return []
    middle, pad = frame.y1 + slot.y1 + centre(bounds)[1], round(0.35 * size)
    half = max(height(bounds) / 2 + 0.15 * size, 0.6 * size)
    left = frame.x1 + slot.x1 + bounds.x1
    right = left + width(bounds)
    return [_Piece(Box(max(0, left - pad), max(0, round(middle - half)), right + pad, round(middle + half)))]
