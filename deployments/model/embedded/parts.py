"""What a page consists of, in reading order, before a word of it is read."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from deployments.model.embedded.geometry import height, overlap_x, overlap_y, share_inside, union, width
from deployments.model.embedded.lines import TextLine
from deployments.model.embedded.reading_order import reading_order
from deployments.model.embedded.regions import Region, tidy_regions
from deployments.model.embedded.rows import Group, Row, groups_of, rows_of, with_likely_labels
from deployments.types import Box

PartKind = Literal["text", "table", "image", "equation", "header", "footer", "aside_text"]


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a page.

    Attributes:
        kind: what it is.
        box: in pixels of the page.
        rows: of text, for all but tables and images.
        lines: found in it, for tables.
        label: what the layout model calls it, for text.
    """

    kind: PartKind
    box: Box
    rows: tuple[Row, ...] = ()
    lines: tuple[TextLine, ...] = ()
    label: str = "text"

    @property
    def height(self) -> float:
        """Median height of its rows in pixels; 0 without rows."""
        return statistics.median(row.height for row in self.rows) if self.rows else 0.0


def parts_of(
    lines: Sequence[TextLine],
    regions: Sequence[Region],
    page: Box,
    is_dotted: Callable[[Box], bool] = lambda gap: False,
    stroke: Callable[[Box], float] = lambda box: 0.0,
) -> list[Part]:
    """Return a page's parts in reading order: running heads first, running feet last.

    Args:
        lines: level lines of the page.
        regions: of the layout model, or none.
        page: the page's own box.
        is_dotted: whether a gap between two lines is filled with a leader.
        stroke: width of the strokes in a box, in pixels.
    """
    known = tidy_regions(regions, [line.box for line in lines], page)
    usual = statistics.median(line.height for line in lines) if lines else 0.0
    asides = [line for line in lines if line.is_vertical and height(line.box) > 4 * usual]
    free = [line for line in lines if all(line is not aside for aside in asides)]
    parts: list[Part] = []
    for region in known:
        if region.label not in ("table", "figure", "equation"):
            continue
        inside = [line for line in free if share_inside(line.box, region.box) > 0.5]
        if region.label == "figure":
            parts.append(Part("image", region.box))
        elif region.label == "table":
            inside = _whole_table(region, inside, free, known)
            if not inside:
                continue
            parts.append(
                Part("table", union([region.box, *(line.box for line in inside)]), lines=tuple(inside))
            )
        elif inside:
            inside += [
                line for line in free if _numbers(line, region.box) and all(line is not i for i in inside)
            ]
            rows = sorted(rows_of(inside, []), key=lambda row: row.box.y1)
            parts.append(Part("equation", union([region.box, *(row.box for row in rows)]), tuple(rows)))
        taken = {id(line) for line in inside}
        free = [line for line in free if id(line) not in taken]
    groups = groups_of(with_likely_labels(rows_of(free, known, is_dotted, stroke)))
    parts += [Part(_place(group, groups, page), group.box, group.rows, label=group.label) for group in groups]
    parts = [parts[index] for index in reading_order([part.box for part in parts])]
    parts += [Part("aside_text", line.box, (Row((line,)),)) for line in asides]
    place = {"header": 0, "footer": 2}
    return sorted(parts, key=lambda part: place.get(part.kind, 1))


def _numbers(line: TextLine, equation: Box) -> bool:
    """Tell the number beside an equation: short, at its height, to its right."""
    beside = (
        overlap_y(line.box, equation) > 0.6 * height(line.box) and line.box.x1 > equation.x2 - line.height
    )
    return beside and width(line.box) < 4 * line.height


def _whole_table(
    region: Region, inside: Sequence[TextLine], free: Sequence[TextLine], regions: Sequence[Region]
) -> list[TextLine]:
    """Return a table's lines with those of its head that the layout model cut off; none if it is no table."""
    lines = list(inside)
    if len(lines) < 3:
        return []
    size = statistics.median(line.height for line in lines)
    while True:
        box = union([region.box, *(line.box for line in lines)])
        held = {id(line) for line in lines}
        more = [
            line
            for line in free
            if id(line) not in held
            and width(line.box) < 0.5 * width(box)
            and overlap_x(line.box, box) > 0.8 * width(line.box)
            and (share_inside(line.box, box) > 0.5 or -0.5 * size < box.y1 - line.box.y2 < 0.8 * size)
            and not any(_describes(other, line) for other in regions if not _is_within(other, box))
            and not any(_runs_on(other, line, box) for other in free)
        ]
        if not more:
            return lines
        lines += more


def _runs_on(above: TextLine, line: TextLine, table: Box) -> bool:
    """Tell the short last line of a caption or paragraph over a table by the long line right above it."""
    gap = line.box.y1 - above.box.y2
    return (
        line.box.y2 <= table.y1 + 0.5 * line.height
        and -0.5 * line.height < gap < 0.8 * line.height
        and abs(line.box.x1 - above.box.x1) < line.height
        and width(above.box) > 0.5 * width(table)
    )


def _is_within(region: Region, table: Box) -> bool:
    """Tell a region that is a piece of a table, such as a column of digits taken for text."""
    return region.label in ("text", "title", "reference") and share_inside(region.box, table) > 0.8


def _describes(region: Region, line: TextLine) -> bool:
    return region.label not in ("table", "equation") and share_inside(line.box, region.box) > 0.5


def _place(group: Group, groups: Sequence[Group], page: Box) -> PartKind:
    """Tell running heads and feet: few rows, and labelled so or apart from the rest at the page's edge."""
    others = [other for other in groups if other is not group]
    if len(group.rows) > 3 or sum(len(other.rows) for other in others) < 4:
        return "text"
    box, size = group.box, group.height
    middle = (box.y1 + box.y2) / 2
    # The gaps to what stands above and below; pieces of the same row do not count.
    above = [box.y1 - o.box.y2 for o in others if (o.box.y1 + o.box.y2) / 2 < middle - size]
    below = [o.box.y1 - box.y2 for o in others if (o.box.y1 + o.box.y2) / 2 > middle + size]
    usual = statistics.median(other.height for other in others)
    alone = group.label != "title" and len(group.rows) == 1 and size <= 1.3 * usual
    at_top = alone and box.y2 < 0.08 * page.y2 and not above and min(below, default=size + 1) > size
    at_bottom = alone and box.y1 > 0.92 * page.y2 and not below and min(above, default=size + 1) > size
    if at_top or (group.label == "header" and box.y2 < 0.2 * page.y2 and size <= 1.3 * usual):
        return "header"
    if at_bottom or (group.label == "footer" and (box.y1 > 0.8 * page.y2 or not below)):
        return "footer"
    return "text"
