"""Photographs and drawings on filled ground that the layout model overlooked."""

from collections.abc import Sequence

import cv2
import numpy as np

from deployments.model.embedded.geometry import area, share_inside
from deployments.model.embedded.regions import Region, text_area
from deployments.types import Box, Pixels

_STEP = 8  # pixels of the page to one of the sketch in which pictures are looked for
_SHADE = 24  # levels of any channel that a picture differs from the paper
_FILLED = 0.75  # least part of its box that a picture fills; text and tables fill far less
_LEAST_SIDE = 0.08  # of the page's side
_MOST_TEXT = 0.08  # of a picture's area; a shaded box of text has more


def find_pictures(image: Pixels, lines: Sequence[Box], regions: Sequence[Region]) -> list[Region]:
    """Return figures where a large part of the page is filled, and no region or text accounts for it.

    Args:
        image: RGB, shape (height, width, 3).
        lines: boxes of the page's text lines.
        regions: that are known already.
    """
    rows, columns = image.shape[0] // _STEP, image.shape[1] // _STEP
    if min(rows, columns) < 10:
        return []
    sketch = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.int16)
    paper = np.median(sketch.reshape(-1, 3), axis=0)
    drawn = (np.abs(sketch - paper).max(axis=2) > _SHADE).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(drawn)
    found = []
    for x, y, w, h, filled in stats[1:count].tolist():
        box = Box(_STEP * x, _STEP * y, _STEP * (x + w), _STEP * (y + h))
        if (
            min(w / columns, h / rows) < _LEAST_SIDE
            or filled < _FILLED * w * h
            or w * h > 0.9 * rows * columns
        ):
            continue
        if any(
            share_inside(box, region.box) > 0.3 for region in regions if region.label in ("figure", "table")
        ):
            continue
        if text_area(box, lines) <= _MOST_TEXT * area(box):
            found.append(Region("figure", 0.5, box))
    return found
