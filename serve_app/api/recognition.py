"""Reading a document as a request asks: which pages, and one end for each of them, whatever happens."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from deployments.errors import GenerationFailed, InvalidRequest, OcrError, ProcessingTimeout
from deployments.types import DocumentInfo, PageRequest, Task
from serve_app.api import page_ranges
from serve_app.api.errors import internal_error
from serve_app.api.schemas import OcrOptions
from serve_app.reading import (
    PLAIN_WRITING,
    PageDelta,
    PageDone,
    PageEvent,
    PageFailed,
    PageStarted,
    Reader,
    Writing,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recognition:
    """A document of which certain pages are to be read.

    Attributes:
        document: its bytes.
        held: the document as the reader has it.
        info: what it is.
        pages: numbers from 0, each once, in the order asked for.
        options: how to read them.
    """

    document: bytes
    held: Any
    info: DocumentInfo
    pages: list[int]
    options: OcrOptions


async def begin(
    reader: Reader[Any], document: bytes, options: OcrOptions, max_pages: int, deadline: float | None = None
) -> Recognition:
    """Inspect a document and choose its pages.

    Args:
        reader: that inspects.
        document: its bytes.
        options: how to read it.
        max_pages: most pages to choose.
        deadline: on the event loop's clock.

    Raises:
        InvalidRequest: a page is not in the document, task and prompt don't go together, or so many pages
            can't be written in the format asked for.
        TooManyPages: more pages than allowed.
        ProcessingTimeout: the deadline passed.
        OcrError: the document can't be read.
    """
    if (options.task is Task.CUSTOM) != (options.prompt is not None):
        raise InvalidRequest("A prompt and the task 'custom' go together: send both or neither.", "prompt")
    try:
        async with asyncio.timeout_at(deadline):
            held = await reader.hold(document)
            info = await reader.inspect(held)
    except TimeoutError:
        raise _too_slow() from None
    pages = page_ranges.select(options.pages, info.page_count, max_pages)
    if options.format is not None:
        options.format.check(len(pages))
    return Recognition(document, held, info, pages, options)


async def events(
    reader: Reader[Any],
    recognition: Recognition,
    *,
    stream: bool,
    deadline: float | None = None,
    writing: Writing = PLAIN_WRITING,
    caller: str = "",
) -> AsyncGenerator[PageEvent, None]:
    """Read the pages; each ends in exactly one `PageDone` or `PageFailed`.

    What stops the reader as a whole becomes the error of the pages that had not ended. Closing this
    generator closes the reader's.

    Args:
        reader: that reads.
        recognition: what `begin` gave.
        stream: whether deltas come.
        deadline: on the event loop's clock.
        writing: how the engine writes.
        caller: whose share of the service the pages come from.
    """
    options = recognition.options
    figures = bool(options.include_image_base64) or (
        options.format is not None and options.format.has_figures
    )
    request = PageRequest(options.task, options.prompt, options.crop, options.dpi, keep_image=figures)
    reading = reader.read(
        recognition.held,
        recognition.pages,
        request,
        stream=stream,
        confidence=options.confidence_scores_granularity is not None,
        figures=figures,
        writing=writing,
        caller=caller,
    )
    async with aclosing(ends(reading, recognition, deadline=deadline)) as checked:
        async for event in checked:
            yield event


async def ends(
    reading: AsyncGenerator[PageEvent, None], recognition: Recognition, *, deadline: float | None = None
) -> AsyncGenerator[PageEvent, None]:
    """Pass a reading's events on, and see to it that each page ends in one `PageDone` or `PageFailed`.

    Args:
        reading: of the pages; closed with this generator.
        recognition: what `begin` gave.
        deadline: on the event loop's clock.
    """
    missing = dict.fromkeys(recognition.pages)
    async with aclosing(reading):
        while missing:
            event = await _next(reading, deadline)
            if isinstance(event, OcrError):
                for index in missing:
                    yield PageFailed(index, event)
                return
            match event:
                case PageDone(result):
                    missing.pop(result.index)
                case PageFailed(index):
                    missing.pop(index)
                case PageStarted() | PageDelta():
                    pass
            yield event


async def _next(reading: AsyncGenerator[PageEvent, None], deadline: float | None) -> PageEvent | OcrError:
    """Return the next event, or what ends the reading before its time."""
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(reading)
    except StopAsyncIteration:
        return GenerationFailed("The page ended without a result; try it again.")
    except TimeoutError:
        return _too_slow()
    except OcrError as error:
        return error
    except Exception:
        logger.exception("a reading ended through an internal error")
        return internal_error()


def _too_slow() -> ProcessingTimeout:
    return ProcessingTimeout("The request took too long; ask for fewer pages at once.")
