"""Saying what a small document is in the ingress itself, without a call of another process."""

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor

from deployments.preprocess.preparation import Preparation
from deployments.types import DocumentInfo


class NearInspection:
    """Inspects documents in a sandbox of this process, one at a time; whoever finds it busy goes elsewhere.

    So a document that takes its time holds up no other.

    Args:
        preparation: which documents are read at all, and how they are opened.
    """

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="inspect")
        self._under_way: Future[DocumentInfo] | None = None
        preparation.start()

    def begin(self, document: bytes) -> asyncio.Future[DocumentInfo] | None:
        """Begin to inspect a document, or return None where another is being inspected.

        The future ends in an `OcrError` where the document can't be read or is over a limit. An inspection
        that nobody waits for any more counts as under way until it ends.
        """
        if self._under_way is not None and not self._under_way.done():
            return None
        self._under_way = self._thread.submit(self._preparation.inspect, document)
        return asyncio.wrap_future(self._under_way)
