"""A document's bytes to pages that an engine takes."""

import time
from collections.abc import Iterable, Iterator
from functools import partial

from tokenizers import Tokenizer

from deployments.errors import ConfigurationError, InvalidRequest, OcrError
from deployments.preprocess import previews
from deployments.preprocess.documents import Document
from deployments.preprocess.kept_documents import KeptDocuments, OpenDocument
from deployments.preprocess.orientation import Orientation, turned
from deployments.preprocess.prompts import prompt_for, tokenize_with_images
from deployments.preprocess.sandbox import Sandbox
from deployments.preprocess.settings import DocumentLimits, ViewSettings
from deployments.types import DocumentInfo, EngineInput, PagePicture, PageRequest, PreparedPage

MIN_DPI, MAX_DPI = 36, 600


class Preprocessor:
    """Prepares pages for one engine. Threads may share one.

    Between calls it keeps nothing but a few books, open for their next pages: see `close_idle`.

    Args:
        limits: what is read at all.
        views: geometry of the model's views.
        takes: which part of a prepared page the engine reads.
        tokenizer: the model's; needed where the engine takes views.
        sandbox: where documents are opened that are dangerous to open; None opens all in this process.
        orientation: finds pages that are turned, which are turned back; None takes pages as they come.

    Raises:
        ConfigurationError: the engine takes views and there is no tokenizer.
    """

    def __init__(
        self,
        limits: DocumentLimits,
        views: ViewSettings,
        takes: EngineInput,
        tokenizer: Tokenizer | None,
        sandbox: Sandbox | None = None,
        orientation: Orientation | None = None,
    ) -> None:
        if takes is EngineInput.VIEWS and tokenizer is None:
            raise ConfigurationError("This engine needs the model's tokenizer. Name the model folder.")
        self._open = partial(Document.open, limits=limits) if sandbox is None else sandbox.open
        self._kept = KeptDocuments(self._open)
        self._views = views
        self._orientation = orientation
        self._tokenizer = tokenizer if takes is EngineInput.VIEWS else None

    def inspect(self, data: bytes) -> DocumentInfo:
        """Say what a file is and how many pages it has.

        Raises:
            OcrError: as `Document.open`.
        """
        with self._open(data) as document:
            return document.info

    def prepare(self, data: bytes, index: int, request: PageRequest) -> PreparedPage:
        """Prepare one page.

        Args:
            data: the whole file.
            index: page number from 0.
            request: how it is to be read.

        Raises:
            OcrError: as `Document.open`, `Document.render` and `prompt_for`, or a dpi out of range.
        """
        started = time.perf_counter()
        prompt = _checked_prompt(request)
        with self._kept.document(data) as document:
            return self._page(document, index, request, prompt, started)

    def picture(self, data: bytes, index: int, dpi: int, side: int) -> PagePicture:
        """Draw one page to look at.

        Args:
            data: the whole file.
            index: page number from 0.
            dpi: at which the page would be read.
            side: most pixels of the picture's longer side.

        Raises:
            OcrError: as `Document.open` and `Document.render`, or a dpi out of range.
        """
        _check_dpi(dpi)
        with self._kept.document(data) as document:
            page = document.render(index, dpi)
        return previews.picture(page, index, side)

    def prepare_pages(
        self, data: bytes, indices: Iterable[int], request: PageRequest
    ) -> Iterator[tuple[int, PreparedPage | OcrError]]:
        """Prepare many pages, opening the file once.

        Args:
            data: the whole file.
            indices: page numbers from 0, in the order wanted.
            request: how they are to be read.

        Yields:
            Each page's number, with the page or what is wrong with it; a bad page leaves the others whole.

        Raises:
            OcrError: what concerns all pages, as `prepare`; when the first page is asked for.
        """
        started = time.perf_counter()
        prompt = _checked_prompt(request)
        with self._open(data) as document:
            for index in indices:
                page: PreparedPage | OcrError
                try:
                    page = self._page(document, index, request, prompt, started)
                except OcrError as error:
                    page = error
                yield index, page
                started = time.perf_counter()

    def close_idle(self, idle_s: float = 0.0) -> None:
        """Close the books of which no page was asked for in so many seconds."""
        self._kept.close_idle(idle_s)

    def _page(
        self,
        document: OpenDocument,
        index: int,
        request: PageRequest,
        prompt: str,
        started: float,
    ) -> PreparedPage:
        page = document.render(index, request.dpi)
        rotation = 0 if self._orientation is None else self._orientation.rotation(page.pixels)
        pixels = turned(page.pixels, rotation)
        views = None
        if self._tokenizer is not None:
            views = tokenize_with_images(pixels, prompt, self._tokenizer, self._views, request.crop)
        height, width, _ = pixels.shape
        return PreparedPage(
            index=index,
            width=width,
            height=height,
            dpi=page.dpi,
            prompt=prompt,
            image=pixels if views is None or request.keep_image else None,
            views=views,
            seconds=time.perf_counter() - started,
            rotation=rotation,
        )


def _checked_prompt(request: PageRequest) -> str:
    """The request's prompt, once the request is known to be sound."""
    _check_dpi(request.dpi)
    return prompt_for(request.task, request.prompt)


def _check_dpi(dpi: int) -> None:
    if not MIN_DPI <= dpi <= MAX_DPI:
        raise InvalidRequest(f"dpi must be from {MIN_DPI} to {MAX_DPI}, not {dpi}.", param="dpi")
