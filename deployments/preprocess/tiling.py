"""Page image to the model's views: one global view and a grid of tiles.

The result is that of the reference (DeepSeek-OCR-2's `dynamic_preprocess`, and Pillow's `resize` and
`ImageOps.pad`) to the byte. It comes sooner because it stays in uint8, leaving the normalisation to
the engine, and because a grey page, as most scans and prints are, is resampled as one channel, not
three that come out equal.
"""

from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from deployments.preprocess.settings import ViewSettings
from deployments.types import Grid, Pixels

# The mean that the model normalises by, 0.5, as the reference makes a colour of it: int(0.5 * 255).
PAD_COLOUR = 127

NO_TILES = Grid(0, 0)


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
        crop: whether to make tiles, where `settings.crop_mode` allows any. Without them the image is first
            stretched to a tile's square, which the global view then enlarges, as the reference does.

    Returns:
        The global view, shape (base_size, base_size, 3), the tiles, shape (grid.tiles, image_size,
        image_size, 3), row by row, and the grid. All arrays are C-contiguous.
    """
    crop = crop and settings.crop_mode
    side = settings.image_size
    picture = Image.fromarray(image[..., 0] if _is_grey(image) else image)
    grid = choose_grid(*picture.size, settings) if crop else NO_TILES
    if not crop:
        picture = picture.resize((side, side), Image.Resampling.BICUBIC)
    fitted = ImageOps.pad(
        _kept_visible(picture, settings.base_size),
        (settings.base_size, settings.base_size),
        color=(PAD_COLOUR,) * len(picture.getbands()),
    )
    global_view = _rgb(np.asarray(fitted))
    if not grid.tiles:
        return global_view, np.empty((0, side, side, 3), np.uint8), grid
    stretched = picture.resize((grid.columns * side, grid.rows * side), Image.Resampling.BICUBIC)
    samples = np.asarray(stretched).reshape(grid.rows, side, grid.columns, side, -1).swapaxes(1, 2)
    tiles = _rgb(samples.reshape(grid.tiles * side, side, -1).squeeze())
    return global_view, tiles.reshape(grid.tiles, side, side, 3), grid


def _kept_visible(picture: Image.Image, side: int) -> Image.Image:
    """Give a strip that would vanish, under half a pixel wide, one whole pixel, as Pillow does from 13 on."""
    width, height = picture.size
    if 2 * side * min(width, height) > max(width, height):
        return picture
    return picture.resize((side, 1) if width > height else (1, side), Image.Resampling.BICUBIC)


def _is_grey(image: Pixels) -> bool:
    # Most coloured pages give themselves away in a few points.
    return all(
        np.array_equal(part[..., 0], part[..., channel])
        for part in (image[::8, ::8], image)
        for channel in (1, 2)
    )


def _rgb(samples: Pixels | npt.NDArray[np.uint8]) -> Pixels:
    """Three channels from one, shape (height, width), or the three that there are."""
    if samples.ndim == 3:
        return samples
    rgb: Pixels = np.asarray(cv2.cvtColor(samples, cv2.COLOR_GRAY2RGB), np.uint8)
    return rgb
