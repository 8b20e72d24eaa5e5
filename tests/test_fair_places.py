"""Who gets the next place."""

import asyncio
import random
from collections import Counter

import pytest

from serve_app.fair_places import FairPlaces
from tests.fakes import until

pytestmark = pytest.mark.anyio


class Crowd:
    """Pages that wait for places and hold them until told to leave."""

    def __init__(self, places: FairPlaces) -> None:
        self.places = places
        self.inside: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def _page(self, name: str, caller: str, document: str) -> None:
        async with self.places.place(caller, document):
            self.inside.append(name)
            await self.ends[name].wait()

    async def come(self, caller: str, document: str, count: int = 1) -> None:
        for number in range(count):
            name = f"{document}{number}"
            self.ends[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._page(name, caller, document))
            await asyncio.sleep(0)

    async def leave(self, name: str) -> list[str]:
        """Let a page leave and return who came in for it."""
        before = len(self.inside)
        self.ends[name].set()
        await self.tasks.pop(name)
        await settle()
        return self.inside[before:]

    async def cancel(self, name: str) -> None:
        task = self.tasks.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_single_page_does_not_wait_behind_a_long_document() -> None:
    crowd = Crowd(FairPlaces(2))
    await crowd.come("alice", "long", 100)
    await crowd.come("bob", "b")
    assert crowd.inside == ["long0", "long1"]
    assert await crowd.leave("long0") == ["b0"]
    assert await crowd.leave("b0") == ["long2"]


async def test_callers_hold_equal_shares() -> None:
    crowd = Crowd(FairPlaces(6))
    await crowd.come("alice", "a", 50)
    await crowd.come("bob", "b", 50)
    await crowd.come("carol", "c", 50)
    for name in list(crowd.inside):
        await crowd.leave(name)
    assert Counter(name[0] for name in crowd.inside[-6:]) == {"a": 2, "b": 2, "c": 2}


async def test_a_callers_documents_share_among_themselves() -> None:
    crowd = Crowd(FairPlaces(4))
    await crowd.come("alice", "a", 50)
    await crowd.come("alice", "x", 50)
    await crowd.come("bob", "b", 50)
    for name in list(crowd.inside):
        await crowd.leave(name)
    assert Counter(name[0] for name in crowd.inside[-4:]) == {"a": 1, "x": 1, "b": 2}


async def test_within_a_document_the_first_to_wait_is_the_first_to_go() -> None:
    crowd = Crowd(FairPlaces(1))
    await crowd.come("alice", "a", 4)
    order = [(await crowd.leave(f"a{number}"))[0] for number in range(3)]
    assert order == ["a1", "a2", "a3"]


async def test_who_leaves_the_queue_takes_no_place() -> None:
    crowd = Crowd(FairPlaces(1))
    await crowd.come("alice", "a", 2)
    await crowd.come("bob", "b", 1)
    await crowd.cancel("b0")
    await crowd.cancel("a0")
    assert crowd.inside == ["a0", "a1"]
    await crowd.come("bob", "c")
    assert await crowd.leave("a1") == ["c0"]


async def test_who_is_cancelled_as_the_turn_comes_hands_it_on() -> None:
    crowd = Crowd(FairPlaces(1))
    await crowd.come("alice", "a", 3)
    crowd.ends["a0"].set()
    await until(crowd.tasks["a0"].done)
    await crowd.cancel("a1")
    assert crowd.inside[-1] == "a2" or await crowd.leave("a1") == ["a2"]


async def test_no_place_is_lost_or_given_twice() -> None:
    places, chance = FairPlaces(5), random.Random(7)
    inside = most = 0

    async def page(caller: str, document: str) -> None:
        nonlocal inside, most
        async with places.place(caller, document):
            inside += 1
            most = max(most, inside)
            try:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
            finally:
                inside -= 1

    tasks = []
    for number in range(2000):
        tasks.append(asyncio.create_task(page(f"c{chance.randrange(4)}", f"d{number // 20}")))
        if chance.random() < 0.3:
            chance.choice(tasks).cancel()
        if chance.random() < 0.5:
            await asyncio.sleep(0)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (inside, most) == (0, 5)
    crowd = Crowd(places)
    await crowd.come("alice", "a", 6)
    assert len(crowd.inside) == 5
    for task in crowd.tasks.values():
        task.cancel()
    await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
