"""Pages for the tiny model."""

import numpy as np

from deployments.types import Grid, ModelInput, PreparedPage

IMAGE, PROMPT = 128_815, [5, 6, 7]
VIEW, TILE = 256, 192  # sides of the tiny tower's views, in pixels


def page(tiles=0, seed=0, prompt=PROMPT):
    rng = np.random.default_rng(seed)
    views = ModelInput(
        token_ids=np.array([0, *[IMAGE] * (144 * tiles + 257), *prompt], dtype=np.int32),
        global_view=rng.integers(0, 256, (VIEW, VIEW, 3), dtype=np.uint8),
        tiles=rng.integers(0, 256, (tiles, TILE, TILE, 3), dtype=np.uint8),
        grid=Grid(1, tiles) if tiles else Grid(0, 0),
    )
    return PreparedPage(index=0, width=VIEW, height=VIEW, dpi=None, prompt="<image>\n", views=views)
