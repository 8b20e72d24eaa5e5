"""Arithmetic on boxes."""

from collections.abc import Iterable

from deployments.types import Box


def width(box: Box) -> int:
    """Return a box's width in pixels."""
    return box.x2 - box.x1


def height(box: Box) -> int:
    """Return a box's height in pixels."""
    return box.y2 - box.y1


def area(box: Box) -> int:
    """Return a box's area in square pixels."""
    return max(0, width(box)) * max(0, height(box))


def union(boxes: Iterable[Box]) -> Box:
    """Return the smallest box around all of them; there must be at least one."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def overlap_x(a: Box, b: Box) -> int:
    """Return how many pixels two boxes share horizontally; negative is the gap between them."""
    return min(a.x2, b.x2) - max(a.x1, b.x1)


def overlap_y(a: Box, b: Box) -> int:
    """Return how many pixels two boxes share vertically; negative is the gap between them."""
    return min(a.y2, b.y2) - max(a.y1, b.y1)


def share_inside(inner: Box, outer: Box) -> float:
    """Return the part of `inner`'s area that lies in `outer`, 0 to 1."""
    shared = max(0, overlap_x(inner, outer)) * max(0, overlap_y(inner, outer))
    return shared / area(inner) if area(inner) else 0.0


def centre(box: Box) -> tuple[float, float]:
    """Return a box's middle as (x, y)."""
    return (box.x1 + box.x2) / 2, (box.y1 + box.y2) / 2


def contains(box: Box, x: float, y: float) -> bool:
    """Tell whether a point lies in a box."""
    return box.x1 <= x <= box.x2 and box.y1 <= y <= box.y2
