"""PDFs as their own truth: what their text layer says stands on the page."""

from collections.abc import Iterator
from pathlib import Path

import pymupdf

from benchmarks.reading.truth import TruthBlock, TruthPage
from deployments.types import BlockType, Box

_DPI = 144
_LEAST_WORDS = 20
"""A page with fewer is a scan with a stamp, or blank."""


def pages_of(path: Path) -> Iterator[TruthPage]:
    """Yield the pages of a PDF, or of all PDFs in a folder, that have a text layer.

    Its blocks carry no kinds and no reading order, so that only what is lost, what is invented and the
    characters of its prose are scored. Words broken at a line's end are joined. A page that is one picture
    with invisible text behind is another OCR's work and no truth: it is left out.
    """
    for file in sorted(path.glob("**/*.pdf")) if path.is_dir() else [path]:
        data = file.read_bytes()
        with pymupdf.open(stream=data, filetype="pdf") as document:
            for index in range(len(document)):
                page = document[index]
                if len(page.get_text("words")) < _LEAST_WORDS or _is_ocr(page):
                    continue
                blocks = tuple(_blocks(page))
                yield TruthPage(
                    f"{file.stem}-{index + 1}", file.stem, data, blocks, index, whole=False, dpi=_DPI
                )


def _blocks(page: pymupdf.Page) -> Iterator[TruthBlock]:
    flags = pymupdf.TEXTFLAGS_BLOCKS | pymupdf.TEXT_DEHYPHENATE
    flags &= ~pymupdf.TEXT_PRESERVE_IMAGES
    scale = _DPI / 72
    for x1, y1, x2, y2, text, _, _ in page.get_text("blocks", flags=flags):
        if text.strip():
            box = Box(round(x1 * scale), round(y1 * scale), round(x2 * scale), round(y2 * scale))
            yield TruthBlock(BlockType.TEXT, text, box)


def _is_ocr(page: pymupdf.Page) -> bool:
    """Tell whether the page is a picture with text that is not drawn."""
    modes = {span["type"] for span in page.get_texttrace()}
    return modes == {3}
