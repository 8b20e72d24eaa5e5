"""What converts documents for the command line: this process, or a running service."""

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from serve_app.api.schemas import OcrOptions, OcrPage, StreamDone, StreamStart
from serve_app.formats import ResultFormat

ConversionPart = StreamStart | OcrPage | StreamDone


class Converter(Protocol):
    """Reads a document and gives it page by page in the shapes of the HTTP interface."""

    def read(self, document: bytes, options: OcrOptions) -> AsyncGenerator[ConversionPart, None]:
        """Yield the start, each page as it is done, in any order, and the end.

        Raises:
            OcrError: the document can't be read, or no page of it could.
        """
        ...

    async def export(
        self, document: bytes, options: OcrOptions, written: Mapping[int, str], format_: ResultFormat
    ) -> bytes:
        """Return a file of pages that were read.

        Args:
            document: its bytes.
            options: how it was read.
            written: what `raw` of each page says, by the page's number.
            format_: of the file; not JSON.

        Raises:
            OcrError: none can be made.
        """
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...
