"""What a page consists of, in reading order, before a word of it is read."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from deployments.model.embedded.geometry import (
    height,
    overlap_x,
    share_inside,
    union,
    width,
)
from deployments.model.embedded.lines import TextLine
from deployments.model.embedded.reading_order import reading_order
from deployments.model.embedded.regions import Region, tidy_regions
from deployments.model.embedded.rows import Group, Row, groups_of, rows_of
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
    lines: tuple[TextLine, ...] = field(default=())
    label: str = "text"

    @property
    def height(self) -> float:
        """Median height of its rows in pixels; 0 without rows."""
        return statistics.median(row.height for row in self.rows) if self.rows else 0.0


def parts_of(lines: Sequence[TextLine], regions: Sequence[Region], page: Box) -> list[Part]:
    """Return a page's parts in reading order: running heads first, running feet last.

    Args:
        lines: level lines of the page.
        regions: of the layout model, or none.
        page: the page's own box.
    """
    known = tidy_regions(regions, [line.box for line in lines], page)
    upright = [line for line in lines if not _runs_upwards(line, lines)]
    body, held = _held(upright, known)
    tables = [
        _table(region, held[index], body) for index, region in enumerate(known) if region.label == "table"
    ]
    in_tables = {id(line) for table in tables for line in table.lines}
    free = [line for line in body if id(line) not in in_tables]
    free += [
        line
        for index, region in enumerate(known)
        if region.label == "table"
        for line in held[index]
        if id(line) not in in_tables
    ]
    parts = [table for table in tables if table.lines]
    parts += [Part("image", region.box) for region in known if region.label == "figure"]
    parts += [
        Part(
            "equation",
            union([region.box, *(line.box for line in held[index])]),
            tuple(rows_of(held[index], [])),
        )
        for index, region in enumerate(known)
        if region.label == "equation"
    ]
    groups = groups_of(rows_of(free, known))
    parts += [_text_part(group, groups, page) for group in groups]
    parts = [parts[index] for index in reading_order([part.box for part in parts])]
    parts += [Part("aside_text", line.box, (Row((line,)),)) for line in lines if _runs_upwards(line, lines)]
    place = {"header": 0, "footer": 2}
    return sorted(parts, key=lambda part: place.get(part.kind, 1))


def _runs_upwards(line: TextLine, lines: Sequence[TextLine]) -> bool:
    """Tell a line in the margin that runs up the page from a narrow letter."""
    usual = statistics.median(other.height for other in lines)
    return line.is_vertical and height(line.box) > 4 * usual


def _held(
    lines: Sequence[TextLine], regions: Sequence[Region]
) -> tuple[list[TextLine], dict[int, list[TextLine]]]:
    """Deal lines out to tables, figures and equations; return what remains, and theirs by region."""
    held: dict[int, list[TextLine]] = {index: [] for index in range(len(regions))}
    free = []
    for line in lines:
        best, best_share = -1, 0.5
        for index, region in enumerate(regions):
            if region.label not in ("table", "figure", "equation"):
                continue
            share = share_inside(line.box, region.box)
            if share > best_share:
                best, best_share = index, share
        if best < 0:
            free.append(line)
        else:
            held[best].append(line)
    return free, held


def _table(region: Region, inside: Sequence[TextLine], body: Sequence[TextLine]) -> Part:
    """Make a table, with the rows of its head that the layout model cut off."""
    lines = list(inside)
    if len({round(line.box.y1) for line in lines}) < 2:
        return Part("table", region.box)
    size = statistics.median(line.height for line in lines)
    box = union([region.box, *(line.box for line in lines)])
    while True:
        above = [
            line
            for line in body
            if all(line is not other for other in lines)
            and -0.5 * size < box.y1 - line.box.y2 < 0.8 * size
            and overlap_x(line.box, box) > 0.8 * width(line.box)
            and width(line.box) < 0.5 * width(box)
        ]
        if len(above) < 2:
            return Part("table", box, lines=tuple(lines))
        lines += above
        box = union([box, *(line.box for line in above)])


def _text_part(group: Group, groups: Sequence[Group], page: Box) -> Part:
    return Part(_place(group, groups, page), group.box, group.rows, label=group.label)


def _place(group: Group, groups: Sequence[Group], page: Box) -> PartKind:
    """Tell running heads and feet: near the edge, short, and apart from what follows."""
    box, size = group.box, group.height
    label = group.label
    if len(group.rows) > 3:
        return "text"
    others = [other for other in groups if other is not group]
    rows = sum(len(other.rows) for other in others)
    if label == "header" and box.y2 < 0.2 * page.y2 and rows > 3:
        return "header"
    if label == "footer" and box.y1 > 0.8 * page.y2 and rows > 3:
        return "footer"
    if label == "title" or rows < 8 or len(group.rows) > 1:
        return "text"
    usual = statistics.median(other.height for other in others)
    if size > 1.3 * usual:
        return "text"
    below = [
        other.box.y1 - box.y2 for other in others if other.box.y1 + other.box.y2 > box.y1 + box.y2 + 2 * size
    ]
    above = [
        box.y1 - other.box.y2 for other in others if other.box.y1 + other.box.y2 < box.y1 + box.y2 - 2 * size
    ]
    if box.y2 < 0.08 * page.y2 and not above and (not below or min(below) > size):
        return "header"
    if box.y1 > 0.92 * page.y2 and not below and (not above or min(above) > size):
        return "footer"
    return "text"
