"""How far two engines with the same weights write the same, and whether rounding explains where they part.

Random weights put the likeliest tokens close together, so that two engines which only round differently
part sooner or later. What can be told: how far the same token's log-probability lies apart in both while
they still write the same (the noise), and how far apart each saw the two tokens that they parted over (the
margin). A margin within the noise is a coin toss; one beyond it would be a fault.
"""

import statistics
from collections.abc import Sequence
from typing import Any

Choice = tuple[int, dict[int, float]]
"""A token that was written, and the log-probabilities of the likeliest there, its own among them."""

LIKELIEST = 20
"""Tokens whose log-probabilities are kept, as many as vLLM gives."""


def as_json(answers: Sequence[Sequence[Choice]]) -> list[list[Any]]:
    """Return answers as JSON can hold them."""
    return [[[token, list(seen.items())] for token, seen in answer] for answer in answers]


def from_json(answers: Sequence[Sequence[Any]]) -> list[list[Choice]]:
    """Return what `as_json` was given."""
    return [[(token, dict(map(tuple, seen))) for token, seen in answer] for answer in answers]


def agreement(own: Sequence[Sequence[Choice]], others: Sequence[Sequence[Choice]]) -> dict[str, Any]:
    """Compare answers of two engines to the same pages.

    Args:
        own: answers of one, page by page.
        others: of the other, as many.

    Returns:
        Pages, how many are equal to the end, the median of the tokens that are; `first_token`, how far the
        log-probabilities for the first token lie apart (median, largest), over all tokens that both engines
        have among the likeliest there; `noise`, likewise of the tokens written before pages part (median,
        99th percentile, largest); `margin`, the larger of both engines' margins where they part (median,
        largest); `beyond_noise`, how many pages part over more than twice the largest difference seen (each
        of the two tokens may be off by as much); and `unseen`, how many part over a token that the other
        engine has not among the likeliest, so that nothing can be said.
    """
    first = [
        abs(seen[token] - other[token])
        for ((_, seen), *_), ((_, other), *_) in zip(own, others, strict=True)
        for token in seen.keys() & other.keys()
    ]
    noise: list[float] = []
    margins: list[float | None] = []
    same: list[int] = []
    for mine, theirs in zip(own, others, strict=True):
        place = next((i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a[0] != b[0]), None)
        for (token, seen), (_, other) in zip(mine[:place], theirs[:place], strict=False):
            noise.append(abs(seen[token] - other[token]))
        same.append(len(mine) if place is None else place)
        if place is not None:
            margins.append(_margin(mine[place], theirs[place]))
    noise.sort()
    known = [margin for margin in margins if margin is not None]
    largest = max(noise + first, default=0.0)
    return {
        "pages": len(same),
        "equal": len(same) - len(margins),
        "same_tokens_median": statistics.median(same),
        "first_token": {"median": statistics.median(first), "largest": max(first)} if first else None,
        "noise": {
            "median": statistics.median(noise),
            "p99": noise[int(len(noise) * 0.99)],
            "largest": noise[-1],
        }
        if noise
        else None,
        "margin": {"median": statistics.median(known), "largest": max(known)} if known else None,
        "beyond_noise": sum(margin > 2 * largest for margin in known),
        "unseen": len(margins) - len(known),
    }


def _margin(mine: Choice, theirs: Choice) -> float | None:
    """Return how far apart the two tokens were, at most; None if one engine did not think of the other's."""
    (a, seen), (b, other) = mine, theirs
    if b not in seen or a not in other:
        return None
    return max(abs(seen[a] - seen[b]), abs(other[b] - other[a]))
