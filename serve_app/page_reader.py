"""The reader of documents over the three stages."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from opentelemetry import trace
from pydantic import BaseModel, ConfigDict, Field

from deployments.errors import OcrError, ProcessingTimeout
from deployments.model.ladder import Attempt, LadderSettings
from deployments.types import (
    DocumentInfo,
    FinishReason,
    Generation,
    GenerationOptions,
    PagePicture,
    PageRequest,
    PageResult,
    PreparedPage,
)
from serve_app.attempts import climb
from serve_app.fair_places import FairPlaces
from serve_app.reading import PLAIN_WRITING, PageDelta, PageDone, PageEvent, PageFailed, PageStarted, Writing
from serve_app.stages import DocumentT, PreparedT, Stages
from serve_app.tasks import stopped

logger = logging.getLogger(__name__)

tracer = trace.get_tracer("dsocr")
"""Makes spans; what becomes of them, `serve_app.tracing` decides."""

Emit = Callable[[PageEvent], Awaitable[None]]
EndT = TypeVar("EndT")
DoneT = TypeVar("DoneT")


class ReadingSettings(BaseModel):
    """How much is read at once, and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_pages_in_flight: int = Field(
        256,
        ge=1,
        description="Pages under way at once, over all documents of a reader. Where it is not set, it grows "
        "with a GPU's engine, to 320 for 1,024 sequences.",
    )
    max_pages_per_document: int = Field(16, ge=1, description="Pages of one document under way at once.")
    page_timeout_s: float = Field(
        600, gt=0, description="Longest time for one page, all attempts and waiting counted."
    )
    ladder: LadderSettings = Field(default_factory=LadderSettings)


@dataclass(frozen=True, slots=True)
class _Job(Generic[DocumentT]):
    """What all pages of one call share; `share` stands for the document where places are shared out."""

    document: DocumentT
    request: PageRequest
    stream: bool
    confidence: bool
    figures: bool
    writing: Writing = PLAIN_WRITING
    caller: str = ""
    share: object = field(default_factory=object)


class PageObserver(Protocol):
    """Is told how pages fare."""

    def moved(self, waiting: int, under_way: int) -> None:
        """Note how many pages wait for a place, and how many hold one."""
        ...

    def ended(self, caller: str, end: PageDone | PageFailed, seconds: float) -> None:
        """Note a page's end, and the time since it was asked for."""
        ...


