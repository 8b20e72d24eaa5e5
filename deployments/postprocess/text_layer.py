"""An invisible text layer for PDF pages, from blocks.

The model gives a place to each block, not to each line or word. So a block's words are set as lines
that fill its box: as many lines as give letters of usual proportions, each stretched to the box's
width. A word is therefore found within its block and near its line, not to the letter.

The text is drawn in rendering mode 3 (neither filled nor stroked; ISO 32000-1, 9.3.6) in a font that
has no shapes at all, only widths and the characters that its codes mean. That covers every script
and adds a few kilobytes. Text that runs from right to left is kept in logical order.
"""

import math
import unicodedata
from collections.abc import Iterable
from typing import NamedTuple

import pymupdf

from deployments.postprocess import plain_text, tables
from deployments.postprocess.empty_font import EMPTY_TRUETYPE
from deployments.postprocess.tables import TableGrid
from deployments.types import Block, BlockType, PageResult

_LEADING = 1.2
"""Line height over font size, as typeset text usually has it."""

_MOST_CODES = 0xFFFF
_STRETCH = (10.0, 1_000.0)
"""Bounds of the horizontal scaling, in percent, so that a stray box gives no absurd letters."""


class Line(NamedTuple):
    """One line of text and where it stands, in pixels of the page image, y downwards."""

    text: str
    x: float
    y: float
    width: float
    height: float


def units(text: str) -> float:
    """A text's width in em: 1 for a wide character (Unicode Annex 11), 0 for a combining one, else 0.5."""
    return sum(map(_character_units, text))


