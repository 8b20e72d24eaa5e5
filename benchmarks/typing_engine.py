"""An engine double that takes its time, and writes a stream piece by piece."""

import asyncio
from collections.abc import AsyncGenerator
from typing import ClassVar

from benchmarks.waiting_engine import ANSWER
from deployments.types import EngineInput, FinishReason, Generation, GenerationOptions, PreparedPage

PIECE_CHARS = 8
PIECE_S = 0.05
"""A piece of a stream, and the pause before it: faster than anybody reads."""


class TypingEngine:
    """Takes `latency` seconds for a page, `slots` pages at a time.

    A page that is streamed waits until `slots` of them are there, so that all of them are written at once;
    then it is written in pieces of a word or two.

    Args:
        slots: pages at once.
        latency: seconds for a page that is not streamed.
    """

    name: ClassVar[str] = "typing"
    takes: ClassVar[EngineInput] = EngineInput.PAGE

    def __init__(self, slots: int, latency: float) -> None:
        self.model = "typing"
        self.revision: str | None = None
        self._slots = asyncio.Semaphore(slots)
        self._together = asyncio.Barrier(slots)
        self._latency = latency

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        """Wait, or write."""
        async with self._slots:
            if options.stream:
                await self._together.wait()
                for begin in range(0, len(ANSWER), PIECE_CHARS):
                    await asyncio.sleep(PIECE_S)
                    yield ANSWER[begin : begin + PIECE_CHARS]
            else:
                await asyncio.sleep(self._latency)
        yield Generation(ANSWER, FinishReason.STOP, 1000, 1000, seconds=self._latency)

    async def check_health(self) -> None:
        """Always well."""

    async def close(self) -> None:
        """Nothing to free."""


PIECES = -(-len(ANSWER) // PIECE_CHARS)
"""Pieces of a streamed page."""
