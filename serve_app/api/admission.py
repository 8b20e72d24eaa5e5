"""How many documents are under way at once."""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deployments.errors import QueueFull

_WEIGHT = 0.2
"""Share of the newest request in the running mean of how long requests take."""

_MAX_RETRY_S = 120


class Admission:
    """Lets a bounded number of requests in and refuses the others at once.

    It counts one process's requests, and keeps a running mean of how long they take, from which it
    tells the others when a place is likely to be free.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._taken = 0
        self._mean_s: float | None = None

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place.

        Raises:
            QueueFull: none is free.
        """
        if self._taken >= self._places:
            raise QueueFull(f"The service is at work on {self._taken} documents already; try again shortly.")
        self._taken += 1
        began = time.monotonic()
        try:
            yield
        except QueueFull:
            raise  # refused further on at once: it says nothing of how long requests take
        except BaseException:
            self._measure(time.monotonic() - began)
            raise
        else:
            self._measure(time.monotonic() - began)
        finally:
            self._taken -= 1

    def _measure(self, took: float) -> None:
        self._mean_s = took if self._mean_s is None else (1 - _WEIGHT) * self._mean_s + _WEIGHT * took

    def retry_after_s(self) -> int:
        """Return the whole seconds after which a place should be free.

        With n places taken and requests of mean length t, the next one ends after t/n on average.
        """
        if self._mean_s is None or self._taken == 0:
            return 1
        return min(max(1, math.ceil(self._mean_s / self._taken)), _MAX_RETRY_S)
