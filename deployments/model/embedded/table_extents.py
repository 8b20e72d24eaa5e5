"""Where unruled tables end: the layout model takes in prose around one, cuts columns off, or misses it."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from deployments.model.embedded.geometry import (
    centre,
    height,
    overlap_x,
    overlap_y,
    share_inside,
    union,
    width,
)
from deployments.model.embedded.ink import Ink, blank_runs, rules_in
from deployments.model.embedded.lines import TextLine
from deployments.model.embedded.regions import Region
from deployments.model.embedded.tables import text_rows
from deployments.model.embedded.tabular import is_columnar
from deployments.types import Box

_DRAWN = ("table", "figure", "equation")
"""Labels of regions that hold no running text."""

_FAR = 3.0  # heights of a line: rows of one table, and a table and its caption, stand closer
_ON_A_LEVEL = 0.3  # of a line's height: the pieces of one row differ less


def fitted(regions: Sequence[Region], lines: Sequence[TextLine], ink: Ink) -> list[Region]:
    """Return the regions, tables without the prose around them and with the columns beside them.

    Args:
        regions: of the layout model.
        lines: of the page.
        ink: of the page.
    """
    boxes = [line.box for line in lines]
    found = list(regions)
    for index, region in enumerate(found):
        if region.label == "table":
            free = [
                box
                for box in boxes
                if not any(
                    _is_elsewhere(other, region) and share_inside(box, other.box) > 0.5 for other in found
                )
            ]
            box = _without_prose_around(region.box, free, ink)
            found[index] = replace(region, box=_with_columns_beside(box, free))
    return found


def missed_tables(
    regions: Sequence[Region], lines: Sequence[TextLine], is_caption: Callable[[TextLine], bool]
) -> list[Region]:
    """Return tables that no region holds: rows of pieces in columns, right below or above a table's caption.

    Without a caption such rows may as well be the authors of a paper or a table of contents.

    Args:
        regions: of the page.
        lines: of the page.
        is_caption: tells, by reading it, whether a line begins a table's caption.
    """
    drawn = [region.box for region in regions if region.label in _DRAWN]
    by_box = {line.box: line for line in lines}
    rows = text_rows([box for box in by_box if all(share_inside(box, other) <= 0.5 for other in drawn)])
    tables = []
    for first, last in _runs([len(row) > 1 for row in rows], rows):
        pieces = [box for row in rows[first : last + 1] for box in row]
        frame = union(pieces)
        around = [row for row in (*rows[first - 1 : first], *rows[last + 1 : last + 2]) if len(row) == 1]
        near = [
            row[0]
            for row in around
            if -overlap_y(row[0], frame) < _FAR * height(row[0]) and _over(row[0], frame)
        ]
        if is_columnar([by_box[box] for box in pieces]) and any(is_caption(by_box[box]) for box in near):
            tables.append(Region("table", 1.0, frame))
    return tables


def _is_elsewhere(region: Region, table: Region) -> bool:
    """Tell a drawn region that is not just another guess at where a table is."""
    shared = max(share_inside(region.box, table.box), share_inside(table.box, region.box))
    return region.label in _DRAWN and shared < 0.5


def _over(caption: Box, table: Box) -> bool:
    return overlap_x(caption, table) > 0.5 * min(width(caption), width(table))


def _runs(parted: Sequence[bool], rows: Sequence[Sequence[Box]]) -> list[tuple[int, int]]:
    """Return first and last row of each run of rows of several pieces that stand close to each other."""
    runs: list[tuple[int, int]] = []
    for index, several in enumerate(parted):
        if not several:
            continue
        if runs and runs[-1][1] == index - 1 and _gap(rows[index - 1], rows[index]) < _FAR:
            runs[-1] = (runs[-1][0], index)
        else:
            runs.append((index, index))
    return runs


def _gap(above: Sequence[Box], below: Sequence[Box]) -> float:
    """Return the blank between two rows, in heights of their text."""
    return -overlap_y(union(above), union(below)) / statistics.median(height(box) for box in (*above, *below))


def _without_prose_around(table: Box, boxes: Sequence[Box], ink: Ink) -> Box:
    """Return a table's box without lines of prose at its top and bottom, where no rule parts them from it."""
    rows = text_rows([box for box in boxes if share_inside(box, table) > 0.5])
    if len(rows) < 3:
        return table
    size = statistics.median(height(box) for row in rows for box in row)
    parted = [index for index, row in enumerate(rows) if _is_parted(row, ink, size)]
    columns = [row for row in rows if len(row) > 1]
    if len(parted) < 2 or not columns:
        return table
    left = min(row[0].x1 for row in columns)
    last_column = statistics.median(row[-1].x1 for row in columns)
    rules = [
        (rule.y1 + rule.y2) / 2 for rule in rules_in(ink, table, size).horizontal if width(rule) > 5 * size
    ]

    def is_prose(row: Sequence[Box]) -> bool:
        return row[0].x1 < left + size and row[0].x2 > last_column + size

    top = 0
    above = _line_above(rows[0], boxes, table)
    while top < parted[0] and not any(rule < centre(rows[top][0])[1] for rule in rules):
        before = rows[top - 1][0] if top else above
        if not is_prose(rows[top]) and not _runs_on(before, rows[top][0], rows[top + 1]):
            break
        top += 1
    bottom = len(rows) - 1
    last = bottom
    while last > parted[-1] and not any(rule > centre(rows[last][0])[1] for rule in rules):
        # A paragraph's last line is short, and found with the one above it.
        if not is_prose(rows[last]) and not (last - 1 > parted[-1] and is_prose(rows[last - 1])):
            break
        last -= 1
    y1 = table.y1 if top == 0 else (max(b.y2 for b in rows[top - 1]) + min(b.y1 for b in rows[top])) // 2
    y2 = (
        table.y2
        if last == bottom
        else (max(b.y2 for b in rows[last]) + min(b.y1 for b in rows[last + 1])) // 2
    )
    return table._replace(y1=y1, y2=max(y2, y1 + 1))


