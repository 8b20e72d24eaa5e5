"""An engine double that writes what the test gives it, piece by piece as the test lets it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from deployments.types import EngineInput, FinishReason, Generation, GenerationOptions, PreparedPage

Script = Callable[[PreparedPage, GenerationOptions], Sequence[str]]


@dataclass
class ScriptEngine:
    """Writes a script's pieces.

    Attributes:
        script: what is written for a page.
        steps: while it is set, each piece waits for a release of it.
        pages: that were asked for, with their options.
        left: set once a page was given up before its end.
    """

    script: Script
    steps: threading.Semaphore | None = None
    pages: list[tuple[PreparedPage, GenerationOptions]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    name: ClassVar[str] = "script"
    model: str = "script"
    revision: str | None = None
    takes: ClassVar[EngineInput] = EngineInput.PAGE

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        self.pages.append((page, options))
        pieces = self.script(page, options)
        try:
            for piece in pieces:
                while self.steps is not None and not self.steps.acquire(blocking=False):  # noqa: ASYNC110 - the test is another thread
                    await asyncio.sleep(0.01)
                yield piece
        except (GeneratorExit, asyncio.CancelledError):
            self.left.set()
            raise
        yield Generation("".join(pieces), FinishReason.STOP, output_tokens=len(pieces))

    async def check_health(self) -> None:
        """It is always well."""

    async def close(self) -> None:
        """It holds nothing."""
