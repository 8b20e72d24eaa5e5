"""Tables that the layout model took for something else, and captions that it took for part of a table."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2

from deployments.model.embedded.geometry import height, share_inside, union, width
from deployments.model.embedded.ink import Ink, Rules, blank_runs, rules_in
from deployments.model.embedded.lines import TextLine
from deployments.model.embedded.paragraphs import join_lines
from deployments.model.embedded.regions import Region
from deployments.model.embedded.tables import column_borders, text_rows
from deployments.types import Box

_OTHER_INK = (
    0.12  # of a figure's ink that is neither text nor a rule: more, and text in columns is a drawing's
)
_NO_INK = 0.03  # of it: no more, and text of any shape is no drawing's
_WIDE = 0.4  # of a table's width: where half of the pieces are wider, columns hold prose


@dataclass(frozen=True, slots=True)
class Captioned:
    """A table's lines without its caption, and the caption with the box around it, if there was one."""

    lines: tuple[TextLine, ...]
    caption: str = ""
    box: Box | None = None


def with_tables(regions: Sequence[Region], lines: Sequence[TextLine], ink: Ink) -> list[Region]:
    """Return the regions without figures that hold nothing but text: as tables where it stands in columns.

    Args:
        regions: of the layout model.
        lines: of the page.
        ink: of the page.
    """
    found = []
    for region in regions:
        if region.label == "figure":
            inside = [line for line in lines if share_inside(line.box, region.box) > 0.5]
            other = _other_ink(region.box, lines, ink) if inside else 1.0
            if other <= _OTHER_INK and is_columnar(inside):
                found.append(replace(region, label="table"))
                continue
            if other <= _NO_INK:
                continue
        found.append(region)
    return found


def without_prose(regions: Sequence[Region], lines: Sequence[TextLine], ink: Ink) -> list[Region]:
    """Return the regions without those tables that are prose: unruled rows of one line without a wide blank.

    Args:
        regions: of the layout model.
        lines: of the page.
        ink: of the page.
    """
    return [region for region in regions if region.label != "table" or not _is_prose(region.box, lines, ink)]


def is_columnar(lines: Sequence[TextLine]) -> bool:
    """Tell whether lines stand in rows of several short pieces, one below the other."""
    boxes = [line.box for line in lines]
    rows = text_rows(boxes)
    several = [row for row in rows if len(row) > 1]
    if len(several) < 3 or len(several) < 0.6 * len(rows):
        return False
    frame = union(boxes)
    if statistics.median(width(box) for row in several for box in row) > _WIDE * width(frame):
        return False
    pieces = [box for row in several for box in row]
    return len(column_borders(frame, pieces, pieces, Rules())) > 0


def without_caption(
    lines: Sequence[TextLine], read: Callable[[TextLine], str], is_caption: Callable[[str], bool]
) -> Captioned:
    """Part a table's lines from the caption above it.

    The caption's first line stands alone in the table's first row and says that it is one; a line below
    belongs to it if it stands alone, too, and the one before ran as far as the table.

    Args:
        lines: of a table, its caption among them or not; at least one.
        read: reads a line.
        is_caption: tells by its first line whether a text is a table's caption.
    """
    by_box = {line.box: line for line in lines}
    rows = text_rows(list(by_box))
    frame = union(by_box)
    taken: list[Box] = []
    for row in rows:
        if len(row) > 1 or (taken and width(taken[-1]) < 0.85 * width(frame)):
            break
        taken += row
        if len(taken) == 1 and (width(row[0]) < 0.2 * width(frame) or not is_caption(read(by_box[row[0]]))):
            return Captioned(tuple(lines))
    if not taken or len(taken) == len(rows):
        return Captioned(tuple(lines))
    text = join_lines([read(by_box[box]) for box in taken])
    return Captioned(tuple(line for line in lines if line.box not in taken), text, union(taken))


def _is_prose(table: Box, lines: Sequence[TextLine], ink: Ink) -> bool:
    inside = [line for line in lines if share_inside(line.box, table) > 0.5]
    if not inside or any(len(row) > 1 for row in text_rows([line.box for line in inside])):
        return False
    size = statistics.median(line.height for line in inside)
    rules = rules_in(ink, table, size)
    # A letter's stem may pass for a short rule.
    if rules.horizontal or any(height(rule) > 1.5 * size for rule in rules.vertical):
        return False
    return all(end - start <= size for line in inside for start, end in blank_runs(ink, line.box))


def _other_ink(figure: Box, lines: Sequence[TextLine], ink: Ink) -> float:
    """Return which part of a figure's ink is neither a rule nor of a line, be the line only half in it."""
    inside = [line for line in lines if share_inside(line.box, figure) > 0]
    size = statistics.median(line.height for line in inside)
    part = ink[figure.y1 : figure.y2, figure.x1 : figure.x2].copy()
    drawn = cv2.countNonZero(part)
    rules = rules_in(ink, figure, size)
    for box in (*(line.box for line in inside), *rules.horizontal, *rules.vertical):
        top, left = max(0, box.y1 - 2 - figure.y1), max(0, box.x1 - 2 - figure.x1)
        part[top : max(top, box.y2 + 2 - figure.y1), left : max(left, box.x2 + 2 - figure.x1)] = 0
    return cv2.countNonZero(part) / max(drawn, 1)
