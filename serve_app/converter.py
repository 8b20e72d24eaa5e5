"""What converts documents for the command line: this process, or a running service."""

from collections.abc import AsyncGenerator
from typing import Protocol

from serve_app.api.schemas import OcrOptions, OcrPage, StreamDone, StreamStart

ConversionPart = StreamStart | OcrPage | StreamDone


class Converter(Protocol):
    """Reads a document and gives it page by page in the shapes of the HTTP interface."""

    def read(self, document: bytes, options: OcrOptions) -> AsyncGenerator[ConversionPart, None]:
        """Yield the start, each page as it is done, in any order, and the end.

        Raises:
            OcrError: the document can't be read, or no page of it could.
        """
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...
