"""The Preprocess stage as a Ray Serve deployment."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import ray
from ray.exceptions import GetTimeoutError, ObjectLostError
from ray.util.metrics import Histogram

from deployments.errors import StageLost
from deployments.preprocess.kept_documents import KEPT_S
from deployments.preprocess.preparation import Preparation
from deployments.types import DocumentInfo, PagePicture, PageRequest, PreparedPage

PAGE_BOUNDARIES = [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30]
"""Seconds; a typical page takes 0.1 of one core, and a step that takes 30 is cut off."""


THREADS = 4
"""Pages in the making at once: while the sandbox draws one, others are tiled. Further calls wait here without
pixels, since Serve's router, which would wait instead, asks for a place again and again."""

FETCHED_WITHIN_S = 60.0
"""For a document of at most some hundred megabytes, from another node's memory or its disk."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document in Ray's object store.

    As an argument of its own, Ray would fetch the bytes for each call that waits; so they come when their
    turn has come.
    """

    reference: ray.ObjectRef[bytes]

    def fetch(self) -> bytes:
        """Return the bytes; blocks the thread.

        Raises:
            StageLost: they are gone with the process or the node that had them, or don't come.
        """
        try:
            return ray.get(self.reference, timeout=FETCHED_WITHIN_S)
        except (ObjectLostError, GetTimeoutError) as error:
            raise StageLost("The document was lost on its way to a worker; send it again.") from error


HeldDocument = bytes | StoredDocument
"""A document, or where it is in the object store."""


class PreprocessDeployment:
    """Draws and tiles pages on CPUs; one page at a time takes one core."""

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        preparation.start()
        self._preprocessor = preparation.preprocessor()
        self._threads = ThreadPoolExecutor(THREADS)
        self._closing: asyncio.TimerHandle | None = None
        self._seconds = Histogram("dsocr_preprocess_seconds", "Seconds of a page.", PAGE_BOUNDARIES)

    async def inspect(self, document: HeldDocument) -> DocumentInfo:
        """Return what a document is."""
        return await self._done(document, self._preprocessor.inspect)

    async def prepare(self, document: HeldDocument, index: int, request: PageRequest) -> PreparedPage:
        """Return one page, drawn, and as the engine takes it."""
        began = time.monotonic()
        page = await self._done(document, self._preprocessor.prepare, index, request)
        self._seconds.observe(time.monotonic() - began)
        return page

    async def picture(self, document: HeldDocument, index: int, dpi: int, side: int) -> PagePicture:
        """Return one page to look at."""
        return await self._done(document, self._preprocessor.picture, index, dpi, side)

    async def _done(self, document: HeldDocument, work: Callable[..., T], *arguments: Any) -> T:
        """Return what a thread makes of it, and see to it that what it leaves open is closed later."""

        def done() -> T:
            return work(document.fetch() if isinstance(document, StoredDocument) else document, *arguments)

        loop = asyncio.get_running_loop()
        future = self._threads.submit(done)
        # Even where nobody waits for its end any more.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._close_later, loop))
        return await asyncio.wrap_future(future)

    def _close_later(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._closing is not None:
            self._closing.cancel()
        self._closing = loop.call_later(KEPT_S, self._threads.submit, self._preprocessor.close_idle)

    async def __del__(self) -> None:
        self._preparation.close()
