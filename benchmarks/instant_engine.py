"""An engine that takes no time: what is left is the cost of everything around it."""

from collections.abc import AsyncGenerator
from typing import ClassVar

from benchmarks.waiting_engine import ANSWER
from deployments.types import EngineInput, FinishReason, Generation, GenerationOptions, PreparedPage


class InstantEngine:
    """Writes the same for every page, at once."""

    name: ClassVar[str] = "instant"
    takes: ClassVar[EngineInput] = EngineInput.PAGE

    def __init__(self) -> None:
        self.model = "instant"
        self.revision: str | None = None

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        """Write the page."""
        yield Generation(ANSWER, FinishReason.STOP, 1000, 1000)

    async def check_health(self) -> None:
        """Always well."""

    async def close(self) -> None:
        """Nothing to free."""
