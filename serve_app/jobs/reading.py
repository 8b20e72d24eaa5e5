"""Reading the pages of one job: several at once, each stored as it ends."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from deployments.errors import EngineUnavailable, QueueFull
from deployments.types import PageRequest
from serve_app.api.errors import page_error
from serve_app.jobs.models import JobRecord, StoredPage
from serve_app.jobs.settings import JobSettings
from serve_app.jobs.store import JobStore
from serve_app.reading import PageDone, PageFailed
from serve_app.tasks import settled, stopped

logger = logging.getLogger(__name__)

T = TypeVar("T")

STORE_ATTEMPTS = 6
"""Storage that fails is tried for about half a minute before the job pauses."""

LONGEST_DOUBLING = 16
"""Pauses double no more often; the settings bound them long before."""


class PageSource(Protocol):
    """Reads single pages; `serve_app.page_reader.PageReader` is one. It bounds how many are under way."""

    async def hold(self, document: bytes) -> Any:
        """Put a document where its pages can be read."""
        ...

    async def read_page(
        self,
        document: Any,
        index: int,
        request: PageRequest,
        *,
        confidence: bool,
        figures: bool,
        caller: str,
    ) -> PageDone | PageFailed:
        """Read a page of a held document; closing or cancelling frees its work."""
        ...


async def read_pages(
    source: PageSource,
    store: JobStore,
    record: JobRecord,
    indices: Sequence[int],
    settings: JobSettings,
    workers: int,
    ended: Callable[[bool], None],
) -> None:
    """Read pages and store each as it ends.

    What passes, such as an engine that is being replaced, is waited for and the page tried again;
    what is wrong with the page itself is stored at once. No more pages than workers are in memory.

    Args:
        source: that reads.
        store: for the pages.
        record: of the job.
        indices: numbers of the pages that have not ended.
        settings: of jobs.
        workers: most pages under way.
        ended: told of each page, once it is stored, whether it was read.

    Raises:
        OSError: the storage failed for half a minute.
    """
    options = record.options
    request = PageRequest(options.task, options.prompt, options.crop, options.dpi, keep_image=True)
    document = await source.hold(await settled(_stored(store.document, record.id)))
    waiting = iter(indices)

    async def worker() -> None:
        for index in waiting:
            page = await _page(source, document, index, request, record, settings)
            await settled(_stored(store.write_page, record.id, page))
            ended(page.result is not None)

    tasks = [asyncio.create_task(worker()) for _ in range(min(workers, len(indices)))]
    try:
        await asyncio.gather(*tasks)  # the first error ends the others and is raised as itself
    finally:
        await stopped(*tasks)


async def _page(
    source: PageSource,
    document: Any,
    index: int,
    request: PageRequest,
    record: JobRecord,
    settings: JobSettings,
) -> StoredPage:
    confidence = record.options.confidence_scores_granularity is not None
    clock = asyncio.get_running_loop().time
    began, attempts, pauses = clock(), 0, 0
    while True:
        event = await source.read_page(
            document, index, request, confidence=confidence, figures=True, caller=record.owner
        )
        if isinstance(event, PageDone):
            return StoredPage(index=index, result=event.result)
        if isinstance(event.error, EngineUnavailable | QueueFull):
            # Nothing was tried: an engine takes minutes to start, a machine for it may take longer.
            given_up = clock() - began >= settings.unavailable_s
        else:
            attempts += 1
            given_up = attempts >= settings.page_attempts
        if given_up or not event.error.retryable:
            return StoredPage(index=index, error=page_error(event.error))
        logger.warning("page %d of %s is tried again: %s", index, record.id, event.error.code)
        pauses += 1
        await asyncio.sleep(min(2 ** min(pauses, LONGEST_DOUBLING), settings.max_wait_s))


async def _stored(work: Callable[..., T], *args: Any) -> T:
    """Do something with the storage, several times if need be; a file that is not there stays away."""
    for attempt in range(1, STORE_ATTEMPTS):
        try:
            return await asyncio.to_thread(work, *args)
        except FileNotFoundError:
            raise
        except OSError as error:
            logger.warning("the storage of jobs failed: %s", error)
            await asyncio.sleep(2 ** (attempt - 1))
    return await asyncio.to_thread(work, *args)
