"""The Model stage as a Ray Serve deployment: one engine a replica."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace

from deployments.model.engine import Engine, read_page
from deployments.types import Generation, GenerationOptions, PreparedPage


class ModelDeployment:
    """Streams what the engine writes. A replica whose engine died fails its health check and is replaced."""

    def __init__(self, create: Callable[[], Engine]) -> None:
        self._engine = create()
        self._under_way = 0

    async def stream(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncIterator[PreparedPage | str | Generation]:
        """Stream the page without its pixels, pieces of text, then the whole generation."""
        async with self._counted(), aclosing(self._engine.generate(page, options)) as pieces:
            yield without_pixels(page)
            async for piece in pieces:
                yield piece

    async def read(self, page: PreparedPage, options: GenerationOptions) -> tuple[PreparedPage, Generation]:
        """Return the page without its pixels and the whole generation."""
        async with self._counted():
            return without_pixels(page), await read_page(self._engine, page, options)

    async def pages_under_way(self) -> int:
        """Return how many pages this replica has now."""
        return self._under_way

    async def check_health(self) -> None:
        """Fail once the engine is dead, so that Serve replaces this replica."""
        await self._engine.check_health()

    @asynccontextmanager
    async def _counted(self) -> AsyncIterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    async def __del__(self) -> None:
        await self._engine.close()


def without_pixels(page: PreparedPage) -> PreparedPage:
    """Return the page's measures alone, a few bytes instead of megabytes."""
    return replace(page, image=None, views=None)
