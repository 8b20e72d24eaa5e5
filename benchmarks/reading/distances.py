"""How far a text is from another: characters, words, and the order of blocks."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz.distance import Levenshtein

from benchmarks.reading.normal_text import words


@dataclass(frozen=True, slots=True)
class Fit:
    """The place in a text that is nearest to a pattern.

    Attributes:
        distance: Levenshtein distance between the pattern and that part of the text.
        end: where the part ends.
    """

    distance: int
    end: int


def edits(truth: str, text: str) -> int:
    """Return the Levenshtein distance: insertions, deletions and substitutions of one character."""
    return Levenshtein.distance(truth, text)


def fit_row(pattern: str, text: str) -> npt.NDArray[np.int64]:
    """Return, for each end in a text, the least distance of a part that ends there from a pattern.

    Sellers' algorithm (1980): the table of edit distances with free starts in the text. The step along a
    row, each value at most one more than its left neighbour, is a running minimum once the column's
    number is taken off.

    Returns:
        int64 of shape (len(text) + 1,).
    """
    letters = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    columns = np.arange(len(text) + 1)
    row = np.zeros(len(text) + 1, np.int64)
    for number, character in enumerate(pattern, 1):
        fresh = np.empty_like(row)
        fresh[0] = number
        fresh[1:] = np.minimum(row[:-1] + (letters != ord(character)), row[1:] + 1)
        row = np.minimum.accumulate(fresh - columns) + columns
    return row


def best_fit(pattern: str, text: str) -> Fit:
    """Return where a text is nearest to a pattern; the first such place."""
    row = fit_row(pattern, text)
    end = int(row.argmin())
    return Fit(int(row[end]), end)


def near_ends(pattern: str, text: str, most: int) -> list[int]:
    """Return where parts of a text end that are at most so many edits from a pattern."""
    return [int(end) for end in np.flatnonzero(fit_row(pattern, text) <= most)]


def lost_and_invented(truth: str, text: str) -> tuple[int, int, int]:
    """Return how many words of the truth are not in the text, how many more the text has, and the truth's.

    Order does not count; each word counts as often as it stands there.

    Args:
        truth: folded.
        text: folded.
    """
    wanted, found = Counter(words(truth)), Counter(words(text))
    return (wanted - found).total(), (found - wanted).total(), wanted.total()


def order_distance(blocks: Sequence[str], text: str) -> float | None:
    """Return how far from reading order blocks stand in a text: 0 is right, 1 as wrong as can be.

    Each block is looked for in the text; the distance is that between the order found and the right
    one, as lists of block numbers, over their length, as OmniDocBench has it. Blocks of less than 12
    characters, those that stand on the page twice and those that are not found (more than 0.4 of their
    characters wrong) don't count.

    Args:
        blocks: folded, in the right order.
        text: folded.

    Returns:
        None where fewer than two blocks are found.
    """
    repeated = Counter(block[:80] for block in blocks)
    places = []
    for number, block in enumerate(blocks):
        start = block[:80]
        if len(start) < 12 or repeated[start] > 1:
            continue
        fit = best_fit(start, text)
        if fit.distance <= 0.4 * len(start):
            places.append((fit.end, number))
    if len(places) < 2:
        return None
    wanted = sorted(number for _, number in places)
    found = [number for _, number in sorted(places)]
    return Levenshtein.distance(wanted, found) / len(found)
