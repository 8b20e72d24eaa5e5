"""The grid, against the reference's rule written down the long way."""

from fractions import Fraction
from itertools import pairwise, product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployments.preprocess.settings import ViewSettings
from deployments.preprocess.tiling import candidate_grids, choose_grid
from deployments.types import Grid

SETTINGS = ViewSettings()
SIDES = st.integers(1, 20_000)


def reference_grid(width: int, height: int, least: int = 2, most: int = 6, side: int = 768) -> Grid:
    """The published rule: try candidates by their number of tiles, keep the nearest aspect ratio."""
    if width <= side and height <= side:
        return Grid(0, 0)
    candidates = {(i, j) for i, j in product(range(1, most + 1), repeat=2) if least <= i * j <= most}
    best_distance, best = float("inf"), (1, 1)
    for columns, rows in sorted(candidates, key=lambda grid: grid[0] * grid[1]):
        distance = abs(width / height - columns / rows)
        if distance < best_distance:
            best_distance, best = distance, (columns, rows)
        elif distance == best_distance and width * height > 0.5 * side * side * columns * rows:
            best = (columns, rows)
    return Grid(*best)


def boundary_sizes() -> list[tuple[int, int]]:
    """Sizes whose aspect ratio lies midway between two neighbouring candidates, and their neighbours."""
    ratios = sorted({Fraction(grid.columns, grid.rows) for grid in candidate_grids(2, 6)})
    sizes = set()
    for low, high in pairwise(ratios):
        middle = (low + high) / 2
        longest = 20_000 // max(middle.numerator, middle.denominator)
        for scale in {1, 2, 3, 7, longest // 16, longest // 8, longest // 2, longest}:
            width, height = middle.numerator * scale, middle.denominator * scale
            for across, down in product((-1, 0, 1), repeat=2):
                if 1 <= width + across <= 20_000 and 1 <= height + down <= 20_000:
                    sizes.add((width + across, height + down))
    return sorted(sizes)


@given(SIDES, SIDES)
@example(1, 1)
@example(20_000, 20_000)
@example(1, 20_000)
@example(20_000, 1)
@example(768, 768)
@example(769, 768)
@example(768, 769)
def test_grid_is_the_references(width: int, height: int) -> None:
    assert choose_grid(width, height, SETTINGS) == reference_grid(width, height)


def test_grid_is_the_references_at_every_boundary() -> None:
    sizes = boundary_sizes()
    assert len(sizes) > 500
    for width, height in sizes:
        assert choose_grid(width, height, SETTINGS) == reference_grid(width, height), (width, height)


@given(SIDES, SIDES, st.integers(2, 3), st.integers(4, 9))
def test_grid_is_the_references_for_other_tile_counts(width: int, height: int, least: int, most: int) -> None:
    settings = ViewSettings(min_tiles=least, max_tiles=most)
    assert choose_grid(width, height, settings) == reference_grid(width, height, least, most)


@given(SIDES, SIDES)
def test_grid_has_two_to_six_tiles_or_none(width: int, height: int) -> None:
    tiles = choose_grid(width, height, SETTINGS).tiles
    assert tiles == 0 if max(width, height) <= 768 else 2 <= tiles <= 6


def test_known_pages() -> None:
    assert choose_grid(1191, 1684, SETTINGS) == Grid(columns=2, rows=3)  # A4 at 144 dpi
    assert choose_grid(1684, 1191, SETTINGS) == Grid(columns=3, rows=2)
    assert choose_grid(5000, 100, SETTINGS) == Grid(columns=6, rows=1)
    assert choose_grid(600, 700, SETTINGS) == Grid(0, 0)


def test_on_equal_distance_the_image_area_decides() -> None:
    # 2.5 is midway between 2:1 and 3:1; half of three tiles' pixels are 884,736.
    assert choose_grid(1480, 592, SETTINGS) == Grid(2, 1)
    assert choose_grid(1490, 596, SETTINGS) == Grid(3, 1)


@pytest.mark.parametrize("most", range(4, 10))
@pytest.mark.parametrize("least", [2, 3])
def test_grids_with_as_many_tiles_are_never_equally_near(least: int, most: int) -> None:
    # The reference leaves their order to a set's, so it must not matter.
    grids = candidate_grids(least, most)
    ratios = sorted({Fraction(grid.columns, grid.rows) for grid in grids})
    counts = {ratio: {g.tiles for g in grids if Fraction(g.columns, g.rows) == ratio} for ratio in ratios}
    assert all(counts[low].isdisjoint(counts[high]) for low, high in pairwise(ratios))
