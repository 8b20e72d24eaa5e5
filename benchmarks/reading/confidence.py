"""How sure a figure is: intervals by the bootstrap over pages."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SEED = 9
ROUNDS = 1_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A ratio of sums over pages, and the interval that holds it in 95 of 100 draws of pages.

    Attributes:
        value: the ratio.
        low: 2.5th percentile.
        high: 97.5th percentile.
        pages: that it rests on.
    """

    value: float
    low: float
    high: float
    pages: int

    def as_dict(self) -> dict[str, float | int]:
        """Return it for JSON."""
        return {
            "value": round(self.value, 5),
            "low": round(self.low, 5),
            "high": round(self.high, 5),
            "pages": self.pages,
        }


def ratio_of_sums(parts: Sequence[tuple[float, float]]) -> Estimate | None:
    """Return the sum of the first over the sum of the second, with its interval.

    Pages are drawn with replacement (Efron's percentile method), as often as there are pages, from a
    fixed seed.

    Args:
        parts: (numerator, denominator) of each page; pages whose denominator is 0 don't count.
    """
    counted = np.array([part for part in parts if part[1] > 0], np.float64)
    if not len(counted):
        return None
    draws = np.random.default_rng(SEED).integers(0, len(counted), (ROUNDS, len(counted)))
    sums = counted[draws].sum(axis=1)
    low, high = np.percentile(sums[:, 0] / sums[:, 1], [2.5, 97.5])
    total = counted.sum(axis=0)
    return Estimate(float(total[0] / total[1]), float(low), float(high), len(counted))
