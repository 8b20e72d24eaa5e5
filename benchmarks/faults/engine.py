"""An engine double that takes its time, uses hardly any CPU, and hangs or dies when told to."""

import asyncio
import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar

from deployments.errors import EngineUnavailable
from deployments.types import EngineInput, FinishReason, Generation, GenerationOptions, PreparedPage

PIECES = 4
"""Pieces in which an answer comes."""


class SteadyEngine:
    """Reads `slots` pages at once, each in about `latency` seconds, and names the page in its answer.

    Args:
        slots: pages at once.
        latency: mean seconds for a page; each takes between half and one and a half of it.
        orders: folder in which a file `hang` or `expire` is an order; the first engine that finds it obeys.
    """

    name: ClassVar[str] = "steady"
    takes: ClassVar[EngineInput] = EngineInput.PAGE

    def __init__(self, slots: int, latency: float, orders: str) -> None:
        self.model = "steady"
        self.revision: str | None = None
        self._slots = asyncio.Semaphore(slots)
        self._latency = latency
        self._orders = Path(orders)
        self._hung = self._expired = False

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        """Wait, piece by piece."""
        async with self._slots:
            self._hung |= self._ordered("hang")
            self._expired |= self._ordered("expire")
            seconds = self._latency * random.uniform(0.5, 1.5)
            pieces = [title(page.index, page.width, page.height), *["A line of the page.\n"] * (PIECES - 1)]
            for piece in pieces:
                await asyncio.sleep(seconds / PIECES)
                if self._hung:
                    await asyncio.Event().wait()
                if self._expired:
                    raise EngineUnavailable("The engine died, as it was told to.")
                yield piece
        yield Generation("".join(pieces), FinishReason.STOP, 1000, 1000, seconds=seconds)

    def _ordered(self, order: str) -> bool:
        try:
            (self._orders / order).unlink()
        except FileNotFoundError:
            return False
        return True

    async def check_health(self) -> None:
        """Fail once it has expired; a hang is for others to notice."""
        if self._expired:
            raise EngineUnavailable("The engine died, as it was told to.")

    async def close(self) -> None:
        """Nothing to free."""


def title(index: int, width: int, height: int) -> str:
    """Return what the double writes first for a page."""
    return (
        f"<|ref|>title<|/ref|><|det|>[[100, 100, 900, 200]]<|/det|>\n# Page {index} of {width}x{height}\n\n"
    )
