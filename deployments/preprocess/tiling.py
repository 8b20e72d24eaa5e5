"""Page image to the model's views: one global view and a grid of tiles.

The result is that of the reference (DeepSeek-OCR-2's `dynamic_preprocess`, and Pillow's `resize` and
`ImageOps.pad`) to the byte. It comes sooner because it stays in uint8, leaving the normalisation to
the engine, and because of what `_resize` makes of Pillow's own resampling.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from deployments.preprocess.settings import ViewSettings
from deployments.types import Grid, Pixels

# The mean that the model normalises by, 0.5, as the reference makes a colour of it: int(0.5 * 255).
PAD_COLOUR = 127

NO_TILES = Grid(0, 0)

_Planes = npt.NDArray[np.uint8]  # shape (height, width, 1 or 3)


@lru_cache(maxsize=16)
def candidate_grids(min_tiles: int, max_tiles: int) -> tuple[Grid, ...]:
    """All grids of so many tiles, those with fewer tiles first, as the reference tries them."""
    sides = range(1, max_tiles + 1)
    grids = [Grid(i, j) for i in sides for j in sides if min_tiles <= i * j <= max_tiles]
    return tuple(sorted(grids, key=lambda grid: grid.tiles))


def choose_grid(width: int, height: int, settings: ViewSettings) -> Grid:
    """Choose the grid whose aspect ratio is nearest to the image's.

    Of equally near ones the later, larger wins if the image has more than half of its pixels. The
    arithmetic is the reference's, in floating point, since which grids are equally near depends on it.

    Args:
        width: of the image in pixels, at least 1.
        height: of the image in pixels, at least 1.
        settings: tile size and counts.

    Returns:
        The grid; `NO_TILES` for an image no larger than a tile.
    """
    if max(width, height) <= settings.image_size:
        return NO_TILES
    aspect = width / height
    best, best_distance = NO_TILES, float("inf")
    for grid in candidate_grids(settings.min_tiles, settings.max_tiles):
        distance = abs(aspect - grid.columns / grid.rows)
        half = 0.5 * settings.image_size * settings.image_size * grid.columns * grid.rows
        if distance < best_distance or (distance == best_distance and width * height > half):
            best, best_distance = grid, distance
    return best


def make_views(image: Pixels, settings: ViewSettings, crop: bool) -> tuple[Pixels, Pixels, Grid]:
    """Make the model's views of an image.

    Args:
        image: uint8 RGB, shape (height, width, 3).
        settings: sizes and tile counts.
        crop: whether to make tiles. Without them the image is first stretched to a tile's square, which
            the global view then enlarges, as the reference does.

    Returns:
        The global view, shape (base_size, base_size, 3), the tiles, shape (grid.tiles, image_size,
        image_size, 3), row by row, and the grid.
    """
    height, width, _ = image.shape
    side = settings.image_size
    grid = choose_grid(width, height, settings) if crop else NO_TILES
    # A grey page is a third of the work: its three channels would come out equal.
    planes = image[..., :1] if _is_grey(image) else image
    if not crop:
        planes = _resize(planes, side, side)
    global_view = _global_view(planes, settings.base_size)
    if not grid.tiles:
        return global_view, np.empty((0, side, side, 3), np.uint8), grid
    stretched = _resize(planes, grid.columns * side, grid.rows * side)
    tiles = stretched.reshape(grid.rows, side, grid.columns, side, -1).swapaxes(1, 2)
    return global_view, _rgb(tiles.reshape(grid.tiles * side, side, -1)).reshape(-1, side, side, 3), grid


def _global_view(planes: _Planes, side: int) -> Pixels:
    """Fit into a square of `side`, centred on grey; the roundings are those of `ImageOps.pad`."""
    height, width, channels = planes.shape
    new_width, new_height = side, side
    if width > height:
        new_height = round(height / width * side)
    else:
        new_width = round(width / height * side)
    view = np.full((side, side, channels), PAD_COLOUR, np.uint8)
    if new_width and new_height:
        left, top = round((side - new_width) * 0.5), round((side - new_height) * 0.5)
        view[top : top + new_height, left : left + new_width] = _resize(planes, new_width, new_height)
    return _rgb(view)


def _is_grey(image: Pixels) -> bool:
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    return np.array_equal(red, green) and np.array_equal(green, blue)


def _rgb(planes: _Planes) -> Pixels:
    """Three channels from one, or the three that there are; contiguous."""
    if planes.shape[2] == 3:
        return np.ascontiguousarray(planes)
    rgb: Pixels = np.asarray(cv2.cvtColor(planes, cv2.COLOR_GRAY2RGB), np.uint8)
    return rgb


def _resize(planes: _Planes, width: int, height: int) -> _Planes:
    """Pillow's bicubic `resize`, to the byte.

    Pillow resamples rows, rounds to 8 bits, then resamples columns. The passes are called one by one:
    rows that repeat the row above, as between lines of text, are resampled once, and the column pass,
    in which every byte of a row fares alike, runs over four bytes at a time, which is Pillow's
    fastest way, instead of three and a gap.
    """
    return _resize_columns(_resize_rows(planes, width), height)


def _resize_rows(planes: _Planes, width: int) -> _Planes:
    height, old_width, channels = planes.shape
    if width == old_width:
        return planes
    differs = np.ones(height, bool)
    np.any(planes[1:] != planes[:-1], axis=(1, 2), out=differs[1:])
    rows = planes[differs]
    resized = Image.fromarray(rows[..., 0] if channels == 1 else rows).resize(
        (width, len(rows)), Image.Resampling.BICUBIC
    )
    return np.asarray(resized).reshape(len(rows), width, channels)[np.cumsum(differs) - 1]


def _resize_columns(planes: _Planes, height: int) -> _Planes:
    old_height, width, channels = planes.shape
    if height == old_height:
        return planes
    row = width * channels
    quads = -(-row // 4)
    buffer = np.zeros((old_height, quads * 4), np.uint8)
    buffer[:, :row] = planes.reshape(old_height, row)
    image = Image.frombuffer("CMYK", (quads, old_height), buffer, "raw", "CMYK", 0, 1)
    resized = np.asarray(image.resize((quads, height), Image.Resampling.BICUBIC))
    return resized.reshape(height, quads * 4)[:, :row].reshape(height, width, channels)
