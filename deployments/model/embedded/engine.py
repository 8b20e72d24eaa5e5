"""The embedded engine: pages are read in threads, their blocks streamed as they are written."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from deployments.errors import EngineUnavailable, GenerationFailed
from deployments.model.embedded.page_reader import PageReader, Tally
from deployments.model.embedded.prompts import Wish, wish_of
from deployments.model.embedded.settings import EmbeddedSettings
from deployments.types import EngineInput, FinishReason, Generation, GenerationOptions, Pixels, PreparedPage


class EmbeddedEngine:
    """Reads page images with PP-OCR and a layout model on the CPU; implements `Engine`.

    It writes to the page's end, and stops earlier only at `max_tokens` recognised characters, in the
    block that exceeds them. It does not sample: the options for that mean nothing to it. It can't follow
    instructions: `prompts.wish_of` says what it makes of a custom prompt. A generation's `output_tokens`
    counts the characters it recognised, each of which its recogniser emits as one label; `confidence` is
    their mean score.
    """

    name: ClassVar[str] = "embedded"
    takes: ClassVar[EngineInput] = EngineInput.PAGE

    def __init__(self, settings: EmbeddedSettings, threads: int) -> None:
        """Load the models, which takes a second or two.

        Args:
            settings: of this engine.
            threads: CPU threads it may use in all, at least 1; pages under way at once share them.

        Raises:
            ConfigurationError: a model's file is missing.
        """
        self.model = settings.model
        pages = min(settings.max_concurrent_pages, max(1, threads))
        self._reader = PageReader(settings, max(1, threads // pages))
        self.revision: str | None = self._reader.source
        self._pool = ThreadPoolExecutor(pages, thread_name_prefix="embedded-page")
        self._stops: set[threading.Event] = set()
        self._closed = False

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        """Stream a page; see `Engine.generate`. A page waits while as many as are allowed are at work."""
        if self._closed:
            raise EngineUnavailable("The engine was closed. Try again shortly.")
        if page.image is None:
            raise GenerationFailed("The page came without its image, which this engine reads.")
        started = time.perf_counter()
        stop, tally = threading.Event(), Tally()
        loop = asyncio.get_running_loop()
        # It holds at most the blocks of one page.
        pieces: asyncio.Queue[str | None] = asyncio.Queue()

        def tell(piece: str) -> None:
            # Once stopped, nobody listens, and the loop may be gone.
            if not stop.is_set():
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        self._stops.add(stop)
        work = loop.run_in_executor(
            self._pool,
            self._work,
            page.image,
            wish_of(options.task, page.prompt),
            tally,
            stop,
            tell,
            options.max_tokens,
        )
        work.add_done_callback(lambda _: pieces.put_nowait(None))
        written: list[str] = []
        try:
            while (piece := await pieces.get()) is not None:
                written.append(piece)
                yield piece
            if self._closed:
                raise EngineUnavailable("The engine was closed while it read this page. Try again shortly.")
            error = work.exception()
            if error is not None:
                raise GenerationFailed(
                    "The embedded engine failed on this page. Others are not affected."
                ) from error
        finally:
            stop.set()
            work.cancel()
            self._stops.discard(stop)
        yield Generation(
            text="".join(written),
            finish_reason=FinishReason.LENGTH if work.result() else FinishReason.STOP,
            output_tokens=min(tally.characters, options.max_tokens or tally.characters),
            confidence=tally.confidence if options.confidence else None,
            seconds=time.perf_counter() - started,
        )

    async def check_health(self) -> None:
        """Return if pages can be read.

        Raises:
            EngineUnavailable: the engine was closed.
        """
        if self._closed:
            raise EngineUnavailable("The engine was closed. Try again shortly.")

    async def close(self) -> None:
        """Stop pages under way before their next line, and free the threads. Idempotent."""
        self._closed = True
        for stop in tuple(self._stops):
            stop.set()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _work(
        self,
        image: Pixels,
        wish: Wish,
        tally: Tally,
        stop: threading.Event,
        tell: Callable[[str], None],
        max_tokens: int | None,
    ) -> bool:
        """Tell the page's pieces; returns whether its text was cut."""
        for piece in self._reader.read(image, wish, tally, stop):
            excess = 0 if max_tokens is None else tally.characters - max_tokens
            if excess > 0:
                tell(piece[: max(len(piece) - excess, 0)])
                return True
            tell(piece)
        return False
