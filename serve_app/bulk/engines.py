"""The engine of one actor, replaced when it dies or hangs."""

import asyncio
import logging
from collections.abc import Callable

from deployments.errors import EngineUnavailable, FatalPage, OcrError
from deployments.model.engine import Engine, read_page
from deployments.model.watchdog import Watchdog
from deployments.types import Generation, GenerationOptions, PreparedPage
from serve_app.bulk.quarantine import LedgerEntry, Quarantine
from serve_app.bulk.rows import EngineLabel

logger = logging.getLogger(__name__)

MAX_DEATHS = 12
"""Deaths in a row, with no page read between them, after which the machine is taken to be at fault. To find
one page that kills engines takes five at most."""


class Fault(Exception):
    """What no other page can get past either; it ends the job."""


class EngineKeeper:
    """Reads pages with an engine, and makes another when it dies.

    Args:
        create: makes an engine; may take minutes.
        stall_timeout_s: an engine on which no page gets on for so long counts as dead.
        quarantine: decides which pages are in the engine together.
        entry: where it is noted which are, in case this process dies with it.

    Raises:
        OcrError: the first engine can't be made.
    """

    def __init__(
        self, create: Callable[[], Engine], stall_timeout_s: float, quarantine: Quarantine, entry: LedgerEntry
    ) -> None:
        self._create: Callable[[], Engine] = lambda: Watchdog(create(), stall_timeout_s)
        self._quarantine = quarantine
        self._entry = entry
        self._engine: Engine = self._create()
        self._deaths = 0
        self._replacing = asyncio.Lock()
        self.label = EngineLabel(self._engine.name, self._engine.model, self._engine.revision)

    def deaths(self, name: str) -> int:
        """Return with how many engines a page was as they died, if it was not read since."""
        suspicion = self._quarantine.suspicion(name)
        return 0 if suspicion is None else suspicion.deaths

    async def read(self, name: str, page: PreparedPage, options: GenerationOptions) -> Generation:
        """Read a page; one that was with a dying engine is read by the next.

        Args:
            name: the page's, in the whole job.
            page: as the engine takes it.
            options: see `Engine.generate`.

        Raises:
            GenerationFailed: the engine failed on this page.
            FatalPage: engines die of it.
            Fault: engines die without reading anything.
        """
        while True:
            if (suspicion := self._quarantine.suspicion(name)) is not None and suspicion.proven:
                raise FatalPage(
                    f"The engine died each of the {suspicion.deaths} times that it had this page, the last "
                    "time with no other."
                )
            async with self._quarantine.place(name):
                await self._entry.enter(name)
                engine = self._engine
                try:
                    generation = await read_page(engine, page, options)
                except EngineUnavailable:
                    await self._replace(engine)
                    continue
                except OcrError:
                    self._got_through(name)
                    raise
                self._got_through(name)
                return generation

    def _got_through(self, name: str) -> None:
        self._deaths = 0
        self._quarantine.clear(name)
        self._entry.leave(name)

    async def _replace(self, dead: Engine) -> None:
        """Put a new engine in place of a dead one, unless another page has seen to it."""
        async with self._replacing:
            if self._engine is not dead:
                return
            self._quarantine.died()
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
