"""The Preprocess stage as a Ray Serve deployment."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ray.util.metrics import Histogram

from deployments.preprocess.kept_documents import KEPT_S
from deployments.preprocess.preparation import Preparation
from deployments.types import DocumentInfo, PagePicture, PageRequest, PreparedPage

PAGE_BOUNDARIES = [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30]
"""Seconds; a typical page takes 0.1 of one core, and a step that takes 30 is cut off."""


THREADS = 4
"""Pages in the making at once: while the sandbox draws one, others are tiled. Further calls wait here without
pixels, since Serve's router, which would wait instead, asks for a place again and again."""

T = TypeVar("T")


class PreprocessDeployment:
    """Draws and tiles pages on CPUs; one page at a time takes one core."""

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        preparation.start()
        self._preprocessor = preparation.preprocessor()
        self._threads = ThreadPoolExecutor(THREADS)
        self._closing: asyncio.TimerHandle | None = None
        self._seconds = Histogram("dsocr_preprocess_seconds", "Seconds of a page.", PAGE_BOUNDARIES)

    async def inspect(self, document: bytes) -> DocumentInfo:
        """Return what a document is."""
        return await self._done(self._preprocessor.inspect, document)

    async def prepare(self, document: bytes, index: int, request: PageRequest) -> PreparedPage:
        """Return one page, drawn, and as the engine takes it."""
        began = time.monotonic()
        page = await self._done(self._preprocessor.prepare, document, index, request)
        self._seconds.observe(time.monotonic() - began)
        return page

    async def picture(self, document: bytes, index: int, dpi: int, side: int) -> PagePicture:
        """Return one page to look at."""
        return await self._done(self._preprocessor.picture, document, index, dpi, side)

    async def _done(self, work: Callable[..., T], *arguments: Any) -> T:
        """Return what a thread makes of it, and see to it that what it leaves open is closed later."""
        loop = asyncio.get_running_loop()
        future = self._threads.submit(work, *arguments)
        # Even where nobody waits for its end any more.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._close_later, loop))
        return await asyncio.wrap_future(future)

    def _close_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._closing is not None:
            self._closing.cancel()
        self._closing = loop.call_later(KEPT_S, self._threads.submit, self._preprocessor.close_idle)

    async def __del__(self) -> None:
        self._preparation.close()
