"""A bounded number of places, shared fairly between those who wait for one."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager


class FairPlaces:
    """Places for pages, of which each caller gets its share, and within a caller each document.

    A place that comes free goes to the caller who holds the fewest, of several such to the one who was
    given none for the longest; then, in the same way, to one of that caller's documents; then to the
    page that has waited longest. So a caller with thousands of pages delays another's single page by no
    more than what is under way.

    Args:
        places: how many.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._free = places
        self._waiting: dict[str, dict[Hashable, deque[asyncio.Future[None]]]] = {}
        self._callers: Counter[str] = Counter()
        self._documents: Counter[Hashable] = Counter()

    @property
    def taken(self) -> int:
        """How many places are held."""
        return self._places - self._free

    @property
    def waiting(self) -> int:
        """How many pages wait for a place."""
        return sum(len(turns) for documents in self._waiting.values() for turns in documents.values())

    @asynccontextmanager
    async def place(self, caller: str, document: Hashable) -> AsyncIterator[None]:
        """Wait for a place and hold it.

        Args:
            caller: whose share it comes from.
            document: that the page is of; unequal to all others under way.
        """
        if self._free and not self._waiting:
            self._take(caller, document)
        else:
            await self._wait(caller, document)
        try:
            yield
        finally:
            self._give_back(caller, document)

    async def _wait(self, caller: str, document: Hashable) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, {}).setdefault(document, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(caller, document)
            else:
                self._leave(caller, document, turn)
            raise

    def _take(self, caller: str, document: Hashable) -> None:
        self._free -= 1
        self._callers[caller] += 1
        self._documents[document] += 1

    def _give_back(self, caller: str, document: Hashable) -> None:
        self._free += 1
        self._callers[caller] -= 1
        self._documents[document] -= 1
        if not self._callers[caller]:
            del self._callers[caller]
        if not self._documents[document]:
            del self._documents[document]
        self._hand_on()

    def _hand_on(self) -> None:
        """Give free places to those who wait."""
        while self._free and self._waiting:
            caller = min(self._waiting, key=lambda each: self._callers[each])
            documents = self._waiting[caller]
            document = min(documents, key=lambda each: self._documents[each])
            turn = documents[document].popleft()
            self._leave_if_empty(caller, document)
            # Whoever was given a place goes behind the others.
            if document in documents:
                documents[document] = documents.pop(document)
            if caller in self._waiting:
                self._waiting[caller] = self._waiting.pop(caller)
            self._take(caller, document)
            turn.set_result(None)

    def _leave(self, caller: str, document: Hashable, turn: asyncio.Future[None]) -> None:
        self._waiting[caller][document].remove(turn)
        self._leave_if_empty(caller, document)

    def _leave_if_empty(self, caller: str, document: Hashable) -> None:
        if not self._waiting[caller][document]:
            del self._waiting[caller][document]
        if not self._waiting[caller]:
            del self._waiting[caller]
