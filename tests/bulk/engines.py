"""Doubles for bulk jobs: engines that note what they read, and stages that die."""

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path
from typing import Any

from deployments.errors import ConfigurationError, EngineUnavailable, OcrError
from deployments.preprocess.preparation import Preparation
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.sandbox import Sandbox
from deployments.types import Generation, GenerationOptions, PageRequest, PreparedPage
from serve_app.bulk.pages import Segment, Wanted, segments
from tests.fake_engine import FakeEngine


class NotingEngine(FakeEngine):
    """The fake engine, with a latency, a bound on pages at once, and a line in `log` for each page read.

    The corpora of these tests give every page a width of its own, so that a line names a page.
    """

    def __init__(self, log: str, latency: float = 0.0, at_once: int = 4) -> None:
        super().__init__()
        self._log = log
        self._latency = latency
        self._places = asyncio.Semaphore(at_once)

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        async with self._places:
            await asyncio.sleep(self._latency)
            async for piece in super().generate(page, options):
                if isinstance(piece, Generation):
                    self._note(f"{os.getpid()} {page.width}x{page.height}\n")
                yield piece

    def _note(self, line: str) -> None:
        with Path(self._log).open("a") as log:
            log.write(line)


class MortalEngine(FakeEngine):
    """Dies with the first page it gets, as long as there are `lives` files left to make in a folder."""

    def __init__(self, folder: str, lives: int) -> None:
        super().__init__()
        self._folder = Path(folder)
        self._lives = lives

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        deaths = len(list(self._folder.iterdir()))
        if deaths < self._lives:
            (self._folder / str(deaths)).touch()
            self._closed = True
        if self._closed:
            raise EngineUnavailable("the engine died, as it was told to")
        async for piece in super().generate(page, options):
            yield piece


class FatalEngine(NotingEngine):
    """Ends its own process at a page 666 pixels wide, as a fault in a C library would."""

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        if page.width == 666:
            self._note(f"{os.getpid()} died\n")
            os.kill(os.getpid(), signal.SIGKILL)
        async for piece in super().generate(page, options):
            yield piece


class UnbornEngine(FakeEngine):
    """Can't be made."""

    def __init__(self) -> None:
        raise ConfigurationError("There is no model in the folder.")


class BlockingEngine(FakeEngine):
    """Puts a file where a folder should be before it reads a page."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = Path(path)

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        self._path.touch()
        async for piece in super().generate(page, options):
            yield piece


class _DeadlyPreprocessor(Preprocessor):
    """Ends its process at a page 666 pixels wide, as a fault in a C library would."""

    def prepare_pages(
        self, data: bytes, indices: Iterable[int], request: PageRequest
    ) -> Iterator[tuple[int, PreparedPage | OcrError]]:
        for index, page in super().prepare_pages(data, indices, request):
            if isinstance(page, PreparedPage) and page.width == 666:
                os._exit(1)
            yield index, page


class DeadlyPreparation(Preparation):
    """A preparation whose workers die of certain pages."""

    def preprocessor(self) -> Preprocessor:
        return _DeadlyPreprocessor(self.limits, self.views, self.takes, None)


def deadly_look(documents: list[Wanted], spec: Preparation, group_pages: int) -> Iterator[list[Segment]]:
    """Look into documents, but die of the one named b."""
    for document in documents:
        if document.doc_id == "b":
            os._exit(1)
        yield segments(document, spec.limits, group_pages, spec.inspect)


class _KilledSandbox(Sandbox):
    """Its child is killed as it opens a file with a page 777 points wide, or draws a page number 2."""

    def ask(self, message: dict[str, Any], file: int | None = None) -> tuple[dict[str, Any], int | None]:
        opens = file is not None and b" 777 " in os.pread(file, 2**20, 0)
        if opens or message.get("index") == 2:
            self._started()
            assert self._child is not None
            os.kill(self._child.pid, signal.SIGKILL)
        return super().ask(message, file)


class KilledPreparation(Preparation):
    """A preparation whose sandboxes die of certain documents."""

    def new_sandbox(self) -> Sandbox:
        return _KilledSandbox(self.limits, self.sandbox)
