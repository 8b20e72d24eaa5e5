"""An engine that hangs rather than dies, noticed.

A dead engine says so itself. One that hangs, in a kernel that never ends or on a lock, says nothing: its
pages wait, and its process looks well. What gives it away is that no page gets on while some are under
way. The watchdog takes every piece of every page for a sign of life, and after a time without one it
declares the engine dead: the pages under way fail, and `check_health` fails from then on, so that
whoever owns the engine makes another.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import ClassVar

from deployments.errors import EngineUnavailable
from deployments.model.engine import Engine
from deployments.types import EngineInput, Generation, GenerationOptions, PreparedPage

TICKS = 20
"""Looks at the engine within the time that it may be silent."""


class Watchdog:
    """An engine with a watch over it; implements `Engine` itself.

    Time counts in ticks of the event loop: while the loop itself is held up, or the machine asleep,
    nobody could have seen a sign of life, so that such a time counts as one tick at most.

    Args:
        engine: to be watched.
        stall_timeout_s: longest silence with pages under way.
    """

    name: ClassVar[str] = "watched"
    takes: ClassVar[EngineInput] = EngineInput.PAGE

    def __init__(self, engine: Engine, stall_timeout_s: float) -> None:
        self._engine = engine
        self._stall_timeout_s = stall_timeout_s
        self.name, self.takes = engine.name, engine.takes  # type: ignore[misc]  # those of what is watched
        self.model, self.revision = engine.model, engine.revision
        self._waits: set[asyncio.Timeout] = set()
        self._under_way = 0
        self._silent_ticks = 0
        self._watch: asyncio.Task[None] | None = None
        self._stalled = False

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        """Stream a page; see `Engine.generate`.

        Raises:
            EngineUnavailable: also where the engine has stalled.
        """
        self._check_stalled()
        with self._page():
            async with aclosing(self._engine.generate(page, options)) as pieces:
                while True:
                    piece = await self._next(pieces)
                    self._silent_ticks = 0
                    if piece is None:
                        return
                    yield piece

    async def check_health(self) -> None:
        """Return if pages can be read; see `Engine.check_health`."""
        self._check_stalled()
        await self._engine.check_health()

    async def close(self) -> None:
        """Close the engine."""
        await self._engine.close()

    async def _next(self, pieces: AsyncGenerator[str | Generation, None]) -> str | Generation | None:
        """Wait for a page's next piece, or for the verdict that there won't be any; None is the end."""
        try:
            async with asyncio.timeout(None) as wait:
                self._waits.add(wait)
                try:
                    return await anext(pieces, None)
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            self._check_stalled()
            raise  # the engine's own

    def _check_stalled(self) -> None:
        if self._stalled:
            raise EngineUnavailable(
                f"The engine stopped working: no page got on for {self._stall_timeout_s:g} seconds. "
                "It is being replaced; try again later."
            )

    @contextmanager
    def _page(self) -> Iterator[None]:
        if self._under_way == 0:
            self._silent_ticks = 0
        self._under_way += 1
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())
        try:
            yield
        finally:
            self._under_way -= 1

    async def _look(self) -> None:
        """Look for signs of life until no page is under way or none has come for too long."""
        while self._under_way:
            await asyncio.sleep(self._stall_timeout_s / TICKS)
            # A page whose reader is slow waits for nobody here.
            self._silent_ticks += bool(self._waits)
            if self._silent_ticks > TICKS:
                self._stalled = True
                now = asyncio.get_running_loop().time()
                for wait in self._waits:
                    wait.reschedule(now)
                return
