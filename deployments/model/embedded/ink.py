"""What is drawn on a page: dark on light, whatever the paper's shade."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from deployments.model.embedded.geometry import height, width
from deployments.types import Box, Pixels

Ink = npt.NDArray[np.uint8]
"""A mask of the page, shape (height, width): 255 where something is drawn, else 0."""

_NEIGHBOURHOOD = 31  # pixels; wider than a stroke, narrower than a shaded cell
_CONTRAST = 12  # grey levels that ink is darker than its neighbourhood
_THICKEST_RULE = 6  # pixels


@dataclass(frozen=True, slots=True)
class Rules:
    """Straight lines of a table, as thin boxes."""

    horizontal: tuple[Box, ...] = ()
    vertical: tuple[Box, ...] = ()


def ink_of(image: Pixels) -> Ink:
    """Return the page's ink.

    Args:
        image: RGB, shape (height, width, 3).
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    mask = cv2.adaptiveThreshold(
        grey, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV, _NEIGHBOURHOOD, _CONTRAST
    )
    return np.asarray(mask, np.uint8)


def rules_in(ink: Ink, box: Box, text_height: float) -> Rules:
    """Return the ruling lines in a part of the page.

    Args:
        ink: of the page.
        box: where to look.
        text_height: of the lines there, in pixels: a rule is taller than letters, and longer than a dash.
    """
    part = ink[box.y1 : box.y2, box.x1 : box.x2]
    if part.size == 0:
        return Rules()
    across = _segments(part, (max(12, round(1.8 * text_height)), 1), box)
    down = _segments(part, (1, max(12, round(0.85 * text_height))), box)
    return Rules(
        tuple(rule for rule in across if height(rule) <= _THICKEST_RULE and width(rule) > 4 * height(rule)),
        tuple(rule for rule in down if width(rule) <= _THICKEST_RULE and height(rule) > 4 * width(rule)),
    )


def ink_bounds(ink: Ink, box: Box) -> Box | None:
    """Return the box around the ink in a box, or None where there are no more than specks."""
    part = ink[box.y1 : box.y2, box.x1 : box.x2]
    if part.size == 0 or cv2.countNonZero(part) < 6:
        return None
    x, y, w, h = cv2.boundingRect(part)
    return Box(box.x1 + x, box.y1 + y, box.x1 + x + w, box.y1 + y + h)


def is_dash(ink: Ink, box: Box, size: float) -> bool:
    """Tell whether all that is drawn in a box is one flat bar, as a dash is; a recogniser takes it for a 1.

    Args:
        ink: of the page, or of a part in whose coordinates the box is.
        box: where to look.
        size: height of the text, in pixels.
    """
    bounds = ink_bounds(ink, box)
    if bounds is None:
        return False
    wide, tall = width(bounds), height(bounds)
    drawn = cv2.countNonZero(ink[bounds.y1 : bounds.y2, bounds.x1 : bounds.x2])
    flat = tall <= max(2.0, 0.2 * size) and wide >= 2 * tall
    return flat and 0.2 * size <= wide <= 1.5 * size and drawn >= 0.7 * wide * tall


def blank_runs(ink: Ink, box: Box) -> list[tuple[int, int]]:
    """Return where each run of blank columns in a box starts and ends."""
    part = ink[box.y1 : box.y2, box.x1 : box.x2]
    if part.size == 0:
        return []
    blank = np.concatenate(([False], part.max(axis=0) == 0, [False]))
    edges = (box.x1 + np.flatnonzero(blank[1:] != blank[:-1])).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def is_dotted(ink: Ink, gap: Box) -> bool:
    """Tell whether a gap holds a leader: many small marks in a row, and nothing else."""
    tall, wide = height(gap), width(gap)
    inset = round(0.15 * tall)
    band = Box(gap.x1, gap.y1 + inset, gap.x2, gap.y2 - inset)
    bounds = ink_bounds(ink, band) if wide > 2 * tall else None
    if bounds is None or height(bounds) > 0.3 * tall or width(bounds) < 0.5 * wide:
        return False
    marks = np.diff(np.concatenate(([False], ink[bounds.y1 : bounds.y2, bounds.x1 : bounds.x2].any(axis=0))))
    return bool(np.count_nonzero(marks) / 2 > max(5.0, 0.5 * width(bounds) / tall))


def stroke_width(image: Pixels, box: Box) -> float:
    """Return the mean width of upright strokes in a box, in pixels.

    Walking along a row of pixels, each stroke adds twice its contrast to the changes of grey, and its
    width times its contrast to the darkness, so that their ratio tells bold from plain at any size of
    anti-aliasing.
    """
    grey = cv2.cvtColor(np.ascontiguousarray(image[box.y1 : box.y2, box.x1 : box.x2]), cv2.COLOR_RGB2GRAY)
    if grey.size == 0 or grey.shape[1] < 2:
        return 0.0
    darkness = np.abs(grey.astype(np.float32) - float(np.median(grey)))
    changes = float(np.abs(np.diff(darkness, axis=1)).sum())
    return 2 * float(darkness.sum()) / changes if changes else 0.0


def _segments(part: Ink, kernel: tuple[int, int], box: Box) -> list[Box]:
    opened = cv2.morphologyEx(part, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_RECT, kernel))
    count, _, stats, _ = cv2.connectedComponentsWithStats(opened)
    found = []
    for x, y, w, h, _ in stats[1:count].tolist():
        found.append(Box(box.x1 + x, box.y1 + y, box.x1 + x + w, box.y1 + y + h))
    return found
