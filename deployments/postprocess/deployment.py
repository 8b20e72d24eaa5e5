"""The Postprocess stage as a Ray Serve deployment."""

import asyncio

from deployments.postprocess.postprocessor import Postprocessor
from deployments.types import Generation, PageResult, PreparedPage


class PostprocessDeployment:
    """Turns raw text into blocks and Markdown, and cuts figures out."""

    def __init__(self) -> None:
        self._postprocessor = Postprocessor()

    async def process(
        self, page: PreparedPage, generation: Generation, figures: bool, attempts: int
    ) -> PageResult:
        """Return the finished page; with `figures` the page must carry its image."""
        return await asyncio.to_thread(
            self._postprocessor.process, page, generation, figures=figures, attempts=attempts
        )
