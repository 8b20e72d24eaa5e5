"""How far a job is: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from types import TracebackType
from typing import Never, Self

from tqdm import tqdm


class Progress:
    """Counts what is done. How many pages there are is known only as documents are opened.

    Time left is estimated from the share of documents that are done.

    Args:
        documents: still to be read.
        interval_s: between two lines, where there is no terminal.
    """

    def __init__(self, documents: int, interval_s: float) -> None:
        self._total = documents
        self._documents = 0.0
        self._pages = 0
        self._failed = 0
        self._began = self._last = time.monotonic()
        self._interval_s = interval_s
        self._bar: tqdm[Never] | None = None
        if sys.stderr.isatty():
            form = "{percentage:3.0f}%|{bar}| {postfix}"
            self._bar = tqdm(total=documents, bar_format=form, file=sys.stderr)

    def add(self, pages: int, failed: int, documents: float) -> None:
        """Count pages that were written, those of them that failed or ran away, and (parts of) documents."""
        self._pages += pages
        self._failed += failed
        self._documents += documents
        now = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(self._line(now), refresh=False)
            self._bar.update(documents)
        elif now - self._last >= self._interval_s:
            self._last = now
            sys.stderr.write(f"dsocr: {self._documents / self._total:.1%}, {self._line(now)}\n")
            sys.stderr.flush()

    def _line(self, now: float) -> str:
        elapsed = now - self._began
        share = min(self._documents / self._total, 1.0)
        left = f"{_duration(elapsed / share - elapsed)} left" if share > 0 else "starting"
        failed = f", {self._failed:,} failed" if self._failed else ""
        return f"{self._pages:,} pages, {self._pages / max(elapsed, 1e-9):.2f}/s{failed}, {left}"

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
