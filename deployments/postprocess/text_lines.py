"""Blocks' words as lines at their places on the page.

The model gives a place to each block, not to each line or word. Where the page's picture shows a block's
lines, its words are set over these. Elsewhere they are set as lines that fill its box: as many as give
letters of usual proportions, each stretched to the box's width; a word is then found within its block and
near its line.
"""

import math
import statistics
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from deployments.postprocess import line_breaks, plain_text, tables
from deployments.postprocess.ink import Ink, Stripe
from deployments.postprocess.line_breaks import Word
from deployments.postprocess.tables import TableGrid
from deployments.types import Block, BlockType, Box, PageResult

LEADING = 1.3
"""Line height over font size. Of 1.1 to 1.4 it put words nearest to their places on pages of five
typeset documents: at the median 1 pt off the line and 6 to 55 pt along it."""

_MARGIN = 0.05
_USUAL_LINES = 60
"""Where text without a box goes: a margin as part of the page, and lines that a page holds."""

_EM = (0.45, 2.2)
"""Bounds of the size of letters over the height of a line's ink, beyond which other things than lines of this
text were found: letters without tails reach over half an em, with all of them over one."""

_WORD_GAP = 0.17
"""Between words at least, in em: letters stand nearer; a space is a quarter em, less in a tight line."""

_LONGEST_WORD = 40
"""Longer ones may be broken, as may every word in wide characters, which has no spaces within."""


class Line(NamedTuple):
    """A line of text, or a word with the space after it, and where it stands: in pixels, y downwards."""

    text: str
    x: float
    y: float
    width: float
    height: float


def units(text: str) -> float:
    """A text's width in em."""
    return sum(map(character_units, text))


def character_units(character: str) -> float:
    """A character's width in em: 1 if wide (Unicode Annex 11), 0 if combining, else 0.5."""
    if unicodedata.combining(character):
        return 0.0
    return 1.0 if unicodedata.east_asian_width(character) in "WF" else 0.5


def place(result: PageResult, ink: Ink | None = None) -> list[Line]:
    """All text of a page at its places; text without a box fills the page within a margin.

    Args:
        result: the page, upright.
        ink: what its picture shows.
    """
    placed: list[Line] = []
    floating: list[str] = []
    for block in result.blocks:
        if block.box is None:
            floating += plain_text.lines(block)
        elif block.type is BlockType.TABLE:
            placed += _table_lines(block, block.box)
        else:
            texts = plain_text.lines(block)
            x1, y1, x2, y2 = block.box
            found = _over(texts, ink.stripes(block.box)) if ink is not None else []
            placed += found or _fill(texts, Line("", x1, y1, x2 - x1, y2 - y1))
    return placed + _loose(floating, result)


def _over(texts: list[str], stripes: Sequence[Stripe]) -> list[Line]:
    """Set words over lines of print, each at its own place; nothing where the two do not go together."""
    words = line_breaks.words(texts)
    if not words or not stripes:
        return []
    em = sum(stripe.width for stripe in stripes) / sum(word.width + word.space for word in words)
    height = statistics.median(stripe.height for stripe in stripes)
    if not _EM[0] <= em / height <= _EM[1]:
        return []
    shown = [stripe.starts(_WORD_GAP * em) for stripe in stripes]
    lines = line_breaks.broken(words, [stripe.width for stripe in stripes], list(map(len, shown)))
    if lines is None:
        return []
    placed = []
    for line, stripe, printed in zip(lines, stripes, shown, strict=True):
        top = (stripe.top + stripe.bottom - LEADING * height) / 2
        parts = _between_spaces(line)
        starts = printed
        if len(parts) != len(printed):
            natural = [sum(word.width + word.space for word in part) for part in parts]
            em = stripe.width / (sum(natural) - line[-1].space)
            starts = tuple(stripe.start + em * sum(natural[:number]) for number in range(len(parts)))
        for part, start, end in zip(parts, starts, (*starts[1:], stripe.end), strict=True):
            text = "".join(word.text for word in part)
            placed.append(Line(text, start, top, end - start, LEADING * height))
    return placed


