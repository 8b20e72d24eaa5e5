"""The engine of one actor, replaced when it dies or hangs."""

import asyncio
import logging
from collections.abc import Callable

from deployments.errors import EngineUnavailable
from deployments.model.engine import Engine, read_page
from deployments.model.watchdog import Watchdog
from deployments.types import Generation, GenerationOptions, PreparedPage
from serve_app.bulk.rows import EngineLabel

logger = logging.getLogger(__name__)

LIVES = 3
"""Engines that may die while they have the same page; it is then taken to be what kills them."""

MAX_DEATHS = 5
"""Deaths in a row, with no page read between them, after which the machine is taken to be at fault."""


class Fault(Exception):
    """What no other page can get past either; it ends the job."""


class EngineKeeper:
    """Reads pages with an engine, and makes another when it dies.

    Args:
        create: makes an engine; may take minutes.
        stall_timeout_s: an engine on which no page gets on for so long counts as dead.

    Raises:
        OcrError: the first engine can't be made.
    """

    def __init__(self, create: Callable[[], Engine], stall_timeout_s: float) -> None:
        self._create: Callable[[], Engine] = lambda: Watchdog(create(), stall_timeout_s)
        self._engine: Engine = self._create()
        self._deaths = 0
        self._replacing = asyncio.Lock()
        self.label = EngineLabel(self._engine.name, self._engine.model, self._engine.revision)

    async def read(self, page: PreparedPage, options: GenerationOptions) -> Generation:
        """Read a page; one that was with a dying engine is read by the next.

        Raises:
            GenerationFailed: the engine failed on this page.
            EngineUnavailable: three engines died with it.
            Fault: engines die without reading anything.
        """
        for life in range(1, LIVES + 1):
            engine = self._engine
            try:
                generation = await read_page(engine, page, options)
            except EngineUnavailable:
                await self._replace(engine)
                if life == LIVES:
                    raise
            else:
                self._deaths = 0
                return generation
        raise AssertionError("the last life ends in a result or an error")

    async def _replace(self, dead: Engine) -> None:
        """Put a new engine in place of a dead one, unless another page has seen to it."""
        async with self._replacing:
            if self._engine is not dead:
                return
            if self._deaths == MAX_DEATHS:
                raise Fault(
                    f"The engine died {MAX_DEATHS + 1} times without reading a page; its log has the cause."
                )
            self._deaths += 1
            logger.warning("the engine died; making another")
            await dead.close()
            try:
                self._engine = await asyncio.to_thread(self._create)
            except EngineUnavailable as error:
                raise Fault(f"The engine died and can't be started again: {error}") from error
