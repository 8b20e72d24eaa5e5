"""The Postprocess stage as a Ray Serve deployment."""

import asyncio
import time

from ray.util.metrics import Histogram

from deployments.postprocess.postprocessor import Postprocessor
from deployments.types import Generation, PageResult, PreparedPage

PAGE_BOUNDARIES = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]
"""Seconds; milliseconds for a page of text, more where figures are cut out."""


class PostprocessDeployment:
    """Turns raw text into blocks and Markdown, and cuts figures out."""

    def __init__(self) -> None:
        self._postprocessor = Postprocessor()
        self._seconds = Histogram("dsocr_postprocess_seconds", "Seconds of a page.", PAGE_BOUNDARIES)

    async def process(
        self, page: PreparedPage, generation: Generation, figures: bool, attempts: int
    ) -> PageResult:
        """Return the finished page; with `figures` the page must carry its image."""
        began = time.monotonic()
        result = await asyncio.to_thread(
            self._postprocessor.process, page, generation, figures=figures, attempts=attempts
        )
        self._seconds.observe(time.monotonic() - began)
        return result
