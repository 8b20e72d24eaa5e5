"""An engine that takes no time: what is left is the cost of everything around it."""

from collections.abc import AsyncGenerator
from typing import ClassVar

from deployments.types import EngineInput, FinishReason, Generation, GenerationOptions, PreparedPage

ANSWER = "<|ref|>text<|/ref|><|det|>[[100, 100, 900, 200]]<|/det|>\n" + "A line of the page. " * 150
"""A page of 3,000 characters in one block."""


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
