"""PDFs of a read document: searchable, and with the blocks drawn on its pages.

Both are made over the original PDF or from page images. PyMuPDF must not be used by two threads of a
process at the same time: call these where nothing else uses it.
"""

import io
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pymupdf
from PIL import Image

from deployments.errors import CorruptDocument, EncryptedDocument
from deployments.postprocess import drawing
from deployments.postprocess.ink import Ink
from deployments.postprocess.text_layer import TextLayer
from deployments.postprocess.text_lines import place
from deployments.postprocess.turning import turned_size, upright
from deployments.types import PageResult, Pixels

_DPI = 144
"""Taken for a page whose resolution isn't known."""

_LONGEST_SIDE = 14_400
"""Points; the largest page that PDF readers must accept (ISO 32000-1, annex C)."""

_JPEG_QUALITY = 85

_INK_SIDE = 2_000
"""Pixels, at most, of the picture in which lines of print are looked for; a small letter has ten."""


def searchable(
    results: Iterable[PageResult],
    *,
    source: bytes | None = None,
    images: Iterable[Pixels] | None = None,
    over_text: bool = False,
) -> bytes:
    """A PDF that looks like the document and whose text can be searched and copied.

    Args:
        results: the pages read.
        source: the original PDF, whose other pages stay as they are.
        images: or the page images, one for each result, from which the pages are made.
        over_text: whether pages of the source that already have text get a second layer.

    Raises:
        CorruptDocument: if the source can't be opened.
        EncryptedDocument: if the source needs a password.
        ValueError: unless there is either a source or as many images as results.
    """
    results = list(results)
    layer = TextLayer()
    with _document(results, source, images) as document:
        laid = []
        for page, result in _pages(document, results, source):
            if source is not None and not over_text and page.get_text().strip():
                continue
            scale = page.rect.width / result.width
            size = turned_size(result.rotation, page.rect.width, page.rect.height)
            lines = place(upright(result), _ink(page, result))
            laid.append((page.number, layer.add(lines, scale, *size), result.rotation))
        if laid:
            text = layer.finish()
            for number, layer_number, rotation in laid:
                page = document[number]
                page.show_pdf_page(page.rect, text, layer_number, rotate=rotation)
        return _saved(document)


def layout(
    results: Iterable[PageResult], *, source: bytes | None = None, images: Iterable[Pixels] | None = None
) -> bytes:
    """A PDF of the document with each block's box and label, coloured by type, in reading order.

    Args:
        results: the pages read.
        source: the original PDF, whose other pages stay as they are.
        images: or the page images, one for each result, from which the pages are made.

    Raises:
        CorruptDocument: if the source can't be opened.
        EncryptedDocument: if the source needs a password.
        ValueError: unless there is either a source or as many images as results.
    """
    results = list(results)
    with _document(results, source, images) as document:
        for page, result in _pages(document, results, source):
            _draw(page, result)
        return _saved(document)


def _document(
    results: Sequence[PageResult], source: bytes | None, images: Iterable[Pixels] | None
) -> pymupdf.Document:
    if (source is None) == (images is None):
        raise ValueError("give the original PDF or the page images, one of them")
    if source is not None:
        return _opened(source)
    document = pymupdf.open()
    for result, image in zip(results, images or (), strict=True):
        height, width = image.shape[:2]
        scale = min(72 / (result.dpi or _DPI), _LONGEST_SIDE / max(width, height))
        page = document.new_page(width=width * scale, height=height * scale)
        out = io.BytesIO()
        Image.fromarray(image).save(out, "JPEG", quality=_JPEG_QUALITY)
        page.insert_image(page.rect, stream=out.getvalue())
    return document


def _opened(source: bytes) -> pymupdf.Document:
    try:
        document = pymupdf.open(stream=source, filetype="pdf")
    except (pymupdf.FileDataError, pymupdf.EmptyFileError) as error:
        raise CorruptDocument("The PDF can't be read. Send an undamaged file.") from error
    if document.needs_pass:
        document.close()
        raise EncryptedDocument("The PDF needs a password. Send a copy without one.")
    return document


def _pages(
    document: pymupdf.Document, results: Sequence[PageResult], source: bytes | None
) -> Iterator[tuple[pymupdf.Page, PageResult]]:
    """Each result with its page, turned so that page and image have the same upper left corner."""
    for number, result in enumerate(results):
        page = document[result.index if source is not None else number]
        if page.rotation:
            page.remove_rotation()
        if not page.is_wrapped:
            page.wrap_contents()
        yield page, result


def _ink(page: pymupdf.Page, result: PageResult) -> Ink:
    """Return the print on a page, turned upright."""
    zoom = min(result.width / page.rect.width, _INK_SIDE / max(page.rect.width, page.rect.height))
    drawn = page.get_pixmap(matrix=pymupdf.Matrix(zoom, zoom), colorspace=pymupdf.csRGB, alpha=False)
    picture = np.frombuffer(drawn.samples, np.uint8).reshape(drawn.height, drawn.width, 3)
    turned = turned_size(result.rotation, result.width, result.height)
    return Ink(np.rot90(picture, -result.rotation // 90), *turned)


def _draw(page: pymupdf.Page, result: PageResult) -> None:
    across, down = page.rect.width / result.width, page.rect.height / result.height
    font_size = min(max(max(page.rect.width, page.rect.height) / 110, 4.0), 40.0)
    shape = page.new_shape()
    for number, block in enumerate(result.blocks, 1):
        if block.box is None:
            continue
        x1, y1, x2, y2 = block.box
        box = pymupdf.Rect(x1 * across, y1 * down, x2 * across, y2 * down)
        colour = tuple(value / 255 for value in drawing.COLOURS[block.type])
        shape.draw_rect(box)
        shape.finish(color=colour, fill=colour, fill_opacity=0.12, width=font_size / 8)
        text = drawing.tag(block, number)
        width = pymupdf.get_text_length(text, fontsize=font_size)
        top = box.y0 - 1.3 * font_size if box.y0 >= 1.3 * font_size else box.y0
        left = max(0.0, min(box.x0, page.rect.width - width - 0.6 * font_size))
        shape.draw_rect(pymupdf.Rect(left, top, left + width + 0.6 * font_size, top + 1.3 * font_size))
        shape.finish(color=None, fill=colour, width=0)
        shape.insert_text(
            pymupdf.Point(left + 0.3 * font_size, top + font_size), text, fontsize=font_size, color=(1, 1, 1)
        )
    shape.commit()


def _saved(document: pymupdf.Document) -> bytes:
    return bytes(document.tobytes(garbage=3, deflate=True))
