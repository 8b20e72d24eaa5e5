"""Searchable PDFs, each made in a process of its own: whatever a document does to MuPDF ends that alone.

The process is this module: it reads what it needs from standard input, pickled by its parent, and writes
the PDF to standard output.
"""

import asyncio
import logging
import os
import pickle
import resource
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

from deployments.errors import InvalidDocument
from deployments.postprocess import pdfs
from deployments.preprocess.documents import Document
from deployments.preprocess.settings import DocumentLimits
from deployments.types import DocumentInfo, DocumentKind, PageResult

logger = logging.getLogger(__name__)

MAX_MEMORY_BYTES = 8 * 2**30
"""Address space of a process: a PDF of 100 MiB and what MuPDF makes of it stay far below."""

MAX_CPU_S = 600

MAX_PIXELS = 178_956_970
"""The most that the settings can allow."""


@dataclass(frozen=True, slots=True)
class _Order:
    """What a process is to make."""

    document: bytes
    info: DocumentInfo
    dpi: int
    results: list[PageResult]


class SearchablePdfs:
    """Makes PDFs that look like their documents and can be searched.

    Args:
        processes: most of them at once; others wait.
    """

    def __init__(self, processes: int) -> None:
        self._places = asyncio.Semaphore(processes)

    async def make(
        self, document: bytes, info: DocumentInfo, dpi: int, results: Sequence[PageResult]
    ) -> bytes:
        """Return a document with the text of its pages; cancelling ends the process.

        Args:
            document: its bytes.
            info: what it is.
            dpi: at which its pages were read.
            results: the pages; of a PDF the others stay as they are, of pictures they are left out.

        Raises:
            InvalidDocument: none can be made of it.
        """
        order = await asyncio.to_thread(pickle.dumps, _Order(document, info, dpi, list(map(_plain, results))))
        async with self._places:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "serve_app.searchable_pdf"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            try:
                pdf, _ = await process.communicate(order)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
        if process.returncode != 0:
            logger.warning("no searchable PDF was made: the process ended with %d", process.returncode)
            raise InvalidDocument("No PDF can be made of this document; ask for another format.")
        return pdf


def _plain(result: PageResult) -> PageResult:
    """Return a page without its figures' bytes, which a text layer has no use for."""
    return replace(result, figures=tuple(replace(figure, png=None) for figure in result.figures))


def _made(order: _Order) -> bytes:
    if order.info.kind is DocumentKind.PDF:
        return pdfs.searchable(order.results, source=order.document)
    # What the service allows was looked at when the document was read.
    limits = DocumentLimits(
        max_bytes=len(order.document), max_pages=order.info.page_count, max_pixels=MAX_PIXELS
    )
    with Document.open(order.document, limits) as document:
        images = (document.render(result.index, order.dpi).pixels for result in order.results)
        return pdfs.searchable(order.results, images=images)


def main() -> None:
    """Make one PDF."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    order = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by the parent, of values it made itself
    sys.stdout.buffer.write(_made(order))


if __name__ == "__main__":
    main()
