"""What the application counts, through Ray, which exports it for Prometheus under names that begin with ray_.

docs/metrics.md lists every name. Labels take few values: stages, outcomes, the codes of the `OcrError`
tree, routes, and names of API keys, of which each process counts the first `MAX_KEYS` one by one.
"""

from typing import Literal

from ray.util.metrics import Counter, Gauge, Histogram

from deployments.types import FinishReason
from serve_app.reading import PageDone, PageFailed

MAX_KEYS = 200
"""Names of API keys that a process counts one by one; further ones are counted together as `others`."""

PAGE_BOUNDARIES = [0.25, 0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 600]
"""Seconds; a page takes a fraction of a second to, by default, 600 at most."""


class KeyNames:
    """Bounds how many names of keys become label values."""

    def __init__(self, most: int = MAX_KEYS) -> None:
        self._most = most
        self._seen: set[str] = set()

    def label(self, name: str) -> str:
        """Return the label value for a key's name; `none` for requests without a key."""
        if not name:
            return "none"
        if name not in self._seen and len(self._seen) >= self._most:
            return "others"
        self._seen.add(name)
        return name


class PageMetrics:
    """Counts the pages of one reader.

    Args:
        reader: which one, `requests` or `jobs`.
        engine_places: pages that one engine writes at a time.
    """

    def __init__(self, reader: Literal["requests", "jobs"], engine_places: int) -> None:
        self._tags: dict[str, str] = {"reader": reader}
        self._keys = KeyNames()
        self._pages = Counter("dsocr_pages_total", "Pages that ended, by outcome.", ("reader", "outcome"))
        self._errors = Counter("dsocr_page_errors_total", "Pages that failed, by code.", ("reader", "code"))
        self._repeats = Counter(
            "dsocr_page_repeats_total",
            "Attempts at pages beyond the first, after a page ran away or its process died.",
            ("reader",),
        )
        self._key_pages = Counter("dsocr_key_pages_total", "Pages read, by name of the API key.", ("key",))
        self._seconds = Histogram(
            "dsocr_page_seconds",
            "Seconds of a page, from the wait for a place to its end.",
            PAGE_BOUNDARIES,
            ("reader",),
        )
        self._waiting = Gauge("dsocr_pages_waiting", "Pages that wait for a place of a reader.", ("reader",))
        self._under_way = Gauge("dsocr_pages_under_way", "Pages that hold a place of a reader.", ("reader",))
        self._engine_places = Gauge("dsocr_engine_places", "Pages that one engine writes at a time.")
        self._now = engine_places, 0, 0
        self.refresh()

    def moved(self, waiting: int, under_way: int) -> None:
        """Note how many pages wait for a place, and how many hold one."""
        engine_places, *before = self._now
        if before != [waiting, under_way]:
            self._now = engine_places, waiting, under_way
            self._waiting.set(waiting, self._tags)
            self._under_way.set(under_way, self._tags)

    def refresh(self) -> None:
        """Set the gauges anew, as must be done now and then: Ray drops those that nobody sets."""
        engine_places, waiting, under_way = self._now
        self._engine_places.set(engine_places)
        self._waiting.set(waiting, self._tags)
        self._under_way.set(under_way, self._tags)

    def ended(self, caller: str, end: PageDone | PageFailed, seconds: float) -> None:
        """Count a page that ended."""
        self._seconds.observe(seconds, self._tags)
        if isinstance(end, PageFailed):
            self._pages.inc(tags={**self._tags, "outcome": "error"})
            self._errors.inc(tags={**self._tags, "code": end.error.code})
            return
        outcome: FinishReason = end.result.generation.finish_reason
        self._pages.inc(tags={**self._tags, "outcome": outcome.value})
        self._key_pages.inc(tags={"key": self._keys.label(caller)})
        if end.result.attempts > 1:
            self._repeats.inc(end.result.attempts - 1, self._tags)


class RequestMetrics:
    """Counts requests at the HTTP interface."""

    def __init__(self) -> None:
        self._keys = KeyNames()
        self._requests = Counter(
            "dsocr_requests_total", "HTTP requests, by route, status and error.", ("route", "status", "code")
        )
        self._key_requests = Counter(
            "dsocr_key_requests_total", "HTTP requests, by name of the API key.", ("key",)
        )
        self._seconds = Histogram(
            "dsocr_request_seconds", "Seconds of a request, reply included.", PAGE_BOUNDARIES, ("route",)
        )

    def ended(self, route: str, status: int, code: str, key: str, seconds: float) -> None:
        """Count a request that ended."""
        self._requests.inc(tags={"route": route, "status": str(status), "code": code or "none"})
        self._key_requests.inc(tags={"key": self._keys.label(key)})
        self._seconds.observe(seconds, {"route": route})
