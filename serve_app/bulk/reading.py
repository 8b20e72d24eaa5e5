"""The actor that reads groups of pages with one engine.

It calls for pages ahead of its engine from CPU tasks anywhere in the cluster, keeps as many in the
engine as fill it, and hands finished pages to CPU tasks that postprocess and write them. What waits
between the stages is bounded: drawn pages by `pages_in_flight` and the tasks' own small buffers, read
pages by the groups that the actor was given.
"""

import asyncio
import logging
import pickle
import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayError

from deployments.errors import FatalPage, OcrError, ProcessingTimeout, StageLost
from deployments.model.ladder import Attempt
from deployments.types import FinishReason, GenerationOptions, PageRequest
from serve_app.attempts import climb
from serve_app.bulk import stages
from serve_app.bulk.engines import EngineKeeper, Fault
from serve_app.bulk.pages import WHOLE_DOCUMENT, Group, Segment, page_id
from serve_app.bulk.plan import Reading
from serve_app.bulk.progress import Progressed
from serve_app.bulk.quarantine import LedgerEntry, Quarantine
from serve_app.bulk.rows import OK, Times
from serve_app.bulk.stages import Answer, Drawn, ReadPage
from serve_app.bulk.writing import PageWriter, already_written

logger = logging.getLogger(__name__)

BUFFERED = 2
"""Pages that a preparing task may have drawn before somebody takes them."""

MAX_STARTS = 20
"""An actor that started so often, and got no page through its engine in between, will not get anywhere."""


class ReadGroups:
    """Reads groups, several at once; a callable class for `Dataset.map_batches`.

    A call returns when all its pages are written down. It never raises for a page's sake; a fault that
    concerns all pages is returned as such, since the driver could not tell an exception from a lost worker.
    """

    def __init__(self, plan: Reading) -> None:
        self._plan = plan
        self._fault: str | None = None
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True, name="reading").start()
        name = ray.get_runtime_context().get_actor_id() or "driver"
        starts, known = ray.get(plan.ledger.begin.remote(name))
        if starts > MAX_STARTS:
            self._fault = (
                f"A reading process was started {starts} times without reading a page; the log says what it "
                "dies of."
            )
            return
        try:
            quarantine = Quarantine(plan.pages_in_flight, known)
            entry = LedgerEntry(plan.ledger, name)
            engines = EngineKeeper(plan.create, plan.stall_timeout_s, quarantine, entry)
        except OcrError as error:
            self._fault = f"The engine can't be started: {error}"
            return
        self._reader = _GroupReader(plan, engines, name)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Read a batch of groups; returns a row of counts for each."""
        rows = []
        for pickled in batch["group"]:
            group: Group = pickle.loads(pickled)  # noqa: S301 - made by another task of this job
            if self._fault is None:
                work = asyncio.run_coroutine_threadsafe(self._reader.read(group), self._loop)
                try:
                    rows.append(_counts(group, work.result()))
                    continue
                except* Fault as faults:
                    self._fault = str(_first(faults))
            rows.append(_counts(group, [], self._fault))
        return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def _first(group: BaseException) -> BaseException:
    """Return an exception out of groups of groups."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
    return group


def _counts(group: Group, statuses: Sequence[str], fault: str | None = None) -> dict[str, Any]:
    """Return what the driver gets to know of a group, from its pages' rows."""
    first = [segment for segment in group.segments if segment.first]
    done = Progressed(
        pages=len(statuses),
        failed=sum(status != OK for status in statuses),
        opened=len(first),
        opened_pages=sum(segment.wanted or 1 for segment in first),
        fault=fault or "",
    )
    return asdict(done)


