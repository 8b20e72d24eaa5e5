"""Figures cut from the page image."""

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image

from deployments.types import Box, Figure, Pixels

_PNG_LEVEL = 3
"""zlib level: against Pillow's default 6, a scanned page took half the time and 14 % more bytes, a
drawn one two thirds of the time and 6 to 11 % fewer bytes."""

_MOST_PAGES = 4
"""All cuttings of a page together have at most this many times its pixels: figures hardly overlap,
and a model that repeats the whole page as a figure must not keep a worker busy."""


def cut(image: Pixels, box: Box) -> bytes:
    """The part of the page image in a box, as PNG.

    Args:
        image: uint8, shape (height, width, 3).
        box: within the image.
    """
    part = np.ascontiguousarray(image[box.y1 : box.y2, box.x1 : box.x2])
    out = io.BytesIO()
    Image.fromarray(part).save(out, "PNG", compress_level=_PNG_LEVEL)
    return out.getvalue()


def select(found: Iterable[Figure], *, min_size: int = 0, limit: int | None = None) -> tuple[Figure, ...]:
    """The first `limit` figures of at least `min_size` pixels in width and height."""
    large = (
        figure
        for figure in found
        if figure.box.x2 - figure.box.x1 >= min_size and figure.box.y2 - figure.box.y1 >= min_size
    )
    return tuple(large)[:limit]


def with_png(found: Iterable[Figure], image: Pixels) -> tuple[Figure, ...]:
    """Figures with their PNG bytes, in order; None for those past the bound on a page's cuttings."""
    left = _MOST_PAGES * image.shape[0] * image.shape[1]
    result = []
    for figure in found:
        area = (figure.box.x2 - figure.box.x1) * (figure.box.y2 - figure.box.y1)
        left -= area
        result.append(Figure(figure.id, figure.box, cut(image, figure.box) if left >= 0 else None))
    return tuple(result)
