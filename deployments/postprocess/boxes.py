"""The model's coordinates, and pixels."""

import re
from collections.abc import Iterable

from deployments.types import Box

_SCALE = 999
"""The model's coordinates run from 0 to 999 over the page's width and height."""

_BRACKETS = re.compile(r"[\[\]]+")
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(?:\.[0-9]{0,9})?")


def to_pixels(corners: Iterable[float], width: int, height: int) -> Box | None:
    """Scale one box from the model's units, as the reference does: the integer part of x / 999 * width.

    What lies outside the page is cut off. A box thinner than a pixel gets one.

    Args:
        corners: x1, y1, x2, y2, 0 to 999.
        width: of the page in pixels, at least 1.
        height: of the page in pixels, at least 1.

    Returns:
        The box, or None where nothing of it lies on the page or its corners are the wrong way round.
    """
    x1, y1, x2, y2 = (min(max(value, 0.0), float(_SCALE)) for value in corners)
    if x1 >= x2 or y1 >= y2:
        return None
    left = min(int(x1 / _SCALE * width), width - 1)
    top = min(int(y1 / _SCALE * height), height - 1)
    right = max(int(x2 / _SCALE * width), left + 1)
    bottom = max(int(y2 / _SCALE * height), top + 1)
    return Box(left, top, right, bottom)


def read(text: str, width: int, height: int, *, truncated: bool = False) -> list[Box]:
    """Read `[[x1, y1, x2, y2], …]`, one bracket level or several, and leave out what is no box.

    Takes time in proportion to the text.

    Args:
        text: what stands between the `det` tags.
        width: of the page in pixels, at least 1.
        height: of the page in pixels, at least 1.
        truncated: whether the text breaks off, so that its last number can't be trusted.
    """
    groups = _BRACKETS.split(text)
    if truncated and groups:
        groups.pop()
    found = []
    for group in groups:
        fields = [field.strip() for field in group.split(",")]
        if len(fields) != 4 or not all(_NUMBER.fullmatch(field) for field in fields):
            continue
        box = to_pixels(map(float, fields), width, height)
        if box is not None:
            found.append(box)
    return found


def hull(boxes: list[Box]) -> Box | None:
    """The smallest box around all; None around nothing."""
    if not boxes:
        return None
    return Box(
        min(box.x1 for box in boxes),
        min(box.y1 for box in boxes),
        max(box.x2 for box in boxes),
        max(box.y2 for box in boxes),
    )
