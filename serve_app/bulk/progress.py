"""How far a job is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Never, Self

from tqdm import tqdm

SAMPLE = 20
"""Documents that must have been opened before the rest is judged by them."""


@dataclass(frozen=True, slots=True)
class Progressed:
    """What was done since the last one.

    Attributes:
        pages: that were written.
        failed: those of them that failed or ran away.
        opened: documents of which the first pages, or the error, were written.
        opened_pages: how many pages of these were asked for in all.
        fault: what ends the job, or "".
    """

    pages: int
    failed: int
    opened: int
    opened_pages: int
    fault: str = ""


class Progress:
    """Counts what is done. How many pages there are is known only as documents are opened.

    Documents come in random order (see `serve_app.bulk.job`), so those opened are a sample of all: the pages
    of the others are reckoned from it, once it is large enough. The time left is that of these pages and of
    what is left of the opened documents, at the speed since the first page was written.

    Args:
        documents: still to be read.
        interval_s: between two lines, where there is no terminal.
    """

    def __init__(self, documents: int, interval_s: float) -> None:
        self._documents = documents
        self._opened = 0
        self._opened_pages = 0
        self._pages = 0
        self._failed = 0
        self._last = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._interval_s = interval_s
        self._bar: tqdm[Never] | None = None
        if sys.stderr.isatty():
            form = "{percentage:3.0f}%|{bar}| {postfix}"
            self._bar = tqdm(total=1.0, bar_format=form, file=sys.stderr)

    def add(self, step: Progressed) -> None:
        """Count what was done."""
        self._pages += step.pages
        self._failed += step.failed
        self._opened += step.opened
        self._opened_pages += step.opened_pages
        now = time.monotonic()
        if self._first is None:
            self._first = now, self._pages
        if self._bar is not None:
            self._bar.set_postfix_str(self._line(now), refresh=False)
            self._bar.n = self._share()
            self._bar.update(0)
        elif now - self._last >= self._interval_s:
            self._last = now
            sys.stderr.write(f"dsocr: {self._share():.1%}, {self._line(now)}\n")
            sys.stderr.flush()

    def _left(self) -> tuple[float, bool]:
        """Return the pages left, and whether those of documents not opened yet are among them."""
        unopened = max(self._documents - self._opened, 0)
        left = max(self._opened_pages - self._pages, 0.0)
        if unopened and self._opened < SAMPLE:
            return left, False
        return left + unopened * self._opened_pages / max(self._opened, 1), True

    def _share(self) -> float:
        """Return the share of all pages that are done; of documents, while there is no sample."""
        left, all_of_them = self._left()
        known = self._pages / (self._pages + left) if self._pages + left else 1.0
        return known if all_of_them else known * self._opened / self._documents

    def _line(self, now: float) -> str:
        failed = f", {self._failed:,} failed" if self._failed else ""
        began, before = self._first or (now, 0)
        read = self._pages - before
        if read <= 0 or now <= began:
            return f"{self._pages:,} pages{failed}"
        speed = read / (now - began)
        left, all_of_them = self._left()
        duration = f"{'' if all_of_them else 'at least '}{_duration(left / speed)} left"
        return f"{self._pages:,} pages, {speed:.2f}/s{failed}, {duration}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()


def _duration(seconds: float) -> str:
    """Return hours, minutes and seconds, as `1:02:03` or `2:03`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
