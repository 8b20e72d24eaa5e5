"""Converting documents in this process, without a cluster."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from deployments.model.engine import Engine
from deployments.model.selection import choose_engine, create_engine
from deployments.postprocess.postprocessor import Postprocessor
from deployments.preprocess.preparation import Preparation
from deployments.types import FinishReason, Generation, PageRequest
from serve_app.api import recognition
from serve_app.api.downloads import file_of
from serve_app.api.replies import ReplyWriter
from serve_app.api.schemas import OcrOptions, StreamDone, StreamStart
from serve_app.converter import ConversionPart
from serve_app.formats import ResultFormat
from serve_app.page_reader import PageReader
from serve_app.printing import Printer
from serve_app.reading import PageDelta, PageDone, PageFailed, PageStarted, Reader
from serve_app.settings import Settings
from serve_app.stages import LocalStages


class LocalConverter:
    """Converts with a reader, and the engine and preparation behind it, which it closes."""

    def __init__(
        self, reader: Reader[Any], engine: Engine, max_pages: int, preparation: Preparation | None = None
    ) -> None:
        self._reader = reader
        self._engine = engine
        self._preparation = preparation
        self._max_pages = max_pages
        self._printer = Printer(processes=1)

    async def read(self, document: bytes, options: OcrOptions) -> AsyncGenerator[ConversionPart, None]:
        """Yield the parts of a conversion; see `serve_app.converter.Converter`."""
        work = await recognition.begin(self._reader, document, options, self._max_pages)
        writer = ReplyWriter(options, self._engine.model)
        yield StreamStart(model=writer.model, pages=work.pages, doc_size_bytes=work.info.size_bytes)
        async with aclosing(recognition.events(self._reader, work, stream=False)) as events:
            async for event in events:
                match event:
                    case PageDone(result):
                        yield writer.page(result)
                    case PageFailed(index, error):
                        yield writer.failed_page(index, error)
                    case PageStarted() | PageDelta():
                        pass
        if writer.pages_read == 0 and writer.first_error is not None:
            raise writer.first_error
        yield StreamDone(model=writer.model, usage_info=writer.usage(work.info))

    async def export(
        self, document: bytes, options: OcrOptions, written: Mapping[int, str], format_: ResultFormat
    ) -> bytes:
        """Return a file of pages that were read; see `serve_app.converter.Converter`."""
        held = await self._reader.hold(document)
        info = await self._reader.inspect(held)
        texts = {index: Generation(raw, FinishReason.STOP) for index, raw in written.items()}
        request = PageRequest(options.task, options.prompt, options.crop, options.dpi)
        pages = []
        rebuilding = self._reader.rebuild(held, texts, request, figures=format_.has_figures)
        async with aclosing(rebuilding) as events:
            async for event in events:
                if isinstance(event, PageFailed):
                    raise event.error
                pages.append(event.result)
        return await file_of(format_, pages, document, info, options, self._printer)

    async def close(self) -> None:
        """Close the engine and what prepares pages."""
        await self._engine.close()
        if self._preparation is not None:
            self._preparation.close()


def local_converter(settings: Settings) -> LocalConverter:
    """Load the engine that the settings mean on this machine.

    Raises:
        ConfigurationError: it can't run here.
    """
    choice = choose_engine(settings.model)
    preparation = settings.preparation(choice.takes)
    engine = create_engine(settings.model, choice.name, threads=len(os.sched_getaffinity(0)))
    stages = LocalStages(preparation.preprocessor(), engine, Postprocessor())
    return LocalConverter(
        PageReader(stages, settings.reading), engine, settings.limits.max_pages, preparation
    )