def _character_units(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    return 1.0 if unicodedata.east_asian_width(character) in "WF" else 0.5


def place(result: PageResult) -> list[Line]:
    """All lines of a page at their places; text without a box fills the page within a margin."""
    placed: list[Line] = []
    floating: list[str] = []
    for block in result.blocks:
        if block.box is None:
            floating += plain_text.lines(block)
        elif block.type is BlockType.TABLE:
            placed += _table_lines(block)
        else:
            x1, y1, x2, y2 = block.box
            placed += _fill(plain_text.lines(block), Line("", x1, y1, x2 - x1, y2 - y1))
    margin = 0.05
    area = Line(
        "", margin * result.width, margin * result.height,
        (1 - 2 * margin) * result.width, (1 - 2 * margin) * result.height,
    )  # fmt: skip
    return placed + _fill(floating, area)


def _table_lines(block: Block) -> Iterable[Line]:
    """Cells on a grid of equal rows and columns, as their true edges are not known."""
    assert block.box is not None  # noqa: S101 - the caller looked
    segments = tables.parse(block.content)
    rows = sum(segment.rows if isinstance(segment, TableGrid) else 1 for segment in segments)
    height = (block.box.y2 - block.box.y1) / max(rows, 1)
    width = block.box.x2 - block.box.x1
    y = float(block.box.y1)
    for segment in segments:
        if isinstance(segment, str):
            yield from _fill(segment.split("\n"), Line("", block.box.x1, y, width, height))
            y += height
            continue
        column = width / segment.columns
        for cell in segment.cells:
            area = Line(
                "",
                block.box.x1 + cell.column * column,
                y + cell.row * height,
                cell.colspan * column,
                cell.rowspan * height,
            )
            for line in _fill(cell.text.split("\n"), area):
                # A cell's text seldom reaches its edges; readers join words that touch.
                natural = units(line.text) * line.height / _LEADING
                yield line._replace(width=min(natural, 0.95 * line.width))
        y += segment.rows * height


def _fill(texts: list[str], area: Line) -> list[Line]:
    """Wrap texts so that they fill an area with letters of usual proportions."""
    total = sum(map(units, texts))
    if not total:
        return []
    # n lines of total / n em across and of 1.2 em height each have the area's proportions.
    count = max(1, round(math.sqrt(total * area.height / (_LEADING * area.width))))
    longest = max(total / count, 1.0)
    wrapped = [line for text in texts for line in _wrap(text, longest)]
    height = area.height / len(wrapped)
    widest = max(map(units, wrapped))
    return [
        Line(line, area.x, area.y + number * height, area.width * units(line) / widest, height)
        for number, line in enumerate(wrapped)
    ]


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
        width += _character_units(character)
        if width > longest and number:
            return word[:number]
    return word


class TextLayer:
    """A PDF whose pages hold nothing but invisible text; its pages are laid over those of another.

    PyMuPDF must not be used by two threads of a process at the same time.
    """

    def __init__(self) -> None:
        self.document = pymupdf.open()
        self._codes: dict[str, int] = {}
        self._font = self.document.get_new_xref()

    def add(self, lines: Iterable[Line], scale: float, width: float, height: float) -> int:
        """Add a page of text and return its number.

        Args:
            lines: in pixels.
            scale: points per pixel.
            width: of the page in points.
            height: of the page in points.
        """
        page = self.document.new_page(width=width, height=height)
        content = ["BT 3 Tr"]
        for line in lines:
            size = line.height * scale / _LEADING
            natural = units(line.text) * size
            if size <= 0 or natural <= 0:
                continue
            stretch = min(max(100 * line.width * scale / natural, _STRETCH[0]), _STRETCH[1])
            # The letters reach from 0.2 em under the baseline to 0.8 em above it.
            baseline = height - (line.y + line.height / 2) * scale - 0.3 * size
            content.append(
                f"/F {size:.3f} Tf {stretch:.2f} Tz 1 0 0 1 {line.x * scale:.3f} {baseline:.3f} Tm"
                f" <{self._encoded(line.text)}> Tj"
            )
        content.append("ET")
        stream = self.document.get_new_xref()
        self.document.update_object(stream, "<<>>")
        self.document.update_stream(stream, "\n".join(content).encode("ascii"))
        self.document.xref_set_key(page.xref, "Contents", f"{stream} 0 R")
        self.document.xref_set_key(page.xref, "Resources", f"<</Font<</F {self._font} 0 R>>>>")
        return int(page.number)

    def _encoded(self, text: str) -> str:
        """A text's codes in hexadecimal: two bytes for each of the document's characters, as they come."""
        codes = []
        for character in text:
            if character not in self._codes and len(self._codes) < _MOST_CODES:
                self._codes[character] = len(self._codes) + 1
            codes.append(f"{self._codes.get(character, 0):04x}")
        return "".join(codes)

    def finish(self) -> pymupdf.Document:
        """Write the font, now that all characters are known, and return the document."""
        document = self.document
        descendant, descriptor, meanings, file, shapes = (document.get_new_xref() for _ in range(5))
        for xref, data in (
            (meanings, _meanings(self._codes)),
            (file, EMPTY_TRUETYPE),
            (shapes, bytes(2 * (len(self._codes) + 1))),
        ):
            document.update_object(xref, f"<</Length1 {len(data)}>>" if xref == file else "<<>>")
            document.update_stream(xref, data)
        widths = " ".join(f"{round(1000 * _character_units(character))}" for character in self._codes)
        document.update_object(
            descriptor,
            "<</Type/FontDescriptor/FontName/Invisible/Flags 4/FontBBox[0 -200 1000 800]/ItalicAngle 0"
            f"/Ascent 800/Descent -200/CapHeight 700/StemV 80/FontFile2 {file} 0 R>>",
        )
        document.update_object(
            descendant,
            "<</Type/Font/Subtype/CIDFontType2/BaseFont/Invisible"
            "/CIDSystemInfo<</Registry(Adobe)/Ordering(Identity)/Supplement 0>>"
            f"/FontDescriptor {descriptor} 0 R/DW 500/W[1[{widths}]]/CIDToGIDMap {shapes} 0 R>>",
        )
        document.update_object(
            self._font,
            "<</Type/Font/Subtype/Type0/BaseFont/Invisible/Encoding/Identity-H"
            f"/DescendantFonts[{descendant} 0 R]/ToUnicode {meanings} 0 R>>",
        )
        return document


def _meanings(codes: dict[str, int]) -> bytes:
    """The ToUnicode map (ISO 32000-1, 9.10.3): blocks of at most 100 codes and their UTF-16."""
    entries = [
        f"<{code:04x}> <{character.encode('utf-16-be', 'replace').hex()}>"
        for character, code in codes.items()
    ]
    blocks = [entries[start : start + 100] for start in range(0, len(entries), 100)]
    return "\n".join(
        [
            "/CIDInit /ProcSet findresource begin 12 dict begin begincmap",
            "/CIDSystemInfo <</Registry (Adobe) /Ordering (UCS) /Supplement 0>> def",
            "/CMapName /Adobe-Identity-UCS def /CMapType 2 def",
            "1 begincodespacerange <0000> <ffff> endcodespacerange",
            *("\n".join([f"{len(block)} beginbfchar", *block, "endbfchar"]) for block in blocks),
            "endcmap CMapName currentdict /CMap defineresource pop end end",
        ]
    ).encode("ascii")
