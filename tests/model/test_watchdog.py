"""An engine that hangs is noticed, and one that is only slow or unread is left alone."""

import asyncio
from collections.abc import AsyncGenerator
from typing import ClassVar

import pytest

from deployments.errors import EngineUnavailable
from deployments.model.engine import read_page
from deployments.model.watchdog import Watchdog
from deployments.types import (
    EngineInput,
    FinishReason,
    Generation,
    GenerationOptions,
    PreparedPage,
)

pytestmark = pytest.mark.anyio

STALL_S = 0.4


class Halting:
    """Writes a piece whenever `go` lets it, and notes whether its pages were closed."""

    name: ClassVar[str] = "halting"
    takes: ClassVar[EngineInput] = EngineInput.VIEWS

    def __init__(self, pieces: int = 3) -> None:
        self.model, self.revision = "halting", None
        self.go = asyncio.Semaphore(0)
        self.closed_pages = 0
        self._pieces = pieces

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        try:
            for _ in range(self._pieces):
                await self.go.acquire()
                yield "piece "
            yield Generation("piece " * self._pieces, FinishReason.STOP, 1, self._pieces)
        finally:
            self.closed_pages += 1

    async def check_health(self) -> None:
        pass

    async def close(self) -> None:
        pass


PAGE = PreparedPage(0, 10, 10, None, "prompt")
OPTIONS = GenerationOptions()


async def test_a_hang_fails_every_page_under_way_and_the_health_check() -> None:
    engine = Halting()
    watched = Watchdog(engine, STALL_S)
    reads = [asyncio.create_task(read_page(watched, PAGE, OPTIONS)) for _ in range(5)]
    results = await asyncio.wait_for(asyncio.gather(*reads, return_exceptions=True), 60)
    assert [type(result) for result in results] == [EngineUnavailable] * 5
    assert "no page got on" in str(results[0])
    assert engine.closed_pages == 5, "the engine was told to let go of them"
    with pytest.raises(EngineUnavailable):
        await watched.check_health()
    with pytest.raises(EngineUnavailable):
        await asyncio.wait_for(read_page(watched, PAGE, OPTIONS), 10)


async def test_one_page_that_gets_on_is_a_sign_of_life_for_all() -> None:
    engine = Halting(pieces=40)
    watched = Watchdog(engine, STALL_S)
    reads = [asyncio.create_task(read_page(watched, PAGE, OPTIONS)) for _ in range(2)]
    for _ in range(80):
        await asyncio.sleep(STALL_S / 20)
        engine.go.release()
    for generation in await asyncio.wait_for(asyncio.gather(*reads), 60):
        assert generation.finish_reason is FinishReason.STOP
    await watched.check_health()


async def test_a_reader_that_takes_its_time_is_not_the_engines_fault() -> None:
    engine = Halting()
    watched = Watchdog(engine, STALL_S)
    for _ in range(3):
        engine.go.release()
    async for _ in watched.generate(PAGE, OPTIONS):
        await asyncio.sleep(STALL_S * 1.5)
    await watched.check_health()


async def test_idleness_is_no_hang() -> None:
    engine = Halting(pieces=1)
    watched = Watchdog(engine, STALL_S)
    for _ in range(2):
        engine.go.release()
        await read_page(watched, PAGE, OPTIONS)
        await asyncio.sleep(STALL_S * 2)
    await watched.check_health()


async def test_a_page_that_is_given_up_ends_the_silence_it_caused() -> None:
    engine = Halting(pieces=1)
    watched = Watchdog(engine, STALL_S)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read_page(watched, PAGE, OPTIONS), STALL_S * 0.6)
    await watched.check_health()
    engine.go.release()
    assert (await read_page(watched, PAGE, OPTIONS)).output_tokens == 1


async def test_the_watched_engine_keeps_its_name_and_input() -> None:
    watched = Watchdog(Halting(), STALL_S)
    assert (watched.name, watched.takes, watched.model) == ("halting", EngineInput.VIEWS, "halting")
