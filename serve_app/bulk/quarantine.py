"""Which page it was that killed an engine.

All pages that were in an engine as it died are suspects, and one of them may do it again. So suspects
are read before others, and fewer at once the more often an engine died with them: a culprit is soon
alone, and the rest are cleared by being read. A page whose engine died three times, the last time with
nothing else in it, is given up.

Engines that are a process of their own die without their actor, and `EngineKeeper` sees it. One that
dies with its actor's process leaves what it had in the `Ledger`, where the actor finds it when Ray has
started it again.
"""

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

LIVES = 3
"""Engines that may die with the same page; it is then taken to be what kills them, if it was alone."""

_NARROWER = 3
"""After each death an eighth as many suspects are read at once: of 1,024 one is alone after four."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """How often an engine died with a page in it, and whether it was alone in it the last time."""

    deaths: int
    alone: bool

    @property
    def proven(self) -> bool:
        """Whether it is the page that kills engines."""
        return self.alone and self.deaths >= LIVES


def _after_death(known: dict[str, Suspicion], inside: Iterable[str]) -> None:
    """Note that an engine died with these pages in it."""
    pages = list(inside)
    for page in pages:
        deaths = known[page].deaths if page in known else 0
        known[page] = Suspicion(deaths + 1, len(pages) == 1)


class Quarantine:
    """The way into an engine. For one event loop.

    Args:
        room: pages that the engine has at once.
        known: suspicions of earlier engines.
    """

    def __init__(self, room: int, known: Mapping[str, Suspicion]) -> None:
        self._room = room
        self._known = dict(known)
        self._inside: set[str] = set()
        self._waiting: list[tuple[bool, int, int, str, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def suspicion(self, page: str) -> Suspicion | None:
        """Return what is held against a page."""
        return self._known.get(page)

    def died(self) -> None:
        """Note that the engine died with the pages now in it."""
        _after_death(self._known, self._inside)

    def clear(self, page: str) -> None:
        """Note that the engine got through a page."""
        self._known.pop(page, None)

    @asynccontextmanager
    async def place(self, page: str) -> AsyncIterator[None]:
        """Wait until a page may be in the engine, and hold its place."""
        loop = asyncio.get_running_loop()
        admitted: asyncio.Future[None] = loop.create_future()
        deaths = self._known[page].deaths if page in self._known else 0
        heapq.heappush(self._waiting, (deaths == 0, deaths, next(self._numbers), page, admitted))
        self._admit()
        try:
            await admitted
            yield
        finally:
            admitted.cancel()
            self._inside.discard(page)
            self._admit()

    def _admit(self) -> None:
        """Let in who may: suspects first, those of the fewest deaths before others."""
        while self._waiting:
            *_, page, admitted = self._waiting[0]
            if not admitted.done():
                suspects = self._known.keys() & {page, *self._inside} if self._known else ()
                if len(self._inside) >= min(map(self._at_once, suspects), default=self._room):
                    return
                self._inside.add(page)
                admitted.set_result(None)
            heapq.heappop(self._waiting)

    def _at_once(self, suspect: str) -> int:
        """Return how many pages may be in the engine together with a suspect."""
        return max(self._room >> _NARROWER * self._known[suspect].deaths, 1)


class Ledger:
    """What each actor has in its engine, kept outside of the actors; an actor of its own.

    It is told before a page goes into an engine. That a page came out may be told with the next one's
    going in.
    """

    def __init__(self) -> None:
        self._inside: dict[str, set[str]] = {}
        self._known: dict[str, Suspicion] = {}
        self._starts: Counter[str] = Counter()

    def begin(self, actor: str) -> tuple[int, dict[str, Suspicion]]:
        """Note that an actor starts, which has died if it is not the first time.

        Returns:
            How often it started since it last got a page through, this time included; and all suspicions.
        """
        _after_death(self._known, self._inside.pop(actor, ()))
        self._starts[actor] += 1
        return self._starts[actor], dict(self._known)

    def note(self, actor: str, entered: list[str], left: list[str]) -> None:
        """Note pages that go into an actor's engine, and others that it got through."""
        inside = self._inside.setdefault(actor, set())
        inside.difference_update(left)
        inside.update(entered)
        for page in left:
            self._known.pop(page, None)
        if left:
            self._starts[actor] = 0


class LedgerEntry:
    """One actor's way to the ledger; a message carries what gathered while the one before was under way.

    Args:
        ledger: handle of the actor that is a `Ledger`.
        actor: this actor's name in it.
    """

    def __init__(self, ledger: Any, actor: str) -> None:
        self._ledger = ledger
        self._actor = actor
        self._entered: list[str] = []
        self._left: list[str] = []
        self._sending = asyncio.Lock()

    async def enter(self, page: str) -> None:
        """Return once it is noted that a page goes into the engine."""
        self._entered.append(page)
        async with self._sending:
            if page not in self._entered:
                return
            entered, self._entered = self._entered, []
            left, self._left = self._left, []
            await self._ledger.note.remote(self._actor, entered, left)

    def leave(self, page: str) -> None:
        """Note, in time, that the engine got through a page."""
        self._left.append(page)
