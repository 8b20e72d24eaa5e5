"""Pieces of text into rows, rows into groups that are read on: one column of one kind of text."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from deployments.model.embedded.geometry import height, overlap_x, overlap_y, share_inside, union, width
from deployments.model.embedded.lines import TextLine
from deployments.model.embedded.regions import Region
from deployments.types import Box

_TEXT_LABELS = ("title", "text", "reference", "figure_caption", "table_caption", "header", "footer")
_NEUTRAL = "text"
_NARROW = ("title", "header", "footer")  # their regions often end short of the first or last word
_GENERIC = ("text", "reference")  # labels that say no more than "running text"


@dataclass(frozen=True)
class Row:
    """Pieces that stand side by side and are read as one line, left to right.

    Attributes:
        pieces: left to right.
        label: what the layout model calls the text.
        is_entry: whether it is a line of a table of contents, its page number last.
        weight: width of its strokes as a part of its height; 0 where not known.
    """

    pieces: tuple[TextLine, ...]
    label: str = _NEUTRAL
    is_entry: bool = False
    weight: float = 0.0

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


def rows_of(
    lines: Sequence[TextLine],
    regions: Sequence[Region],
    is_dotted: Callable[[Box], bool] = lambda gap: False,
    stroke: Callable[[Box], float] = lambda box: 0.0,
) -> list[Row]:
    """Join pieces that one line was found in, but not across the gutter between two columns.

    Args:
        lines: level lines outside tables and figures.
        regions: of the page, for the rows' labels.
        is_dotted: whether a gap is filled with a leader, as in a table of contents.
        stroke: width of the strokes in a box, in pixels.
    """
    right_of: dict[int, int] = {}
    taken: set[int] = set()
    ends: list[int] = []
    order = sorted(range(len(lines)), key=lambda index: lines[index].box.x1)
    beside = {left: right for left in order if (right := _neighbour(left, order, lines)) is not None}
    for left, right in beside.items():
        if right in taken:
            continue
        gap = _between(lines[left].box, lines[right].box)
        led = not _is_crossed(gap, lines) and is_dotted(gap)
        if led:
            ends.append(lines[right].box.x2)
        if led or _joins(lines[left], lines[right], lines):
            right_of[left] = right
            taken.add(right)
    if len(ends) > 2:
        # A table of contents: its chapters have no leader, but their page numbers stand in the same place.
        edge = statistics.median(ends)
        for left, right in beside.items():
            number = lines[right]
            in_place = abs(number.box.x2 - edge) < number.height and width(number.box) < 3 * number.height
            if in_place and left not in right_of and right not in taken:
                right_of[left] = right
                taken.add(right)
    rows = []
    for index in order:
        if index in taken:
            continue
        pieces = tuple(lines[member] for member in _chain(index, right_of))
        label = _label(union(piece.box for piece in pieces), regions)
        if label == _NEUTRAL:
            label = _label(max(pieces, key=lambda piece: width(piece.box)).box, regions)
        is_entry = len(pieces) > 1 and len(ends) > 2 and pieces[-1].box.x2 > min(ends) - pieces[-1].height
        box = union(piece.box for piece in pieces)
        rows.append(Row(pieces, label, is_entry, stroke(box) / height(box)))
    return rows


def with_likely_labels(rows: Sequence[Row]) -> list[Row]:
    """Return the rows, those that can't be what the layout model calls them labelled as the text above them.

    A running head does not stand right below text, and the last line of a paragraph or caption is part of it.

    Args:
        rows: of one page, in any order.
    """
    found = []
    for row in rows:
        above = [
            other
            for other in rows
            if _rise(row.box, other.box) > 0.5 * row.height
            and row.box.y1 - other.box.y2 <= row.height
            and overlap_x(row.box, other.box) > 0
        ]
        upper = max(above, key=lambda other: other.box.y2, default=None)
        belongs = upper is not None and (
            (row.label == "header" and upper.label in _GENERIC)
            or (upper.label not in _NARROW and _runs_on(upper, row))
        )
        found.append(replace(row, label=upper.label) if upper is not None and belongs else row)
    return found


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
    return [
        Group(tuple(ordered[member] for member in _chain(index, next_of)))
        for index in range(len(ordered))
        if index not in inner
    ]


def _chain(start: int, next_of: dict[int, int]) -> list[int]:
    """Follow the links from one index to the last."""
    chain = [start]
    while chain[-1] in next_of:
        chain.append(next_of[chain[-1]])
    return chain


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


def _between(left: Box, right: Box) -> Box:
    return Box(left.x2, min(left.y1, right.y1), max(left.x2, right.x1), max(left.y2, right.y2))


def _is_crossed(gap: Box, lines: Sequence[TextLine]) -> bool:
    """Tell whether other text stands in a gap, if only its edge: the tops of letters look like dots."""
    return any(
        overlap_x(line.box, gap) > line.height
        and overlap_y(line.box, gap) > 0.1 * line.height
        and height(line.box) > 0.5 * height(gap)
        and line.box.x1 > gap.x1 - line.height
        and line.box.x2 < gap.x2 + line.height
        for line in lines
    )


def _joins(left: TextLine, right: TextLine, lines: Sequence[TextLine]) -> bool:
    gap = right.box.x1 - left.box.x2
    size = min(left.height, right.height)
    if gap < -2 * size or gap > 2.5 * size or max(left.height, right.height) > 2 * size:
        return False
    nearest = [_nearest(left.box, right.box, lines, upwards) for upwards in (True, False)]
    known = [found for found in nearest if found]
    if not known:
        return gap <= 1.5 * size
    return any(any(box.x1 < left.box.x2 and box.x2 > right.box.x1 for box in found) for found in known)


def _nearest(left: Box, right: Box, lines: Sequence[TextLine], upwards: bool) -> list[Box]:
    """Return the boxes of the row just above or below two pieces, where one stands close."""
    both = union([left, right])
    size = min(height(left), height(right))
    found = []
    for line in lines:
        box = line.box
        rise = (both.y1 + both.y2 - box.y1 - box.y2) / 2
        distance = rise if upwards else -rise
        # Detected boxes of neighbouring rows overlap, so rows are told apart by their middles.
        if 0.5 * size < distance < 2.2 * height(both) and overlap_x(both, box) > 0 and height(box) < 2 * size:
            found.append((distance, box))
    closest = min((distance for distance, _ in found), default=0.0)
    return [box for distance, box in found if distance <= closest + 0.5 * size]


def _label(box: Box, regions: Sequence[Region]) -> str:
    best, best_share = _NEUTRAL, 0.5
    for region in regions:
        if region.label not in _TEXT_LABELS:
            continue
        share = share_inside(box, region.box)
        level = overlap_y(box, region.box) > 0.6 * max(height(box), height(region.box))
        if region.label in _NARROW and level and overlap_x(box, region.box) > 0.3 * width(box):
            share = max(share, 0.6)
        specific = share > 0.5 and best in _GENERIC and region.label not in _GENERIC
        if share > best_share or specific:
            best, best_share = region.label, share
    return best


def _followers(index: int, rows: Sequence[Row]) -> list[int]:
    """Return the row next below one, or the rows if several stand side by side there."""
    box, size = rows[index].box, rows[index].height
    below = [
        other
        for other in range(len(rows))
        if _rise(rows[other].box, box) > 0.5 * min(size, rows[other].height)
        and rows[other].box.y1 - box.y2 <= 2.0 * size
        and overlap_x(box, rows[other].box) >= 0.2 * min(width(box), width(rows[other].box))
    ]
    if not below:
        return []
    nearest = min(below, key=lambda other: _rise(rows[other].box, box))
    beside = 0.5 * rows[nearest].height
    return [other for other in below if _rise(rows[other].box, rows[nearest].box) < beside]


def _rise(lower: Box, upper: Box) -> float:
    """Return how far the middle of one box lies below that of another."""
    return (lower.y1 + lower.y2 - upper.y1 - upper.y2) / 2


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
    return _rise(lower.box, upper.box) / max(1.0, (upper.height + lower.height) / 2)


def _runs_on(upper: Row, lower: Row) -> bool:
    """Tell a paragraph's last line by the one above it: as heavy, as far left, close and longer.

    A last line without tall letters is found a quarter lower than others.
    """
    sizes = sorted((upper.height, lower.height))
    return (
        abs(upper.box.x1 - lower.box.x1) < lower.height
        and width(lower.box) < 0.7 * width(upper.box)
        and sizes[1] < 1.4 * sizes[0]
        and lower.weight * lower.height <= 1.15 * upper.weight * upper.height
        and _leading(upper, lower) < 1.5
    )


def _continues(upper: Row, lower: Row, leading: float) -> bool:
    labels = {upper.label, lower.label}
    if len(labels) > 1 and not labels <= set(_GENERIC):
        return False
    sizes = sorted((upper.height, lower.height))
    if sizes[0] < 0.7 * sizes[1]:
        return False
    shorter = width(upper.box) < 0.9 * width(lower.box)
    if lower.weight and upper.weight > 1.3 * lower.weight and shorter:
        return False  # a heading set in bold, as close to its text as lines are
    return _leading(upper, lower) <= min(2.6, max(1.3, 1.35 * leading))