class _GroupReader:
    """The reading of groups, in one event loop."""

    def __init__(self, plan: Reading, engines: EngineKeeper, name: str) -> None:
        self._plan = plan
        self._engines = engines
        self._writer = PageWriter(plan, engines.label, name)
        self._places = asyncio.Semaphore(plan.pages_in_flight)
        self._preparing = asyncio.Semaphore(plan.preparing)
        # Ray's annotations don't know that a call of a generator gives an iterator of references.
        self._prepare: Any = ray.remote(stages.prepare).options(
            num_cpus=plan.prepare_cpus,
            num_returns="streaming",
            max_retries=1,
            _generator_backpressure_num_objects=BUFFERED,
        )
        self._already = already_written(plan, name)

    async def read(self, group: Group) -> list[str]:
        """Read a group's pages; returns the status of each once they are written."""
        async with asyncio.TaskGroup() as tasks:
            segments = [tasks.create_task(self._segment(segment)) for segment in group.segments]
        return [status for segment in segments for status in segment.result()]

    async def _segment(self, segment: Segment) -> list[str]:
        if segment.error is not None:
            failed = ReadPage(segment.doc_id, WHOLE_DOCUMENT, 0, segment.error, Times())
            return [await self._writer.write(failed)]
        ids = {page_id(segment.doc_id, page): page for page in segment.pages}
        before = [self._already[name] for name in ids if name in self._already]
        pages = [page for name, page in ids.items() if name not in self._already]
        async with asyncio.TaskGroup() as tasks, self._preparing:
            reads = [
                tasks.create_task(self._page(segment, drawn)) async for drawn in self._drawn(segment, pages)
            ]
        return before + [read.result() for read in reads]

    async def _drawn(self, segment: Segment, pages: Sequence[int]) -> AsyncIterator[Drawn]:
        """Yield prepared pages, each with a place taken for it.

        A page that kills the process that draws it is found by drawing what is left page by page.
        """
        rungs = self._plan.ladder.attempts(segment.request.task, segment.request.crop)
        request = self._request(segment, crop=rungs[0].crop)
        left = list(pages)
        try:
            async for drawn in self._stream(segment, pages, request):
                left.remove(drawn.index)
                yield drawn
        except RayError as error:
            logger.warning("preparing %d pages of %s failed: %s", len(left), segment.doc_id, error)
        for page in left:
            try:
                async for drawn in self._stream(segment, (page,), request):
                    yield drawn
            except RayError as error:
                await self._places.acquire()
                yield Drawn(page, _lost(page, segment, error), 0.0)

    async def _stream(
        self, segment: Segment, pages: Sequence[int], request: PageRequest
    ) -> AsyncIterator[Drawn]:
        if not pages:
            return
        async for reference in self._prepare.remote(self._plan.preparation, segment, tuple(pages), request):
            await self._places.acquire()
            try:
                drawn: Drawn = await reference
            except BaseException:
                self._places.release()
                raise
            yield drawn

    async def _page(self, segment: Segment, drawn: Drawn) -> str:
        try:
            read = await self._read(segment, drawn)
        finally:
            self._places.release()
        # The pixels are let go of before the page waits to be written.
        del drawn
        return await self._writer.write(read)

    async def _read(self, segment: Segment, drawn: Drawn) -> ReadPage:
        """Return what came of a page in the engine."""
        times = Times(fetch=drawn.fetch_seconds)
        rungs_tried: list[Attempt] = []
        outcome: Answer | OcrError
        if isinstance(drawn.page, OcrError):
            outcome = drawn.page
        else:
            times = replace(times, prepare=drawn.page.seconds)
            began = time.monotonic()
            try:
                async with asyncio.timeout(self._plan.page_timeout_s):
                    outcome = await self._climbed(segment, drawn, rungs_tried)
            except TimeoutError:
                limit = self._plan.page_timeout_s
                outcome = ProcessingTimeout(f"The page took longer than {limit:g} seconds in the engine.")
            except OcrError as error:
                outcome = error
            except Fault:
                raise
            except Exception:
                logger.exception(
                    "page %d of %s failed through an internal error", drawn.index, segment.doc_id
                )
                outcome = OcrError("The page failed through an internal error, which the log has.")
            times = replace(times, engine=time.monotonic() - began)
        attempts = None
        if rungs_tried:
            # On each rung the engine got through the page or died of it some times.
            deaths = self._engines.deaths(page_id(segment.doc_id, drawn.index))
            attempts = len(rungs_tried) + deaths - isinstance(outcome, FatalPage)
        return ReadPage(segment.doc_id, drawn.index, segment.page_count, outcome, times, attempts)

    async def _climbed(self, segment: Segment, drawn: Drawn, tried: list[Attempt]) -> Answer:
        """Try a page as the ladder of its task says; rungs are added to `tried` as the engine has them."""
        rungs = self._plan.ladder.attempts(segment.request.task, segment.request.crop)
        pages = {rungs[0].crop: drawn.page}

        async def attempt(rung: Attempt, number: int, last: bool) -> Answer | None:
            if rung.crop not in pages:
                pages[rung.crop] = await self._redrawn(segment, drawn.index, rung.crop)
            page = pages[rung.crop]
            if isinstance(page, OcrError):
                raise page
            tried.append(rung)
            options = GenerationOptions(
                task=segment.request.task,
                ngram_size=rung.ngram_size,
                ngram_window=rung.ngram_window,
                stream=False,
            )
            generation = await self._engines.read(page_id(segment.doc_id, drawn.index), page, options)
            if generation.finish_reason is FinishReason.RUNAWAY and not last:
                return None
            kept = replace(page, views=None) if self._plan.images else page.without_pixels()
            return Answer(kept, generation, number)

        return await climb(rungs, attempt)

    async def _redrawn(self, segment: Segment, index: int, crop: bool) -> Any:
        """Return a page prepared another way; its place is the one it has."""
        request = self._request(segment, crop=crop)
        try:
            async for reference in self._prepare.remote(self._plan.preparation, segment, (index,), request):
                return (await reference).page
        except RayError as error:
            return _lost(index, segment, error)
        return StageLost("The page was lost while it was drawn again; read it again with --retry-failed.")

    def _request(self, segment: Segment, *, crop: bool) -> PageRequest:
        return replace(segment.request, crop=crop, keep_image=self._plan.images)


def _lost(page: int, segment: Segment, error: RayError) -> StageLost:
    logger.warning("page %d of %s can't be drawn: %s", page, segment.doc_id, error)
    return StageLost("The process that drew this page died each time; the log has the cause.")
