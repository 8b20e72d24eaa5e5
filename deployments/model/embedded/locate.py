"""Finding a text among the lines of a page."""

import difflib
from collections.abc import Sequence

from deployments.model.embedded.geometry import width
from deployments.model.embedded.lines import Reading
from deployments.types import Box

_ALIKE = 0.75  # least likeness of a line that is taken where none has the text as it stands


def find_text(wanted: str, readings: Sequence[tuple[Box, Reading]]) -> list[Box]:
    """Return where a text stands, letter case and spaces aside: each place, or else the likest line.

    Args:
        wanted: the text.
        readings: the page's lines.
    """
    key = _key(wanted)
    if not key:
        return []
    exact = []
    for box, reading in readings:
        kept = [index for index, character in enumerate(reading.text) if not character.isspace()]
        start = _key(reading.text).find(key)
        if start >= 0 and start + len(key) <= len(kept):
            exact.append(_part(box, reading, kept[start], kept[start + len(key) - 1]))
    if exact:
        return exact
    likeness = [
        (difflib.SequenceMatcher(None, key, _key(reading.text), autojunk=False).ratio(), box)
        for box, reading in readings
        if reading.text
    ]
    ratio, box = max(likeness, default=(0.0, Box(0, 0, 1, 1)))
    return [box] if ratio >= _ALIKE else []


def _key(text: str) -> str:
    return "".join(text.split()).lower()


def _part(box: Box, reading: Reading, first: int, last: int) -> Box:
    """Return the part of a line's box from one character to another."""
    if len(reading.places) != len(reading.text) or (first == 0 and last == len(reading.text) - 1):
        return box
    half = 0.5 / max(1, len(reading.text))
    left = box.x1 + max(0.0, reading.places[first] - half) * width(box)
    right = box.x1 + min(1.0, reading.places[last] + half) * width(box)
    return Box(round(left), box.y1, max(round(right), round(left) + 1), box.y2)