class PageReader(Generic[DocumentT, PreparedT]):
    """Reads the pages of documents, a bounded number at once over all documents, shared out fairly.

    A page that runs away is tried again as the ladder of its task says. A page whose replica died
    under it is tried once more. Whatever else fails is that page's error and leaves the others whole.

    Args:
        stages: where the steps of a page happen.
        settings: how much is read at once, and for how long.
        observer: counts pages.
    """

    def __init__(
        self,
        stages: Stages[DocumentT, PreparedT],
        settings: ReadingSettings,
        observer: PageObserver | None = None,
    ) -> None:
        self._stages = stages
        self._observer = observer
        self._settings = settings
        self._places = FairPlaces(settings.max_pages_in_flight)
        # What needs no engine does not wait for one.
        self._drawing = FairPlaces(settings.max_pages_per_document)

    async def hold(self, document: bytes) -> DocumentT:
        """Put a document where the stages reach it; see `serve_app.reading.Reader`."""
        return await self._stages.hold(document)

    async def inspect(self, document: DocumentT) -> DocumentInfo:
        """Return what a document is; see `serve_app.reading.Reader`."""
        return await self._stages.inspect(document)

    async def read(
        self,
        document: DocumentT,
        pages: Sequence[int],
        request: PageRequest,
        *,
        stream: bool = False,
        confidence: bool = False,
        figures: bool = False,
        writing: Writing = PLAIN_WRITING,
        caller: str = "",
    ) -> AsyncGenerator[PageEvent, None]:
        """Read pages; see `serve_app.reading.Reader`."""
        job = _Job(document, _with_image(request, figures), stream, confidence, figures, writing, caller)

        def end(index: int) -> Awaitable[PageEvent]:
            return self._page(job, index, _nobody)

        async with aclosing(self._mingled(job, pages) if stream else self._in_order(end, pages)) as events:
            async for event in events:
                yield event

    async def read_page(
        self,
        document: DocumentT,
        index: int,
        request: PageRequest,
        *,
        confidence: bool,
        figures: bool,
        caller: str,
    ) -> PageDone | PageFailed:
        """Read one page of a held document, for callers that keep their own order of pages.

        Args:
            document: what `hold` gave.
            index: number from 0, within the document.
            request: how the page is read.
            confidence: whether the generation carries its mean token probability.
            figures: whether figures carry their PNG bytes.
            caller: whose share of the service the page comes from.
        """
        page_request = _with_image(request, figures)
        job = _Job(document, page_request, False, confidence, figures, caller=caller, share=id(document))
        return await self._page(job, index, _nobody)

    async def rebuild(
        self,
        document: DocumentT,
        texts: Mapping[int, Generation],
        request: PageRequest,
        *,
        figures: bool = False,
        caller: str = "",
    ) -> AsyncGenerator[PageDone | PageFailed, None]:
        """Make pages anew of what was written for them; see `serve_app.reading.Reader`."""
        page_request = _with_image(request, figures)
        share = object()

        async def rebuilt(index: int) -> PageDone:
            page = await self._stages.prepare(document, index, page_request)
            return PageDone(await self._stages.postprocess(page, texts[index], figures=figures, attempts=1))

        def end(index: int) -> Awaitable[PageDone | PageFailed]:
            return self._ended(index, self._drawing.place(caller, share), rebuilt)

        async with aclosing(self._in_order(end, list(texts))) as pages:
            async for page in pages:
                yield page

    async def pictures(
        self, document: DocumentT, pages: Sequence[int], dpi: int, side: int, *, caller: str = ""
    ) -> AsyncGenerator[PagePicture | PageFailed, None]:
        """Draw pages to look at; see `serve_app.reading.Reader`."""
        share = object()

        async def drawn(index: int) -> PagePicture:
            return await self._stages.picture(document, index, dpi, side)

        def end(index: int) -> Awaitable[PagePicture | PageFailed]:
            return self._ended(index, self._drawing.place(caller, share), drawn)

        async with aclosing(self._in_order(end, pages)) as ends:
            async for page in ends:
                yield page

    async def _in_order(
        self, end: Callable[[int], Awaitable[EndT]], pages: Sequence[int]
    ) -> AsyncGenerator[EndT, None]:
        """Yield each page's end in the order asked for, working a bounded number ahead."""
        waiting = iter(pages)
        ahead: list[asyncio.Task[EndT]] = []
        try:
            while True:
                while len(ahead) < self._settings.max_pages_per_document and (
                    (index := next(waiting, None)) is not None
                ):
                    ahead.append(asyncio.ensure_future(end(index)))
                if not ahead:
                    return
                yield await ahead[0]
                del ahead[0]
        finally:
            await stopped(*ahead)

    async def _mingled(self, job: _Job[DocumentT], pages: Sequence[int]) -> AsyncGenerator[PageEvent, None]:
        """Yield deltas and ends as they come; a reader who is slow holds the stages back."""
        events: asyncio.Queue[PageEvent | None] = asyncio.Queue(maxsize=self._settings.max_pages_per_document)
        waiting = iter(pages)

        async def worker() -> None:
            for index in waiting:
                await events.put(await self._page(job, index, events.put))

        async def finish(workers: list[asyncio.Task[None]]) -> None:
            await asyncio.gather(*workers)
            await events.put(None)

        count = min(len(pages), self._settings.max_pages_per_document)
        workers = [asyncio.create_task(worker()) for _ in range(count)]
        end = asyncio.create_task(finish(workers))
        try:
            while (event := await events.get()) is not None:
                yield event
        finally:
            await stopped(end, *workers)

    async def _page(self, job: _Job[DocumentT], index: int, emit: Emit) -> PageDone | PageFailed:
        """Return how a page ended, and tell the observer; a page that is cancelled has no end."""

        async def read(index: int) -> PageDone:
            self._moved()
            return PageDone(await self._attempts(job, index, emit))

        began = time.monotonic()
        asyncio.get_running_loop().call_soon(self._moved)  # once this page waits, if it has to
        with tracer.start_as_current_span("page", attributes={"dsocr.page": index}) as span:
            try:
                end = await self._ended(index, self._places.place(job.caller, job.share), read)
            finally:
                self._moved()
            if isinstance(end, PageFailed):
                span.set_status(trace.StatusCode.ERROR, end.error.code)
        if self._observer is not None:
            self._observer.ended(job.caller, end, time.monotonic() - began)
        return end

    def _moved(self) -> None:
        if self._observer is not None:
            self._observer.moved(self._places.waiting, self._places.taken)

    async def _ended(
        self,
        index: int,
        place: AbstractAsyncContextManager[None],
        work: Callable[[int], Awaitable[DoneT]],
    ) -> DoneT | PageFailed:
        """Return what became of a page, which works within a place and a time of its own."""
        try:
            async with asyncio.timeout(self._settings.page_timeout_s), place:
                return await work(index)
        except TimeoutError:
            limit = self._settings.page_timeout_s
            return PageFailed(
                index, ProcessingTimeout(f"The page took longer than {limit:g} seconds; try it later.")
            )
        except OcrError as error:
            return PageFailed(index, error)
        except Exception:
            logger.exception("page %d failed through an internal error", index)
            return PageFailed(
                index, OcrError("The page failed through an internal error, which the service logged.")
            )

    async def _attempts(self, job: _Job[DocumentT], index: int, emit: Emit) -> PageResult:
        """Try the page as the ladder of its task says."""

        async def attempt(rung: Attempt, number: int, last: bool) -> PageResult | None:
            return await self._attempt(job, index, rung, number, emit, last=last)

        rungs = self._settings.ladder.attempts(job.request.task, job.request.crop)
        return await climb(rungs if job.writing.retry else rungs[:1], attempt)

    async def _attempt(
        self, job: _Job[DocumentT], index: int, rung: Attempt, number: int, emit: Emit, *, last: bool
    ) -> PageResult | None:
        """Return the finished page, or None if it ran away and another attempt is left."""
        options = GenerationOptions(
            task=job.request.task,
            max_tokens=job.writing.max_tokens,
            temperature=job.writing.temperature,
            ngram_size=rung.ngram_size,
            ngram_window=rung.ngram_window,
            confidence=job.confidence,
            stream=job.stream,
        )
        # Preprocess and Model share a span: the page goes from one to the other without coming back here.
        with tracer.start_as_current_span("read", attributes={"dsocr.attempt": number}) as span:
            page = await self._stages.prepare(job.document, index, replace(job.request, crop=rung.crop))
            if job.stream:
                generation = await self._streamed(page, index, options, number, emit)
            else:
                generation = await self._stages.read(page, options)
            span.set_attribute("dsocr.model_seconds", generation.seconds)
            span.set_attribute("dsocr.output_tokens", generation.output_tokens)
            span.set_attribute("dsocr.finish_reason", generation.finish_reason.value)
        if generation.finish_reason is FinishReason.RUNAWAY and not last:
            return None
        with tracer.start_as_current_span("postprocess"):
            return await self._stages.postprocess(page, generation, figures=job.figures, attempts=number)

    async def _streamed(
        self, page: PreparedT, index: int, options: GenerationOptions, number: int, emit: Emit
    ) -> Generation:
        """Emit a page's pieces and return its generation."""
        async with aclosing(self._stages.stream(page, options)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Generation):
                    return piece
                if isinstance(piece, PreparedPage):
                    await emit(PageStarted(piece, number))
                    continue
                await emit(PageDelta(index, piece, number))
        raise OcrError("The model ended the page without a result; try the page again.")


def _with_image(request: PageRequest, figures: bool) -> PageRequest:
    return replace(request, keep_image=request.keep_image or figures)


async def _nobody(_: PageEvent) -> None:
    """Take an event that nobody reads."""
