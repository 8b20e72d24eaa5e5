"""An engine double that only waits, and what its log says of how busy it was."""

import asyncio
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar

from deployments.types import EngineInput, FinishReason, Generation, GenerationOptions, PreparedPage

ANSWER = "<|ref|>text<|/ref|><|det|>[[100, 100, 900, 200]]<|/det|>\n" + "A line of the page. " * 150


class WaitingEngine:
    """Takes `latency` seconds for a page, `slots` pages at a time; notes when it was busy."""

    name: ClassVar[str] = "waiting"
    takes: ClassVar[EngineInput] = EngineInput.PAGE

    def __init__(self, slots: int, latency: float, log: str) -> None:
        self.model = "waiting"
        self.revision: str | None = None
        self._slots = asyncio.Semaphore(slots)
        self._latency = latency
        self._log = Path(log)

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        """Wait, then write the same for every page."""
        async with self._slots:
            began = time.time()
            await asyncio.sleep(self._latency)
            with self._log.open("a") as log:
                log.write(f"{began:.4f} {time.time():.4f}\n")
        yield Generation(ANSWER, FinishReason.STOP, 1000, 1000, seconds=self._latency)

    async def check_health(self) -> None:
        """Always well."""

    async def close(self) -> None:
        """Nothing to free."""


def busy_share(log: Path, slots: int) -> tuple[float, float, float]:
    """Return the share of places in use in the steady time, and when the first and the last page began."""
    spans = sorted(tuple(map(float, line.split())) for line in log.read_text().splitlines())
    first, last = spans[slots - 1][0], spans[-slots][0]
    used = sum(max(min(end, last) - max(begin, first), 0) for begin, end in spans)
    return used / (slots * (last - first)), spans[0][0], spans[-1][0]
