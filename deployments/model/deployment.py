"""The Model stage as a Ray Serve deployment: one engine a replica."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

import ray

from deployments.errors import EngineUnavailable
from deployments.model.engine import Engine, read_page
from deployments.model.watchdog import Watchdog
from deployments.types import Generation, GenerationOptions, PreparedPage

logger = logging.getLogger(__name__)

LEAVING_S = 30.0
"""How long Ray may take to end this process once asked; it takes milliseconds."""


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

    async def stream(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncIterator[str | tuple[PreparedPage, Generation]]:
        """Stream pieces of text, then the page without its pixels and the whole generation."""
        async with self._counted(), aclosing(self._engine.generate(page, options)) as pieces:
            async for piece in pieces:
                yield piece if isinstance(piece, str) else (without_pixels(page), piece)

    async def read(self, page: PreparedPage, options: GenerationOptions) -> tuple[PreparedPage, Generation]:
        """Return the page without its pixels and the whole generation."""
        async with self._counted():
            return without_pixels(page), await read_page(self._engine, page, options)

    async def pages_under_way(self) -> int:
        """Return how many pages this replica has now."""
        return self._under_way

    async def check_health(self) -> None:
        """End this replica once the engine is dead."""
        try:
            await self._engine.check_health()
        except EngineUnavailable as error:
            await self._leave(error)
            raise

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        self._under_way += 1
        try:
            yield
        except EngineUnavailable:
            await self.check_health()
            raise
        finally:
            self._under_way -= 1

    async def _leave(self, reason: EngineUnavailable) -> None:
        """Have Ray end this process and what it started, which holds the GPU's memory."""
        logger.error("this replica ends, to be replaced: %s", reason)
        ray.kill(ray.get_runtime_context().current_actor)
        await asyncio.sleep(LEAVING_S)

    async def __del__(self) -> None:
        await self._engine.close()


def without_pixels(page: PreparedPage) -> PreparedPage:
    """Return the page's measures alone, a few bytes instead of megabytes."""
    return replace(page, image=None, views=None)
