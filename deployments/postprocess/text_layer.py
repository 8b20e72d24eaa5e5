"""An invisible text layer for PDF pages.

The text is drawn in rendering mode 3 (neither filled nor stroked; ISO 32000-1, 9.3.6) in a font that
has no shapes at all, only widths and the characters that its codes mean. That covers every script
and adds a few kilobytes. Text that runs from right to left is kept in logical order.
"""

from collections.abc import Iterable

import pymupdf

from deployments.postprocess.empty_font import EMPTY_TRUETYPE
from deployments.postprocess.text_lines import LEADING, Line, character_units, units

_MOST_CODES = 0xFFFF
_STRETCH = (10.0, 1_000.0)
"""Bounds of the horizontal scaling, in percent, so that a stray box gives no absurd letters."""


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
            size = line.height * scale / LEADING
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
        widths = " ".join(f"{round(1000 * character_units(character))}" for character in self._codes)
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
