"""What every engine offers, whatever stands behind it.

An engine takes prepared pages and streams what it writes. It knows nothing of Ray, of HTTP, of
documents or of blocks.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar, Protocol

from deployments.errors import GenerationFailed
from deployments.types import EngineInput, Generation, GenerationOptions, PreparedPage


class Engine(Protocol):
    """A reader of pages.

    Attributes:
        name: `vllm` or `embedded`, as in the settings.
        model: what it runs, as replies name it.
        revision: of the model, where known.
        takes: which part of a prepared page it reads.
    """

    name: ClassVar[str]
    takes: ClassVar[EngineInput]
    model: str
    revision: str | None

    def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        """Stream a page: pieces of text as they come, then exactly one `Generation` that ends the stream.

        The pieces joined are the `Generation`'s text; without `options.stream` they may be empty, and are
        signs of life alone: an engine on which no page gets a piece for long is taken to hang.
        Closing the iterator early, or cancelling the task that reads it, aborts the page's work and
        frees what it held.

        Raises:
            GenerationFailed: the engine failed on this page.
            EngineUnavailable: the engine died; `check_health` fails from now on.
        """
        ...

    async def check_health(self) -> None:
        """Return if pages can be read.

        Raises:
            EngineUnavailable: the engine is dead and must be replaced.
        """
        ...

    async def close(self) -> None:
        """Abort what is under way and free threads, processes and device memory. Idempotent."""
        ...


async def read_page(engine: Engine, page: PreparedPage, options: GenerationOptions) -> Generation:
    """Return the generation that ends a page's stream, for callers with no use for the pieces.

    Raises:
        GenerationFailed: the stream ended without one.
    """
    async with aclosing(engine.generate(page, options)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Generation):
                return piece
    raise GenerationFailed("The engine ended the page without a result; try the page again.")
