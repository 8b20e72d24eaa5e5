"""The layout model's regions, made consistent with each other and with the lines found."""

from collections.abc import Sequence
from dataclasses import dataclass

from deployments.model.embedded.geometry import area, height, share_inside, union, width
from deployments.types import Box


@dataclass(frozen=True, slots=True)
class Region:
    """A part of the page.

    Attributes:
        label: of CDLA: text, title, figure, figure_caption, table, table_caption, header, footer,
            reference or equation.
        score: the model's confidence, 0 to 1.
        box: in pixels of the page.
    """

    label: str
    score: float
    box: Box


def tidy_regions(regions: Sequence[Region], lines: Sequence[Box], page: Box) -> list[Region]:
    """Return the regions that can be believed.

    A figure full of lines is a scanned page and no figure; a figure or table inside another is part
    of it; pieces of one table, one above the other, are joined; an equation region that holds whole
    lines of prose is none.

    Args:
        regions: of one page, in any order.
        lines: boxes of the page's text lines.
        page: the page's own box.
    """
    kept: list[Region] = []
    for region in sorted(regions, key=lambda region: (-area(region.box), -region.score)):
        if region.label == "figure" and _is_text(region.box, lines, page):
            continue
        if region.label == "equation" and _holds_prose(region.box, lines):
            continue
        rivals = [other for other in kept if _same_ground(region, other)]
        if region.label in ("figure", "table", "equation") and rivals:
            continue
        kept.append(region)
    return _join_tables(kept, lines)


def text_area(box: Box, lines: Sequence[Box]) -> int:
    """Return how much of a box lines of text cover, in square pixels.

    What the detector takes for a line in a picture's texture is far taller than text, and does not count.
    """
    return sum(
        area(line) for line in lines if share_inside(line, box) > 0.5 and height(line) < 0.25 * height(box)
    )


def _is_text(figure: Box, lines: Sequence[Box], page: Box) -> bool:
    covered = text_area(figure, lines)
    # Text lines cover half of a page's text area and more, but a tenth to a quarter of a diagram; a
    # "figure" of nearly the whole page is the paper in a photo of it.
    if area(figure) > 0.6 * area(page):
        return covered > 0
    return covered > 0.45 * area(figure)


def _holds_prose(equation: Box, lines: Sequence[Box]) -> bool:
    widest = max((width(line) for line in lines), default=0)
    prose = [line for line in lines if share_inside(line, equation) > 0.6 and width(line) > 0.8 * widest]
    return len(prose) >= 2


def _same_ground(region: Region, other: Region) -> bool:
    if other.label not in ("figure", "table", "equation"):
        return False
    return share_inside(region.box, other.box) > 0.6


def _join_tables(regions: Sequence[Region], lines: Sequence[Box]) -> list[Region]:
    tables = sorted(
        (region for region in regions if region.label == "table"), key=lambda region: region.box.y1
    )
    joined: list[Region] = []
    for table in tables:
        above = joined[-1] if joined else None
        if above is not None and _continues(above.box, table.box, lines):
            score = max(above.score, table.score)
            joined[-1] = Region("table", score, union([above.box, table.box]))
        else:
            joined.append(table)
    return [region for region in regions if region.label != "table"] + joined


def _continues(above: Box, below: Box, lines: Sequence[Box]) -> bool:
    """Tell whether a table goes on below: same sides, and at most a subheading between."""
    gap = Box(above.x1, above.y2, above.x2, below.y1)
    same_sides = max(abs(above.x1 - below.x1), abs(above.x2 - below.x2)) < 0.03 * width(above)
    if not same_sides or height(gap) > 0.06 * width(above):
        return False
    between = [line for line in lines if share_inside(line, gap) > 0.4]
    return all(width(line) < 0.4 * width(above) for line in between)
