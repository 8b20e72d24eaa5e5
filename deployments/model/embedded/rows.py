"""Pieces of text into rows, rows into groups that are read on: one column of one kind of text."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from deployments.model.embedded.geometry import height, overlap_x, overlap_y, share_inside, union, width
from deployments.model.embedded.lines import TextLine
from deployments.model.embedded.regions import Region
from deployments.types import Box

_TEXT_LABELS = ("title", "text", "reference", "figure_caption", "table_caption", "header", "footer")
_NEUTRAL = "text"
_GENERIC = ("text", "reference")  # labels that say no more than "running text"


@dataclass(frozen=True)
class Row:
    """Pieces that stand side by side and are read as one line, left to right."""

    pieces: tuple[TextLine, ...]
    label: str = _NEUTRAL

    @cached_property
    def box(self) -> Box:
        """The box around its pieces."""
        return union(piece.box for piece in self.pieces)

    @cached_property
    def height(self) -> float:
        """Height of its tallest piece in pixels."""
        return max(piece.height for piece in self.pieces)


@dataclass(frozen=True)
class Group:
    """Rows that follow each other, in order."""

    rows: tuple[Row, ...]

    @cached_property
    def box(self) -> Box:
        """The box around its rows."""
        return union(row.box for row in self.rows)

    @property
    def label(self) -> str:
        """The layout label that most of its rows carry."""
        return statistics.mode(row.label for row in self.rows)

    @cached_property
    def height(self) -> float:
        """Median height of its rows in pixels."""
        return statistics.median(row.height for row in self.rows)


def rows_of(lines: Sequence[TextLine], regions: Sequence[Region]) -> list[Row]:
    """Join pieces that one line was found in, but not across the gutter between two columns.

    Args:
        lines: level lines outside tables and figures.
        regions: of the page, for the rows' labels.
    """
    right_of: dict[int, int] = {}
    taken: set[int] = set()
    order = sorted(range(len(lines)), key=lambda index: lines[index].box.x1)
    for left in order:
        right = _neighbour(left, order, lines)
        if right is not None and right not in taken and _joins(lines[left], lines[right], lines):
            right_of[left] = right
            taken.add(right)
    rows = []
    for index in order:
        if index in taken:
            continue
        pieces = [lines[index]]
        while index in right_of:
            index = right_of[index]
            pieces.append(lines[index])
        rows.append(Row(tuple(pieces)))
    return [Row(row.pieces, _label(row.box, regions)) for row in rows]


def groups_of(rows: Sequence[Row]) -> list[Group]:
    """Join rows that follow each other in one column with even spacing, in one size and of one label.

    Args:
        rows: of one page, in any order.
    """
    ordered = sorted(rows, key=lambda row: (row.box.y1, row.box.x1))
    followers = {index: _followers(index, ordered) for index in range(len(ordered))}
    leaders: dict[int, list[int]] = {}
    for index, found in followers.items():
        for follower in found:
            leaders.setdefault(follower, []).append(index)
    leading = _usual_leading(ordered, followers, leaders)
    next_of = {
        index: found[0]
        for index, found in followers.items()
        if len(found) == 1
        and len(leaders[found[0]]) == 1
        and _continues(ordered[index], ordered[found[0]], leading)
    }
    inner = set(next_of.values())
    groups = []
    for index in range(len(ordered)):
        if index in inner:
            continue
        chain = [ordered[index]]
        while index in next_of:
            index = next_of[index]
            chain.append(ordered[index])
        groups.append(Group(tuple(chain)))
    return groups


def _neighbour(left: int, order: Sequence[int], lines: Sequence[TextLine]) -> int | None:
    box = lines[left].box
    best: int | None = None
    for index in order:
        other = lines[index].box
        if index == left or other.x1 + width(other) / 2 <= box.x1 + width(box) / 2:
            continue
        if overlap_y(box, other) < 0.5 * min(height(box), height(other)):
            continue
        if best is None or other.x1 < lines[best].box.x1:
            best = index
    return best


def _joins(left: TextLine, right: TextLine, lines: Sequence[TextLine]) -> bool:
    gap = right.box.x1 - left.box.x2
    size = min(left.height, right.height)
    if gap < -2 * size or gap > 2.5 * size or max(left.height, right.height) > 2 * size:
        return False
    middle = (left.box.x2 + right.box.x1) / 2
    nearest = [_nearest(left.box, right.box, lines, upwards) for upwards in (True, False)]
    known = [found for found in nearest if found]
    if not known:
        return gap <= 1.5 * size
    return any(any(box.x1 + 2 < middle < box.x2 - 2 for box in found) for found in known)


def _nearest(left: Box, right: Box, lines: Sequence[TextLine], upwards: bool) -> list[Box]:
    """Return the boxes of the row just above or below two pieces, where one stands close."""
    both = union([left, right])
    reach = 2.0 * height(both)
    found = []
    for line in lines:
        box = line.box
        distance = both.y1 - box.y2 if upwards else box.y1 - both.y2
        if (
            -0.4 * height(box) <= distance <= reach
            and overlap_x(both, box) > 0
            and height(box) < 2 * height(both)
        ):
            found.append((distance, box))
    if not found:
        return []
    closest = min(distance for distance, _ in found)
    return [box for distance, box in found if distance <= closest + 0.5 * height(both)]


def _label(box: Box, regions: Sequence[Region]) -> str:
    best, best_share = _NEUTRAL, 0.5
    for region in regions:
        if region.label not in _TEXT_LABELS:
            continue
        share = share_inside(box, region.box)
        if region.label == "title" and overlap_y(box, region.box) > 0.6 * max(
            height(box), height(region.box)
        ):
            # Title regions often end short of a title's first or last word.
            share = max(share, 0.6 if overlap_x(box, region.box) > 0.3 * width(box) else 0)
        specific = share > 0.5 and best in _GENERIC and region.label not in _GENERIC
        if share > best_share or specific:
            best, best_share = region.label, share
    return best


def _followers(index: int, rows: Sequence[Row]) -> list[int]:
    """Return the rows next below one, those that no nearer row hides."""
    box = rows[index].box
    found: list[int] = []
    for other in range(index + 1, len(rows)):
        below = rows[other].box
        if below.y1 + below.y2 <= box.y1 + box.y2 or overlap_x(box, below) < 0.2 * min(
            width(box), width(below)
        ):
            continue
        if below.y1 - box.y2 > 2.0 * rows[index].height:
            continue
        hidden = any(
            overlap_x(rows[near].box, below) > 0 and rows[near].box.y2 <= below.y1 + 0.5 * rows[near].height
            for near in found
        )
        if not hidden:
            found.append(other)
    return found


def _usual_leading(
    rows: Sequence[Row], followers: dict[int, list[int]], leaders: dict[int, list[int]]
) -> float:
    """Return the usual distance from row to row, in row heights."""
    leadings = [
        _leading(rows[index], rows[found[0]])
        for index, found in followers.items()
        if len(found) == 1 and len(leaders[found[0]]) == 1
    ]
    return statistics.median(leadings) if leadings else 1.2


def _leading(upper: Row, lower: Row) -> float:
    distance = (lower.box.y1 + lower.box.y2 - upper.box.y1 - upper.box.y2) / 2
    return distance / max(1.0, (upper.height + lower.height) / 2)


def _continues(upper: Row, lower: Row, leading: float) -> bool:
    labels = {upper.label, lower.label}
    if len(labels) > 1 and not labels <= set(_GENERIC):
        return False
    sizes = sorted((upper.height, lower.height))
    if sizes[0] < 0.7 * sizes[1]:
        return False
    return _leading(upper, lower) <= min(2.6, max(1.3, 1.35 * leading))
