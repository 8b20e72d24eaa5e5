"""The engine of a bulk job's actor is replaced when it hangs, and its pages are read by the next."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from deployments.types import Generation, GenerationOptions, PreparedPage
from serve_app.bulk.engines import EngineKeeper
from serve_app.bulk.quarantine import LedgerEntry, Quarantine
from tests.bulk.ledger import HereLedger
from tests.fake_engine import FakeEngine

pytestmark = pytest.mark.anyio


def made(folder: Path) -> list[Path]:
    """A file for each engine that was made."""
    return list(folder.iterdir())


class HangsOnce(FakeEngine):
    """Hangs with every page until another was made."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._number = len(made(folder))
        (folder / str(self._number)).touch()

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        if self._number == 0:
            await asyncio.Event().wait()
        async for piece in super().generate(page, options):
            yield piece


async def test_pages_of_an_engine_that_hangs_are_read_by_the_next(tmp_path: Path) -> None:
    entry = LedgerEntry(HereLedger(), "actor")
    keeper = EngineKeeper(lambda: HangsOnce(tmp_path), 0.3, Quarantine(8, {}), entry)
    pages = [PreparedPage(index, 10, 10, None, "prompt") for index in range(4)]
    reads = asyncio.gather(*(keeper.read(str(page.index), page, GenerationOptions()) for page in pages))
    generations = await asyncio.wait_for(reads, 60)
    assert [f"# Page {index}" in generation.text for index, generation in enumerate(generations)] == [
        True
    ] * 4
    assert {path.name for path in made(tmp_path)} == {"0", "1"}, "one engine more was made, for all of them"