def _is_parted(row: Sequence[Box], ink: Ink, size: float) -> bool:
    """Tell whether a row has pieces, or a blank wider than a space."""
    return len(row) > 1 or any(end - start > 1.5 * size for start, end in blank_runs(ink, row[0]))


def _line_above(row: Sequence[Box], boxes: Sequence[Box], table: Box) -> Box | None:
    """Return the line right above a table's first row, where it is not of the table."""
    above = [
        box
        for box in boxes
        if box.y2 <= row[0].y1 + 0.5 * height(row[0])
        and overlap_x(box, row[0]) > 0
        and share_inside(box, table) <= 0.5
    ]
    return max(above, key=lambda box: box.y2, default=None)


def _runs_on(before: Box | None, box: Box, after: Sequence[Box]) -> bool:
    """Tell a paragraph's last line: the one before is longer, as far left, and closer than the next one."""
    if before is None or abs(before.x1 - box.x1) > height(box) or width(before) < width(box):
        return False
    step = centre(box)[1] - centre(before)[1]
    return 0 < step < 0.85 * (centre(after[0])[1] - centre(box)[1])


def _with_columns_beside(table: Box, boxes: Sequence[Box]) -> Box:
    """Return a table's box with columns to its right or left that it was cut off from.

    Those have a short piece on a level with most of its rows, nothing else, and are not far away; prose
    beside a table has lines of its own spacing.
    """
    rows = text_rows([box for box in boxes if share_inside(box, table) > 0.5])
    if len(rows) < 3:
        return table
    size = statistics.median(height(box) for row in rows for box in row)
    levels = [statistics.median(centre(box)[1] for box in row) for row in rows]
    for outside in (
        [box for box in boxes if box.x1 >= table.x2 - size and share_inside(box, table) <= 0.5],
        [box for box in boxes if box.x2 <= table.x1 + size and share_inside(box, table) <= 0.5],
    ):
        beside = [box for box in outside if levels[0] - size < centre(box)[1] < levels[-1] + size]
        if not beside:
            continue
        column = union(beside)
        on_a_level = [
            sum(abs(centre(box)[1] - level) < _ON_A_LEVEL * size for box in beside) == 1 for level in levels
        ]
        apart = max(table.x1, column.x1) - min(table.x2, column.x2)
        if (
            sum(on_a_level) >= 0.6 * len(levels)
            and len(beside) == sum(on_a_level)
            and width(column) < 0.8 * width(table)
            and apart < 0.8 * width(table)
        ):
            table = union([table, column])
    return table
