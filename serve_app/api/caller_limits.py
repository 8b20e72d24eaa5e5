"""How many requests one caller may send, and have under way."""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deployments.errors import QueueFull, RateLimited
from serve_app.api.admission import Admission
from serve_app.api.settings import ApiSettings


class TokenBucket:
    """Lets requests through at a steady rate, and some at once after a pause.

    Args:
        rate: requests a second.
        burst: most requests at once.
    """

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._seen = time.monotonic()

    def take(self) -> float:
        """Take a token, or return the seconds until there is one; 0 if it was taken."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._seen) * self._rate)
        self._seen = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._rate


class CallerLimits:
    """The limits of each caller, in one process.

    Callers are names of keys, and one for all requests without a key: there are as many as there are keys.
    """

    def __init__(self, settings: ApiSettings) -> None:
        self._settings = settings
        self._buckets: dict[str, TokenBucket] = {}
        self._admissions: dict[str, Admission] = {}

    @asynccontextmanager
    async def place(self, caller: str) -> AsyncIterator[None]:
        """Hold one of a caller's places.

        Raises:
            RateLimited: the caller has sent too many requests, or has too many under way; it says when to
                come back.
        """
        settings = self._settings
        places = settings.max_concurrent_requests
        if caller and settings.max_concurrent_requests_per_key is not None:
            places = settings.max_concurrent_requests_per_key
        elif caller:
            places = math.ceil(places * 3 / 4)  # what is left is for the others
        admission = self._admissions.setdefault(caller, Admission(places))
        async with _own_place(admission):
            if settings.requests_per_minute is not None:
                rate = settings.requests_per_minute / 60
                bucket = self._buckets.setdefault(caller, TokenBucket(rate, settings.request_burst))
                wait_s = bucket.take()
                if wait_s > 0:
                    raise _limited(
                        f"More than {settings.requests_per_minute:g} requests a minute came with this key.",
                        wait_s,
                    )
            yield


@asynccontextmanager
async def _own_place(admission: Admission) -> AsyncIterator[None]:
    place = admission.place()
    try:
        await place.__aenter__()
    except QueueFull:
        raise _limited(
            "As many requests as one key may have are under way with this one.", admission.retry_after_s()
        ) from None
    try:
        yield
    finally:
        await place.__aexit__(None, None, None)


def _limited(reason: str, wait_s: float) -> RateLimited:
    seconds = max(1, math.ceil(wait_s))
    error = RateLimited(f"{reason} Try again in {seconds} s.")
    error.retry_after_s = seconds
    return error
