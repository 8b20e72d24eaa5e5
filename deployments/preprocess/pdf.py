"""Pages of a PDF, drawn by MuPDF.

MuPDF is not safe to use from several threads, so one lock guards every call into it: threads of a
process take turns, and more cores are used by more processes.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pymupdf

from deployments.errors import (
    CorruptDocument,
    CorruptPage,
    EmptyDocument,
    EncryptedDocument,
    TooManyPages,
    UnsupportedMediaType,
)
from deployments.preprocess.page_image import PageImage, check_pixels
from deployments.preprocess.settings import DocumentLimits

POINTS_PER_INCH = 72

_LOCK = threading.Lock()
# What PyMuPDF raises on damaged files: its own errors are RuntimeErrors, MuPDF's have their own tree.
_DAMAGE = (RuntimeError, ValueError, IndexError, pymupdf.mupdf.FzErrorBase)


@contextmanager
def _mupdf() -> Iterator[None]:
    """Hold MuPDF for this thread, without its messages on stderr or in its ever-growing list of them."""
    with _LOCK:
        pymupdf.TOOLS.mupdf_display_errors(False)
        pymupdf.TOOLS.mupdf_display_warnings(False)
        try:
            yield
        finally:
            pymupdf.TOOLS.reset_mupdf_warnings()


class PdfPages:
    """An open PDF. Threads may share one; they take turns.

    Raises:
        CorruptDocument: MuPDF can't open it, even by repairing it.
        EncryptedDocument: it needs a password; an empty user password is no hindrance.
        EmptyDocument: it has no pages.
        TooManyPages: it has more pages than allowed.
        UnsupportedMediaType: it only looks like a PDF.
    """

    media_type = "application/pdf"

    def __init__(self, data: bytes, limits: DocumentLimits) -> None:
        self._limits = limits
        with _mupdf():
            try:
                self._document = pymupdf.open(stream=data, filetype="pdf")
            except _DAMAGE as error:
                raise CorruptDocument("The PDF is damaged and can't be opened.") from error
            try:
                self.page_count = self._count()
            except BaseException:
                self._document.close()
                raise

    def _count(self) -> int:
        # MuPDF goes by content too, and reads e-books and drawings that carry a PDF's mark.
        if not self._document.is_pdf:
            raise UnsupportedMediaType("The file carries a PDF's mark but is something else.")
        if self._document.needs_pass:
            raise EncryptedDocument("The PDF needs a password. Remove its protection and send it again.")
        try:
            count: int = self._document.page_count
        except _DAMAGE as error:
            raise CorruptDocument("The PDF is damaged: its pages can't be counted.") from error
        if count < 1:
            raise EmptyDocument("The PDF has no pages.")
        if count > self._limits.max_pages:
            raise TooManyPages(
                f"The document has {count:,} pages; the limit is {self._limits.max_pages:,}. Split it."
            )
        return count

    def render(self, index: int, dpi: int) -> PageImage:
        """Draw a page, turned as its /Rotate says, annotations included.

        Args:
            index: page number from 0, within the document.
            dpi: dots per inch.

        Raises:
            CorruptPage: the page can't be loaded or drawn.
            TooManyPixels: the drawing would be too large; nothing was drawn.
        """
        with _mupdf():
            try:
                return self._draw(index, dpi)
            except _DAMAGE as error:
                raise CorruptPage(f"Page {index} of the PDF is damaged and can't be drawn.") from error

    def _draw(self, index: int, dpi: int) -> PageImage:
        page = self._document.load_page(index)
        zoom = dpi / POINTS_PER_INCH
        # MuPDF takes a page of less than a point as a point, so half a pixel at least is left to round up.
        width, height = math.ceil(page.rect.width * zoom), math.ceil(page.rect.height * zoom)
        check_pixels(width, height, self._limits.max_pixels, "Ask for fewer dots per inch (dpi).")
        pixmap = page.get_pixmap(matrix=pymupdf.Matrix(zoom, zoom), colorspace=pymupdf.csRGB, alpha=False)
        rows = np.frombuffer(pixmap.samples_mv, np.uint8).reshape(pixmap.height, pixmap.stride)
        pixels = rows[:, : pixmap.width * 3].reshape(pixmap.height, pixmap.width, 3)
        return PageImage(pixels.copy(), dpi)

    def close(self) -> None:
        """Free the document. Idempotent."""
        with _mupdf():
            if not self._document.is_closed:
                self._document.close()
