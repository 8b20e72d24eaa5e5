"""Whether headings are known for headings, and boxes stand where the blocks do."""

import re
from collections.abc import Sequence

from rapidfuzz import fuzz

from benchmarks.reading.normal_text import folded
from deployments.types import Box

_HEADING = re.compile(r"^#{1,6}[ \t]+(.+?)[ \t]*#*$", re.MULTILINE)
_ALIKE = 85  # per cent of likeness at which two headings are the same but for misread letters


def headings_in(markdown: str) -> list[str]:
    """Return the texts of Markdown's headings, folded."""
    return [folded(text) for text in _HEADING.findall(markdown)]


def count_headings(truth: Sequence[str], found: Sequence[str]) -> tuple[int, int, int]:
    """Return how many true headings were found, how many there are, and how many were written.

    Levels don't count; each heading found stands for one true heading.
    """
    left = list(found)
    right = 0
    for heading in truth:
        best = max(left, key=lambda other: fuzz.ratio(heading, other), default=None)
        if best is not None and fuzz.ratio(heading, best) >= _ALIKE:
            left.remove(best)
            right += 1
    return right, len(truth), len(found)


def overlap(a: Box, b: Box) -> float:
    """Return the area that two boxes share over the area that they cover together, 0 to 1."""
    wide, tall = min(a.x2, b.x2) - max(a.x1, b.x1), min(a.y2, b.y2) - max(a.y1, b.y1)
    if wide <= 0 or tall <= 0:
        return 0.0
    shared = wide * tall
    both = (a.x2 - a.x1) * (a.y2 - a.y1) + (b.x2 - b.x1) * (b.y2 - b.y1) - shared
    return shared / both


def best_overlaps(truth: Sequence[Box], found: Sequence[Box]) -> list[float]:
    """Return for each true box the best overlap with one that was found."""
    return [max((overlap(box, other) for other in found), default=0.0) for box in truth]
