"""An engine double: it reads nothing, writes what its prompt says, and can be told to misbehave."""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import ClassVar

from deployments.errors import EngineUnavailable, GenerationFailed
from deployments.types import EngineInput, FinishReason, Generation, GenerationOptions, PreparedPage


class FakeEngine:
    """Writes the page's size and number as one grounded block.

    A custom prompt steers it, word by word: `fail` fails the page, `loop` runs away unless the page
    has no tiles or the n-gram window is 50, `slow` waits a second between pieces for a minute, `brief`
    waits a fifth of a second. The first time `marker` does not exist yet, `die` ends the process, `hang`
    never gets on again, and `expire` leaves the process well but the engine dead.
    """

    name: ClassVar[str] = "fake"
    takes: ClassVar[EngineInput] = EngineInput.PAGE

    def __init__(self, marker: str | None = None) -> None:
        self.model = "fake"
        self.revision: str | None = None
        self._marker = Path(marker) if marker else None
        self._closed = False

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        words = page.prompt.split()
        if "fail" in words and page.index == 1:
            raise GenerationFailed("the fake engine was told to fail this page")
        if self._marker and not self._marker.exists() and {"die", "hang", "expire"} & {*words}:
            self._marker.touch()
            if "die" in words:
                os._exit(1)
            if "hang" in words:
                await asyncio.Event().wait()
            self._closed = True
        if self._closed:
            raise EngineUnavailable("closed")
        pieces = [
            "<|ref|>title<|/ref|><|det|>[[100, 100, 900, 200]]<|/det|>\n",
            f"# Page {page.index} of {page.width}x{page.height}\n\n",
            "<|ref|>image<|/ref|><|det|>[[0, 500, 500, 999]]<|/det|>\n",
        ]
        if "slow" in words:
            pieces += ["still reading "] * 60
        if "brief" in words:
            await asyncio.sleep(0.2)
        for piece in pieces:
            yield piece
            await asyncio.sleep(1 if "slow" in words else 0)
        runaway = "loop" in words and options.ngram_window != 50
        yield Generation(
            text="".join(pieces),
            finish_reason=FinishReason.RUNAWAY if runaway else FinishReason.STOP,
            prompt_tokens=1,
            output_tokens=len(pieces),
            confidence=0.5 if options.confidence else None,
        )

    async def check_health(self) -> None:
        if self._closed:
            raise EngineUnavailable("closed")

    async def close(self) -> None:
        self._closed = True
