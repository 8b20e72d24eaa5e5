"""Books that stay open between two of their pages.

The pages of a book come in calls of their own. To open it anew for each would parse it again, and load its
fonts again, which for a typical page is a third of what drawing it takes.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from deployments.preprocess.page_image import PageImage
from deployments.types import DocumentInfo, DocumentKind

KEPT_S = 10.0
"""How long a book stays open after a page: longer than its next page takes to come while an engine reads."""

MOST_BOOKS = 4
"""Open and not in use, at most."""

MOST_BYTES = 32 * 2**20
"""Of the books that are open and not in use, together."""


class OpenDocument(Protocol):
    """An open document, here or in a sandbox, for one thread at a time."""

    info: DocumentInfo

    def render(self, index: int, dpi: int) -> PageImage:
        """Make one page's image."""
        ...

    def close(self) -> None:
        """Free what the document holds. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class _Kept:
    data: bytes
    document: OpenDocument
    since: float


class KeptDocuments:
    """Opens documents, and keeps a few PDFs of several pages open for a while after. Threads may share it.

    A document serves one thread at a time: threads that draw pages of one book each open it. One under
    which anything went wrong does not stay open.

    Args:
        open_document: opens a file.
        clock: monotonic, in seconds.
    """

    def __init__(
        self, open_document: Callable[[bytes], OpenDocument], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._open = open_document
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: list[_Kept] = []

    @contextmanager
    def document(self, data: bytes) -> Iterator[OpenDocument]:
        """Give an open document to this thread.

        Args:
            data: the whole file.

        Raises:
            OcrError: as `Document.open`.
        """
        document = self._taken(data) or self._open(data)
        try:
            yield document
        except BaseException:
            document.close()
            raise
        self._give_back(data, document)

    def close_idle(self, idle_s: float = 0.0) -> None:
        """Close what nobody has used for so many seconds."""
        limit = self._clock() - idle_s
        with self._lock:
            old = [each for each in self._kept if each.since <= limit]
            self._kept = [each for each in self._kept if each.since > limit]
        _close(old)

    def _taken(self, data: bytes) -> OpenDocument | None:
        with self._lock:
            for number, each in enumerate(self._kept):
                if each.data == data:
                    return self._kept.pop(number).document
        return None

    def _give_back(self, data: bytes, document: OpenDocument) -> None:
        info = document.info
        if info.kind is not DocumentKind.PDF or info.page_count == 1 or len(data) > MOST_BYTES:
            document.close()
            return
        with self._lock:
            self._kept.append(_Kept(data, document, self._clock()))
            room, first = MOST_BYTES, len(self._kept)
            while first and len(self._kept) - first < MOST_BOOKS and room >= len(self._kept[first - 1].data):
                first -= 1
                room -= len(self._kept[first].data)
            surplus, self._kept = self._kept[:first], self._kept[first:]
        _close(surplus)
        self.close_idle(KEPT_S)


def _close(kept: list[_Kept]) -> None:
    for each in kept:
        each.document.close()
