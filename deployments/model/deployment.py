"""The Model stage as a Ray Serve deployment: one engine a replica."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from deployments.model.engine import read_page
from deployments.model.selection import create_engine
from deployments.model.settings import EngineName, ModelSettings
from deployments.types import Generation, GenerationOptions, PreparedPage


class ModelDeployment:
    """Streams what the engine writes. A replica whose engine died fails its health check and is replaced."""

    def __init__(self, settings: ModelSettings, engine: EngineName, threads: int) -> None:
        self._engine = create_engine(settings, engine, threads)

    async def stream(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncIterator[str | tuple[PreparedPage, Generation]]:
        """Stream pieces of text, then the page without its pixels and the whole generation."""
        async with aclosing(self._engine.generate(page, options)) as pieces:
            async for piece in pieces:
                yield piece if isinstance(piece, str) else (without_pixels(page), piece)

    async def read(self, page: PreparedPage, options: GenerationOptions) -> tuple[PreparedPage, Generation]:
        """Return the page without its pixels and the whole generation."""
        return without_pixels(page), await read_page(self._engine, page, options)

    async def check_health(self) -> None:
        """Fail once the engine is dead, so that Serve replaces this replica."""
        await self._engine.check_health()

    async def __del__(self) -> None:
        await self._engine.close()


def without_pixels(page: PreparedPage) -> PreparedPage:
    """Return the page's measures alone, a few bytes instead of megabytes."""
    return replace(page, image=None, views=None)
