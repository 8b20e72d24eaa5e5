"""A page that is drawn, and that knows what stands on it."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import pymupdf

from benchmarks.reading.truth import TruthBlock, TruthPage
from deployments.types import BlockType, Box

DPI = 144
"""At which drawn pages are read: two pixels to a point."""

Family = Literal["serif", "sans", "cjk"]
Align = Literal["left", "right", "centre", "justify"]
_FONTS = {"serif": ("tiro", "tibo", "tiit"), "sans": ("helv", "hebo", "heit"), "cjk": ("china-s",) * 3}
_LEADING = 1.25
_CLINGING = ("\uff0c", "\u3002")  # Chinese comma and full stop, which begin no row


@lru_cache
def font(family: Family, style: int = 0) -> pymupdf.Font:
    """Return a font that PyMuPDF carries: plain (0), bold (1) or italic (2)."""
    return pymupdf.Font(_FONTS[family][style])


class Sheet:
    """A page under way. What is drawn is noted as truth, in the order of the calls.

    Args:
        width: in points.
        height: in points.
        family: of its fonts.
    """

    def __init__(self, width: float = 595, height: float = 842, family: Family = "serif") -> None:
        self.document = pymupdf.open()
        self.page = self.document.new_page(width=width, height=height)
        self.width, self.height, self.family = width, height, family
        self.blocks: list[TruthBlock] = []

    def note(self, type_: BlockType, text: str, rect: tuple[float, float, float, float]) -> None:
        """Note a block, its rectangle in points."""
        scale = DPI / 72
        x1, y1, x2, y2 = (round(value * scale) for value in rect)
        self.blocks.append(TruthBlock(type_, text, Box(x1, y1, x2, y2)))

    def line(
        self, x: float, y: float, text: str, size: float, style: int = 0, family: Family | None = None
    ) -> float:
        """Draw a line of text with its baseline at y; returns where it ends."""
        face = font(family or self.family, style)
        writer = pymupdf.TextWriter(self.page.rect)
        writer.append((x, y), text, font=face, fontsize=size)
        writer.write_text(self.page)
        return x + float(face.text_length(text, size))

    def text(
        self,
        text: str,
        left: float,
        top: float,
        right: float,
        size: float = 10.5,
        *,
        type_: BlockType = BlockType.TEXT,
        align: Align = "justify",
        style: int = 0,
        indent: float = 0.0,
        hang: float = 0.0,
        hyphens: bool = False,
        leading: float = _LEADING,
    ) -> float:
        """Draw a paragraph and note it; returns where it ends, in points from the top.

        Args:
            text: to draw.
            left: edge.
            top: edge.
            right: edge.
            size: of the font.
            type_: of the block.
            align: of its lines.
            style: of the font.
            indent: of the first line.
            hang: indent of all others.
            hyphens: whether a long word that does not fit is broken with a hyphen.
            leading: distance from line to line in font sizes.
        """
        face = font(self.family, style)
        rows = _rows(text, face, size, right - left - indent, right - left - hang, hyphens, self.family)
        spans, y = [], top + size
        for number, row in enumerate(rows):
            start = left + (hang if number else indent)
            ends = align == "justify" and number == len(rows) - 1
            spans.append(self._row(row, start, right, y, size, style, "left" if ends else align))
            y += leading * size
        edges = (min(start for start, _ in spans), max(end for _, end in spans))
        bottom = y - leading * size + 0.25 * size
        self.note(type_, text, (edges[0], top + 0.1 * size, edges[1], bottom))
        return y - size

    def heading(self, text: str, left: float, top: float, right: float, size: float, style: int = 1) -> float:
        """Draw a heading; returns where it ends."""
        return self.text(text, left, top, right, size, type_=BlockType.TITLE, align="left", style=style)

    def rule(self, x1: float, y1: float, x2: float, y2: float, width: float = 0.7) -> None:
        """Draw a straight line."""
        self.page.draw_line((x1, y1), (x2, y2), width=width)

    def finish(self, name: str, kind: str) -> TruthPage:
        """Return the page as a PDF with its truth."""
        self.document.subset_fonts()
        data = self.document.tobytes(garbage=3, deflate=True, no_new_id=True)
        return TruthPage(name, kind, bytes(data), tuple(self.blocks), dpi=DPI)

    def _row(
        self, row: Sequence[str], left: float, right: float, y: float, size: float, style: int, align: Align
    ) -> tuple[float, float]:
        """Draw a row; returns where it starts and ends."""
        face = font(self.family, style)
        space = "" if self.family == "cjk" else " "
        whole = space.join(row)
        if align != "justify" or len(row) < 2 or self.family == "cjk":
            spare = right - left - float(face.text_length(whole, size))
            start = left + {"right": spare, "centre": spare / 2}.get(align, 0.0)
            return start, self.line(start, y, whole, size, style)
        stretch = (right - left - sum(float(face.text_length(word, size)) for word in row)) / (len(row) - 1)
        writer = pymupdf.TextWriter(self.page.rect)
        x = left
        for word in row:
            writer.append((x, y), word, font=face, fontsize=size)
            x += float(face.text_length(word, size)) + stretch
        writer.write_text(self.page)
        return left, right


def _rows(
    text: str,
    face: pymupdf.Font,
    size: float,
    first: float,
    others: float,
    hyphens: bool,
    family: Family,
) -> list[list[str]]:
    """Break text into rows of words that fit."""
    space = "" if family == "cjk" else " "
    rows: list[list[str]] = []
    row: list[str] = []
    waiting = list(reversed(list(text) if family == "cjk" else text.split(" ")))
    while waiting:
        word = waiting.pop()
        room = others if rows else first
        if not row or face.text_length(space.join([*row, word]), size) <= room or word in _CLINGING:
            row.append(word)
            continue
        cut = len(word) // 2
        if hyphens and len(word) >= 9 and word.isalpha():
            head = f"{word[:cut]}-"
            if face.text_length(space.join([*row, head]), size) <= room:
                row.append(head)
                word = word[cut:]
        rows.append(row)
        row = [word]
    return [*rows, row]
