"""The three stages as the reader of documents sees them, wherever they run."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Protocol, TypeVar

from deployments.model.engine import Engine, read_page
from deployments.postprocess.postprocessor import Postprocessor
from deployments.preprocess.preprocessor import Preprocessor
from deployments.types import (
    DocumentInfo,
    Generation,
    GenerationOptions,
    PagePicture,
    PageRequest,
    PageResult,
    PreparedPage,
)

DocumentT = TypeVar("DocumentT")
"""Where a document's bytes are: the bytes themselves, or a reference to them."""

PreparedT = TypeVar("PreparedT")
"""A prepared page, or the promise of one that travels on without being looked at."""


class Stages(Protocol[DocumentT, PreparedT]):
    """Where each step of a page happens. Every method raises errors of the `OcrError` tree alone."""

    async def hold(self, document: bytes) -> DocumentT:
        """Put a document where the stages reach it; it is freed with the returned value."""
        ...

    async def inspect(self, document: DocumentT) -> DocumentInfo:
        """Return what a document is."""
        ...

    async def prepare(self, document: DocumentT, index: int, request: PageRequest) -> PreparedT:
        """Begin to draw and tile a page."""
        ...

    def stream(
        self, page: PreparedT, options: GenerationOptions
    ) -> AsyncGenerator[PreparedPage | str | Generation, None]:
        """Stream the page's measures, what the model writes, then its generation.

        Closing the iterator aborts it.
        """
        ...

    async def read(self, page: PreparedT, options: GenerationOptions) -> Generation:
        """Return what the model writes."""
        ...

    async def postprocess(
        self, page: PreparedT, generation: Generation, *, figures: bool, attempts: int
    ) -> PageResult:
        """Return the finished page."""
        ...

    async def picture(self, document: DocumentT, index: int, dpi: int, side: int) -> PagePicture:
        """Return a page to look at."""
        ...


class LocalStages:
    """The stages in this process, for the command line: an engine and threads, no cluster."""

    def __init__(self, preprocessor: Preprocessor, engine: Engine, postprocessor: Postprocessor) -> None:
        self._preprocessor = preprocessor
        self._engine = engine
        self._postprocessor = postprocessor

    async def hold(self, document: bytes) -> bytes:
        """Return the document itself."""
        return document

    async def inspect(self, document: bytes) -> DocumentInfo:
        """Return what a document is."""
        return await asyncio.to_thread(self._preprocessor.inspect, document)

    async def prepare(self, document: bytes, index: int, request: PageRequest) -> PreparedPage:
        """Return a page, drawn, and as the engine takes it."""
        return await asyncio.to_thread(self._preprocessor.prepare, document, index, request)

    async def stream(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[PreparedPage | str | Generation, None]:
        """Stream the page's measures, what the engine writes, then its generation."""
        yield page.without_pixels()
        async with aclosing(self._engine.generate(page, options)) as pieces:
            async for piece in pieces:
                yield piece

    async def read(self, page: PreparedPage, options: GenerationOptions) -> Generation:
        """Return what the engine writes."""
        return await read_page(self._engine, page, options)

    async def postprocess(
        self, page: PreparedPage, generation: Generation, *, figures: bool, attempts: int
    ) -> PageResult:
        """Return the finished page."""
        return await asyncio.to_thread(
            self._postprocessor.process, page, generation, figures=figures, attempts=attempts
        )

    async def picture(self, document: bytes, index: int, dpi: int, side: int) -> PagePicture:
        """Return a page to look at."""
        return await asyncio.to_thread(self._preprocessor.picture, document, index, dpi, side)
