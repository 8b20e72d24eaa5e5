"""The Model stage as a Ray Serve deployment: one engine a replica."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager

import ray
from ray.util.metrics import Counter, Gauge, Histogram

from deployments.errors import EngineUnavailable
from deployments.model.engine import Engine, read_page
from deployments.model.watchdog import Watchdog
from deployments.types import FinishReason, Generation, GenerationOptions, PreparedPage

logger = logging.getLogger(__name__)

LEAVING_S = 30.0
"""How long Ray may take to end this process once asked; it takes milliseconds."""


PAGE_BOUNDARIES = [0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300]
"""Seconds; pages share the engine, so that each takes as long as hundreds."""


class GenerationCounts:
    """What a replica counts, for Ray's metrics."""

    def __init__(self) -> None:
        self.under_way = Gauge("dsocr_model_pages", "Pages that a Model replica has now.")
        self.under_way.set(0)
        self._seconds = Histogram("dsocr_model_seconds", "Seconds of a page in the engine.", PAGE_BOUNDARIES)
        self._prompt_tokens = Counter("dsocr_prompt_tokens_total", "Tokens read, those of images included.")
        self._output_tokens = Counter("dsocr_output_tokens_total", "Tokens written.")
        self._runaways = Counter("dsocr_runaways_total", "Attempts at pages that ran away.")

    def ended(self, generation: Generation) -> None:
        """Count what the engine wrote."""
        self._seconds.observe(generation.seconds)
        if generation.prompt_tokens:
            self._prompt_tokens.inc(generation.prompt_tokens)
        if generation.output_tokens:
            self._output_tokens.inc(generation.output_tokens)
        if generation.finish_reason is FinishReason.RUNAWAY:
            self._runaways.inc()


class ModelDeployment:
    """Streams what the engine writes. A replica whose engine died ends, and Serve replaces it.

    It ends at once rather than wait for failed health checks, which took 15 s on an H200: a dead engine
    refuses pages faster than a live one reads them, so that the router, which sends pages to whoever has
    the fewest, would send most of them there. The pages under way end with the process, which their
    callers see as such and try once more elsewhere.

    Args:
        create: makes the engine.
        stall_timeout_s: an engine on which no page gets on for so long counts as dead.
    """

    def __init__(self, create: Callable[[], Engine], stall_timeout_s: float) -> None:
        self._engine = Watchdog(create(), stall_timeout_s)
        self._under_way = 0
        self._counts = GenerationCounts()

    async def stream(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncIterator[PreparedPage | str | Generation]:
        """Stream the page without its pixels, pieces of text, then the whole generation."""
        async with self._counted(), aclosing(self._engine.generate(page, options)) as pieces:
            yield page.without_pixels()
            async for piece in pieces:
                if isinstance(piece, Generation):
                    self._counts.ended(piece)
                yield piece

    async def read(self, page: PreparedPage, options: GenerationOptions) -> tuple[PreparedPage, Generation]:
        """Return the page without its pixels and the whole generation."""
        async with self._counted():
            generation = await read_page(self._engine, page, options)
            self._counts.ended(generation)
            return page.without_pixels(), generation

    async def pages_under_way(self) -> int:
        """Return how many pages this replica has now."""
        return self._under_way

    async def check_health(self) -> None:
        """End this replica once the engine is dead; Ray drops gauges that nobody sets for a while."""
        self._counts.under_way.set(self._under_way)
        try:
            await self._engine.check_health()
        except EngineUnavailable as error:
            await self._leave(error)
            raise

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        self._under_way += 1
        self._counts.under_way.set(self._under_way)
        try:
            yield
        except EngineUnavailable:
            await self.check_health()
            raise
        finally:
            self._under_way -= 1
            self._counts.under_way.set(self._under_way)

    async def _leave(self, reason: EngineUnavailable) -> None:
        """Have Ray end this process and what it started, which holds the GPU's memory."""
        logger.error("this replica ends, to be replaced: %s", reason)
        ray.kill(ray.get_runtime_context().current_actor)
        await asyncio.sleep(LEAVING_S)

    async def __del__(self) -> None:
        await self._engine.close()
