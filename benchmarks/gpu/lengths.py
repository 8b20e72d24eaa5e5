"""How many tokens each page's answer has: seeded, log-normal, the same in every mode."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SIGMA = 0.5
"""Spread of the logarithm: the middle 90 % of pages have 0.39 to 2.0 times the mean."""

SHORTEST = 16


class UnderWay(NamedTuple):
    """A page that is half written: tokens it has, and tokens it still gets."""

    written: int
    left: int


def page_lengths(count: int, mean: float, seed: int, longest: int) -> npt.NDArray[np.int64]:
    """Draw answer lengths; a larger `count` only adds to the end.

    Args:
        count: of pages.
        mean: of the distribution before it is cut at `longest`, in tokens.
        seed: of the draw.
        longest: what the context leaves beside the prompt.

    Returns:
        Shape (count,), each from `SHORTEST` to `longest`.
    """
    draws = np.random.default_rng(seed).lognormal(np.log(mean) - SIGMA**2 / 2, SIGMA, count)
    return np.clip(np.rint(draws), min(SHORTEST, longest), longest).astype(np.int64)


def pages_under_way(count: int, mean: float, seed: int, longest: int) -> list[UnderWay]:
    """Draw what an engine in its steady state would be found writing at a random moment.

    Such a moment falls into a page with a chance in proportion to the page's length, and anywhere in
    it with equal chance (inspection paradox of renewal theory).
    """
    rng = np.random.default_rng([seed, 1])
    lengths = page_lengths(20_000, mean, seed, longest)
    found = rng.choice(lengths, count, p=lengths / lengths.sum())
    written = np.floor(rng.random(count) * found).astype(np.int64)
    return [UnderWay(int(w), int(n - w)) for w, n in zip(written, found, strict=True)]
