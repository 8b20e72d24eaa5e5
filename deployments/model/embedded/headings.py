"""Which text is a heading, and of what level."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from deployments.model.embedded.geometry import width
from deployments.model.embedded.parts import Part
from deployments.types import Box

_NUMBER = re.compile(r"^\s*(\d{1,2}(?:\.\d{1,2})*)\.?\s+\S")
_LETTERS = re.compile(r"[^\W\d_]{2,}|[\u3400-\u9fff]")


@dataclass(frozen=True, slots=True)
class Body:
    """What a page's running text looks like.

    Attributes:
        height: of a row in pixels.
        stroke: width of a stroke as a part of the row's height; 0 where not known.
        width: of a full row in pixels.
    """

    height: float
    stroke: float
    width: float


def body_of(parts: Sequence[Part], strokes: Sequence[float]) -> Body:
    """Return the page's body text: what most of its width of rows looks like.

    Args:
        parts: of the page.
        strokes: width of strokes as a part of the row's height, of some rows of the page.
    """
    rows = [row for part in parts if part.kind == "text" for row in part.rows]
    if not rows:
        return Body(0.0, 0.0, 0.0)
    sized = sorted((row.height, width(row.box)) for row in rows)
    half, run = sum(wide for _, wide in sized) / 2, 0
    tall = sized[-1][0]
    for size, wide in sized:
        run += wide
        if run >= half:
            tall = size
            break
    wides = sorted(width(row.box) for row in rows)
    return Body(tall, statistics.median(strokes) if strokes else 0.0, wides[len(wides) * 9 // 10])


def is_heading(part: Part, body: Body, stroke: float) -> bool:
    """Tell whether a part looks like a heading: by its label, its size, or its weight on a line alone.

    Args:
        part: of text.
        body: of the page.
        stroke: width of its strokes as a part of its height; 0 where not known.
    """
    if part.kind != "text" or len(part.rows) > 4:
        return False
    if part.label == "title":
        return len(part.rows) <= 3 or part.height > 1.2 * body.height
    if part.label.endswith("caption"):
        return False
    if part.height >= 1.3 * body.height and len(part.rows) <= 3:
        return True
    bold = body.stroke > 0 and stroke > 1.3 * body.stroke
    return bold and len(part.rows) == 1 and width(part.box) < 0.8 * body.width


def may_be_heading(text: str) -> bool:
    """Tell whether what was read can be a heading at all: it has letters, is short, and is not cut off."""
    return _LETTERS.search(text) is not None and len(text) <= 200 and not text.rstrip().endswith((",", ";"))


def is_capitals(text: str) -> bool:
    """Tell whether a line is set in capitals throughout, and long enough for that to mean something."""
    letters = [character for character in text if character.isalpha()]
    return len(letters) >= 6 and text.isupper()


def is_numbered(text: str) -> bool:
    """Tell whether a heading starts with its section's number."""
    return _NUMBER.match(text) is not None


def depth_of(text: str) -> int:
    """Return how deep a heading lies below the title, 1 to 5, by its number: `3` is 1, `3.2` is 2."""
    number = _NUMBER.match(text)
    return min(5, number.group(1).count(".") + 1) if number else 1


def title_of(headings: Sequence[Part], body: Body, page: Box) -> Part | None:
    """Return the heading that is the page's title: the tallest in its upper half, well above body size."""
    upper = [part for part in headings if part.box.y1 < 0.5 * page.y2 and part.height >= 1.25 * body.height]
    return max(upper, key=lambda part: (part.height, -part.box.y1), default=None)
