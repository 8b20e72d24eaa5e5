"""Which text is a heading, and of what level."""

import re
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
        weight: width of a stroke as a part of the row's height; 0 where not known.
        width: of a full row in pixels.
    """

    height: float
    weight: float
    width: float


def body_of(parts: Sequence[Part]) -> Body:
    """Return the look of the page's body text: that of most of its rows, by their length."""
    rows = [row for part in parts if part.kind == "text" for row in part.rows]
    if not rows:
        return Body(0.0, 0.0, 0.0)
    lengths = sorted(width(row.box) for row in rows)
    return Body(
        _middle([(row.height, width(row.box)) for row in rows]),
        _middle([(row.weight, width(row.box)) for row in rows]),
        lengths[len(lengths) * 9 // 10],
    )


def is_heading(part: Part, body: Body) -> bool:
    """Tell whether a part looks like a heading: by its label, its size, or its weight on a line alone."""
    if part.kind != "text" or len(part.rows) > 3 or part.label.endswith("caption"):
        return False
    if part.label == "title" or part.height >= 1.3 * body.height:
        return True
    row = part.rows[0]
    # A word without tall letters stands in a lower box, of which its strokes are a larger part.
    heavier = row.weight * row.height > 1.15 * body.weight * body.height
    bold = body.weight > 0 and heavier and row.weight > 1.3 * body.weight
    return bold and len(part.rows) == 1 and width(part.box) < 0.8 * body.width


def _middle(weighted: Sequence[tuple[float, int]]) -> float:
    """Return the weighted median of (value, weight) pairs; at least one."""
    ordered = sorted(weighted)
    half, run = sum(weight for _, weight in ordered) / 2, 0
    for value, weight in ordered:
        run += weight
        if run >= half:
            return value
    return ordered[-1][0]


def may_be_heading(text: str) -> bool:
    """Tell whether what was read can be a heading at all: it has letters, is short, and is no sentence."""
    end = text.rstrip()[-1:]
    sentence = end in (",", ";") or (end == "." and len(text) > 40)
    return _LETTERS.search(text) is not None and len(text) <= 200 and not sentence and " ... " not in text


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
    """Return the heading that is the page's title, if one is.

    It stands in the upper half, well above body size; one that is labelled a title goes before the tallest.
    """
    upper = [part for part in headings if part.box.y1 < 0.5 * page.y2]
    tall = [part for part in upper if part.height >= (1.2 if part.label == "title" else 1.3) * body.height]
    return max(tall, key=lambda part: (part.label == "title", part.height, -part.box.y1), default=None)