def _between_spaces(line: Sequence[Word]) -> list[list[Word]]:
    """Return a line's words, those together that have no space between."""
    parts: list[list[Word]] = [[]]
    for word in line:
        parts[-1].append(word)
        if word.space:
            parts.append([])
    return [part for part in parts if part]


def _loose(texts: list[str], result: PageResult) -> list[Line]:
    """Lines of common size from the page's upper margin down, smaller where they would not fit."""
    size = result.height / _USUAL_LINES
    width, height = (1 - 2 * _MARGIN) * result.width, (1 - 2 * _MARGIN) * result.height
    needed = sum(math.ceil(units(text) * size / width) for text in texts) * LEADING * size
    area = Line("", _MARGIN * result.width, _MARGIN * result.height, width, min(needed, height))
    return _fill(texts, area, loose=True)


def _table_lines(block: Block, box: Box) -> Iterable[Line]:
    """Cells on a grid of equal rows and columns, as their true edges are not known."""
    segments = tables.parse(block.content)
    rows = sum(segment.rows if isinstance(segment, TableGrid) else 1 for segment in segments)
    height = (box.y2 - box.y1) / max(rows, 1)
    width = box.x2 - box.x1
    y = float(box.y1)
    for segment in segments:
        if isinstance(segment, str):
            yield from _fill(segment.split("\n"), Line("", box.x1, y, width, height))
            y += height
            continue
        column = width / segment.columns
        for cell in segment.cells:
            area = Line(
                "",
                box.x1 + cell.column * column,
                y + cell.row * height,
                cell.colspan * column,
                cell.rowspan * height,
            )
            yield from _fill(cell.text.split("\n"), area, loose=True)
        y += segment.rows * height


def _fill(texts: list[str], area: Line, *, loose: bool = False) -> list[Line]:
    """Wrap texts so that they fill an area with letters of usual proportions.

    The widest line reaches from edge to edge; a loose area, which the text need not fill, keeps lines
    from being stretched and from touching its right edge, where readers join words that touch.
    """
    total = sum(map(units, texts))
    if not total:
        return []
    # n lines of total / n em across and of 1.3 em height each have the area's proportions.
    count = max(1, round(math.sqrt(total * area.height / (LEADING * area.width))))
    whole = (units(word) for text in texts for word in text.split() if not _may_break(word))
    longest = max(total / count, 1.0, max(whole, default=0.0))
    wrapped = [line for text in texts for line in _wrap(text, longest)]
    height = area.height / len(wrapped)
    widest = max(map(units, wrapped))
    lines = []
    for number, text in enumerate(wrapped):
        width = area.width * units(text) / widest
        if loose:
            width = min(0.95 * width, units(text) * height / LEADING)
        lines.append(Line(text, area.x, area.y + number * height, width, height))
    return lines


def _may_break(word: str) -> bool:
    return len(word) > _LONGEST_WORD or any(unicodedata.east_asian_width(c) in "WF" for c in word)


def _wrap(text: str, longest: float) -> list[str]:
    """Break at spaces, and within words where a script has none, before a line passes a width in em."""
    broken: list[str] = []
    line: list[str] = []
    width = 0.0
    for word in text.split():
        word_units = units(word)
        if line and width + 0.5 + word_units > longest * 1.05:
            broken.append(" ".join(line))
            line, width = [], 0.0
        while word_units > longest * 1.05 and len(word) > 1:
            head = _head(word, longest)
            broken.append(" ".join([*line, head]))
            line, width = [], 0.0
            word = word[len(head) :]  # noqa: PLW2901 - what is left of the word
            word_units -= units(head)
        if word:
            width += word_units + (0.5 if line else 0.0)
            line.append(word)
    if line:
        broken.append(" ".join(line))
    return broken


def _head(word: str, longest: float) -> str:
    """As much of a word as fits, at least one character."""
    width = 0.0
    for number, character in enumerate(word):
        width += character_units(character)
        if width > longest and number:
            return word[:number]
    return word
