"""Words set over lines whose ends are known.

PyMuPDF, whose metrics this uses, must not be used by two threads of a process at the same time.
"""

import functools
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pymupdf

_SPACE = 0.25
_LETTER = 0.5
"""Widths in em of a space, as Times has it, and of a letter that Times lacks."""

_WIDE = r"\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFF00-\uFF60"
"""Scripts that are broken anywhere."""

_APART = 4.0
"""What a line costs that shows a word more or less than it is given: as much as two em of width."""

_MOST_APART = 4
"""Beyond this, squared, a line's words can't be told apart at all: letters set widely, say."""

_MOST_WORDS = 2_000
"""In one block; the work grows with their square."""


class Word(NamedTuple):
    """What is not broken, and its width.

    Attributes:
        text: with the space after it, if one follows.
        width: in em, without that space.
        space: in em, after it.
        ends: whether a line ends here because the text says so.
    """

    text: str
    width: float
    space: float
    ends: bool


def words(texts: Sequence[str]) -> list[Word]:
    """Return the words of lines of text; each character of a script without spaces is a word."""
    found = []
    for text in texts:
        parts = re.findall(r"\S+\s*", text)
        for number, part in enumerate(parts):
            last = number == len(parts) - 1
            pieces = _pieces(part.rstrip())
            for position, piece in enumerate(pieces):
                final = position == len(pieces) - 1
                spaced = final and not last
                found.append(
                    Word(piece + " " * spaced, _width(piece), _SPACE if spaced else 0.0, final and last)
                )
    return found


def broken(
    found: Sequence[Word], widths: Sequence[float], counts: Sequence[int]
) -> list[Sequence[Word]] | None:
    """Share words out among lines so that these come as near to what is printed as can be.

    Of all ways to break them, the one with the least sum of squared differences between a line's width and
    its words' at one size of letters, and between the words that it shows and those that it is given. Where
    the text itself has no more lines than there are, its own ends of lines are kept.

    Args:
        found: in order.
        widths: of the lines from above, in any unit.
        counts: of the words that each shows apart.

    Returns:
        Each line's words; None if there are fewer words than lines, or too many of either.
    """
    count = len(found)
    if not len(widths) <= count <= _MOST_WORDS or not widths:
        return None
    ends = np.cumsum([word.width + word.space for word in found])
    starts = np.concatenate([[0.0], ends[:-1]])
    spaces = np.array([word.space for word in found])
    em = sum(widths) / (ends[-1] - spaces[-1])
    # Of the words from k to j, at [k, j]: their width in em, and how many a reader sees apart.
    natural = (ends - spaces)[None, :] - starts[:, None]
    gaps: npt.NDArray[np.int64] = np.cumsum(spaces > 0) - (spaces > 0)  # before each word
    apart = gaps[None, :] - gaps[:, None] + 1
    # Characters of scripts without spaces stand apart or not as it happens.
    weight = 0.0 if any(re.search(f"[{_WIDE}]", word.text) for word in found) else _APART
    costs = [
        (natural - width / em) ** 2 + weight * np.minimum((apart - shown) ** 2, _MOST_APART)
        for width, shown in zip(widths, counts, strict=True)
    ]
    ends_here = np.array([word.ends for word in found])
    allowed = np.arange(count)[None, :] >= np.arange(count)[:, None]
    if ends_here.sum() <= len(widths):
        # No line may hold words of both sides of an end: as many ends lie before its first word and its last.
        before = np.cumsum(ends_here) - ends_here
        allowed &= before[None, :] == before[:, None]
    return _least([np.where(allowed, cost, np.inf) for cost in costs], found)


def _least(costs: Sequence[npt.NDArray[np.float64]], found: Sequence[Word]) -> list[Sequence[Word]] | None:
    """Find the cheapest breaks, line by line: the best for each number of words set so far."""
    count = len(found)
    best = np.full(count + 1, np.inf)
    best[0] = 0.0
    choices = []
    for cost in costs:
        whole = cost + best[:-1, None]
        choices.append(np.argmin(whole, axis=0))
        best = np.concatenate([[np.inf], np.min(whole, axis=0)])
    if not np.isfinite(best[count]):
        return None
    lines: list[Sequence[Word]] = []
    end = count
    for choice in reversed(choices):
        start = int(choice[end - 1])
        lines.append(found[start:end])
        end = start
    return lines[::-1]


def _pieces(word: str) -> list[str]:
    """Break a word where a line may end within it: at wide characters, after hyphens, dashes and slashes."""
    return re.findall(rf"[^{_WIDE}/—–-]+[/—–-]*|.", word)


def _width(text: str) -> float:
    return sum(map(_character_width, text))


@functools.lru_cache(maxsize=10_000)
def _character_width(character: str) -> float:
    """Return a width in em: Times' own where it has the character, as most print is near to it."""
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    times = _times()
    code = ord(character)
    return float(times.glyph_advance(code)) if times.has_glyph(code) else _LETTER


@functools.lru_cache(maxsize=1)
def _times() -> pymupdf.Font:
    return pymupdf.Font("tiro")
