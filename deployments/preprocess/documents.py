"""Bytes to page images, within limits.

What a file is, its content says; names and declared types are never asked for. PDFs are drawn by
MuPDF, pictures decoded by Pillow.
"""

from types import TracebackType
from typing import Self

from deployments.errors import DocumentTooLarge, EmptyDocument, InvalidRequest, UnsupportedMediaType
from deployments.preprocess.page_image import PageImage
from deployments.preprocess.pdf import PdfPages
from deployments.preprocess.pictures import PicturePages
from deployments.preprocess.settings import DocumentLimits
from deployments.types import DocumentInfo, DocumentKind

_MARKS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),  # BigTIFF
    (b"MM\0+", "image/tiff"),
)
# The header may come late: ISO 32000-1, annex H, implementation note 13.
_PDF_MARK, _PDF_MARK_WITHIN = b"%PDF-", 1024
# Lengths of the header that follows a BMP's file header, one for each version of the format.
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}


def inspect(data: bytes, limits: DocumentLimits) -> DocumentInfo:
    """Say what a file is and how many pages it has, without decoding any.

    Args:
        data: the whole file.
        limits: what is read at all.

    Raises:
        OcrError: as `Document.open`.
    """
    with Document.open(data, limits) as document:
        return document.info


def media_type_of(data: bytes) -> str:
    """Tell a file's media type from its first bytes.

    Raises:
        UnsupportedMediaType: it is none of those that are read.
    """
    for mark, media_type in _MARKS:
        if data.startswith(mark):
            return media_type
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "image/bmp"
    if _PDF_MARK in data[:_PDF_MARK_WITHIN]:
        return "application/pdf"
    raise UnsupportedMediaType(
        "The file is of no type that is read. Send a PDF, or a JPEG, PNG, WebP, TIFF, BMP or GIF picture."
    )


def accepted_type(data: bytes, limits: DocumentLimits) -> str:
    """Return the media type of a file that may be opened.

    Raises:
        EmptyDocument: no bytes.
        DocumentTooLarge: too many bytes.
        UnsupportedMediaType: of no type that is read.
    """
    if not data:
        raise EmptyDocument("The file is empty.")
    if len(data) > limits.max_bytes:
        raise DocumentTooLarge(f"The file has {len(data):,} bytes; the limit is {limits.max_bytes:,}.")
    return media_type_of(data)


class Document:
    """An open file and its pages, for one thread at a time; different documents may be read at once.

    Attributes:
        info: what it is.
    """

    def __init__(self, pages: PdfPages | PicturePages, info: DocumentInfo) -> None:
        self._pages = pages
        self.info = info

    @classmethod
    def open(cls, data: bytes, limits: DocumentLimits) -> Self:
        """Open a file.

        Args:
            data: the whole file.
            limits: what is read at all.

        Raises:
            EmptyDocument: no bytes, or no pages.
            DocumentTooLarge: too many bytes.
            TooManyPages: too many pages.
            TooManyPixels: a picture so large that not even its headers are read.
            UnsupportedMediaType: of no type that is read.
            EncryptedDocument: a PDF that needs a password.
            CorruptDocument: damaged.
        """
        media_type = accepted_type(data, limits)
        pages: PdfPages | PicturePages
        if media_type == PdfPages.media_type:
            kind, pages = DocumentKind.PDF, PdfPages(data, limits)
        else:
            kind, pages = DocumentKind.IMAGE, PicturePages(media_type, data, limits)
        return cls(pages, DocumentInfo(kind, media_type, pages.page_count, len(data)))

    def render(self, index: int, dpi: int) -> PageImage:
        """Make one page's image.

        Args:
            index: page number from 0.
            dpi: dots per inch at which a PDF page is drawn; pictures keep their pixels.

        Raises:
            InvalidRequest: no such page.
            CorruptPage: this page alone is damaged.
            TooManyPixels: its image would be too large; nothing was decoded or drawn.
        """
        if not 0 <= index < self.info.page_count:
            count = self.info.page_count
            has = "one page, number 0" if count == 1 else f"pages 0 to {count - 1}"
            raise InvalidRequest(f"There is no page {index}: the document has {has}.", param="pages")
        return self._pages.render(index, dpi)

    def close(self) -> None:
        """Free what the document holds. Idempotent."""
        self._pages.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
