"""Finding the page that kills engines, among those that only were there."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.errors import EngineUnavailable, FatalPage
from deployments.types import Generation, GenerationOptions, PreparedPage, Task
from serve_app.bulk.engines import MAX_DEATHS, EngineKeeper, Fault
from serve_app.bulk.quarantine import LedgerEntry, Quarantine
from tests.bulk.ledger import HereLedger
from tests.fake_engine import FakeEngine

OPTIONS = GenerationOptions(task=Task.MARKDOWN)


def page(index: int) -> PreparedPage:
    return PreparedPage(index=index, width=100, height=100, dpi=72, prompt="", image=None, views=None)


class FrailEngine(FakeEngine):
    """Dies of certain pages, with all that it has; others it reads in two steps of the loop."""

    def __init__(self, fatal: set[int], held: Counter[int]) -> None:
        super().__init__()
        self._fatal = fatal
        self._held = held

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        await asyncio.sleep(0)
        self._closed = self._closed or page.index in self._fatal
        self._held[page.index] += 1
        if not self._closed:
            await asyncio.sleep(0)
        if self._closed:
            raise EngineUnavailable("dead")
        async for piece in super().generate(page, options):
            yield piece


def keeper(fatal: set[int], room: int) -> tuple[EngineKeeper, Counter[int]]:
    held: Counter[int] = Counter()
    entry = LedgerEntry(HereLedger(), "actor")
    return EngineKeeper(lambda: FrailEngine(fatal, held), 60, Quarantine(room, {}), entry), held


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 64), st.sets(st.integers(0, 99), max_size=3), st.integers(0, 2**32))
def test_the_pages_that_kill_engines_are_given_up_and_no_others(
    room: int, fatal: set[int], seed: int
) -> None:
    engines, _ = keeper(fatal, room)
    order = random.Random(seed).sample(range(100), 100)

    async def read_all() -> list[Generation | BaseException]:
        return await asyncio.gather(
            *(engines.read(str(index), page(index), OPTIONS) for index in order), return_exceptions=True
        )

    outcomes = dict(zip(order, asyncio.run(read_all()), strict=True))
    assert {index for index, outcome in outcomes.items() if isinstance(outcome, FatalPage)} == fatal
    assert all(isinstance(outcome, FatalPage | Generation) for outcome in outcomes.values())
    assert all(engines.deaths(str(index)) >= 3 for index in fatal)


async def test_one_page_of_a_thousand_is_found_in_five_deaths() -> None:
    engines, held = keeper({0}, 1280)
    outcomes = await asyncio.gather(
        *(engines.read(str(index), page(index), OPTIONS) for index in range(1280)), return_exceptions=True
    )
    assert [isinstance(outcome, FatalPage) for outcome in outcomes].count(True) == 1
    assert held[0] == engines.deaths("0") == 5


async def test_an_engine_that_dies_of_every_page_is_a_fault() -> None:
    engines, _ = keeper(set(range(100)), 4)
    outcomes = await asyncio.gather(
        *(engines.read(str(index), page(index), OPTIONS) for index in range(100)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {FatalPage, Fault}
    assert sum(isinstance(outcome, FatalPage) for outcome in outcomes) <= MAX_DEATHS / 2


async def test_a_cancelled_page_gives_its_place_back() -> None:
    quarantine = Quarantine(1, {})
    inside = asyncio.Event()

    async def stay() -> None:
        async with quarantine.place("a"):
            inside.set()
            await asyncio.Event().wait()

    async def enter(name: str) -> str:
        async with quarantine.place(name):
            return name

    first = asyncio.create_task(stay())
    await inside.wait()
    second, third = asyncio.create_task(enter("b")), asyncio.create_task(enter("c"))
    await asyncio.sleep(0)
    second.cancel()
    first.cancel()
    assert await third == "c"
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_a_process_that_died_finds_what_it_had() -> None:
    remote = HereLedger()
    ledger = remote.ledger
    assert ledger.begin("one") == (1, {})
    entry = LedgerEntry(remote, "one")
    await asyncio.gather(*(entry.enter(name) for name in "abc"))
    entry.leave("a")
    await entry.enter("d")

    starts, known = ledger.begin("one")
    assert starts == 1, "it read a page since"
    assert {name: (held.deaths, held.alone) for name, held in known.items()} == dict.fromkeys(
        "bcd", (1, False)
    )
    for deaths in (2, 3):
        entry = LedgerEntry(remote, "one")
        await entry.enter("c")
        starts, known = ledger.begin("one")
        assert starts == deaths
        assert (known["c"].deaths, known["c"].alone) == (deaths, True)
    assert known["c"].proven
    assert not known["b"].proven
