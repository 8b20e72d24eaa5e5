"""The Preprocess stage as a Ray Serve deployment."""

import asyncio
import time

from ray.util.metrics import Histogram

from deployments.preprocess.preparation import Preparation
from deployments.types import DocumentInfo, PagePicture, PageRequest, PreparedPage

PAGE_BOUNDARIES = [0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 30]
"""Seconds; a typical page takes 0.1 of one core, and a step that takes 30 is cut off."""


class PreprocessDeployment:
    """Draws and tiles pages on CPUs; one page at a time takes one core."""

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        self._preprocessor = preparation.preprocessor()
        self._seconds = Histogram("dsocr_preprocess_seconds", "Seconds of a page.", PAGE_BOUNDARIES)

    async def inspect(self, document: bytes) -> DocumentInfo:
        """Return what a document is."""
        return await asyncio.to_thread(self._preprocessor.inspect, document)

    async def prepare(self, document: bytes, index: int, request: PageRequest) -> PreparedPage:
        """Return one page, drawn, and as the engine takes it."""
        began = time.monotonic()
        page = await asyncio.to_thread(self._preprocessor.prepare, document, index, request)
        self._seconds.observe(time.monotonic() - began)
        return page

    async def picture(self, document: bytes, index: int, dpi: int, side: int) -> PagePicture:
        """Return one page to look at."""
        return await asyncio.to_thread(self._preprocessor.picture, document, index, dpi, side)

    async def __del__(self) -> None:
        self._preparation.close()
