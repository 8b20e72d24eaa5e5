"""Files made of a document's own pages: searchable PDFs, layout PDFs, and pictures of pages with boxes.

Each is made in a process of its own: whatever a document does to MuPDF ends that alone. The process is
this module: it reads what it needs from standard input, pickled by its parent, and writes the file to
standard output.
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
from deployments.postprocess import drawing, pdfs
from deployments.preprocess.documents import Document
from deployments.preprocess.settings import DocumentLimits
from deployments.types import DocumentInfo, DocumentKind, PageResult
from serve_app.formats import ResultFormat

logger = logging.getLogger(__name__)

MAX_MEMORY_BYTES = 8 * 2**30
"""Address space of a process: a PDF of 100 MiB and what MuPDF makes of it stay far below."""

MAX_CPU_S = 600

MAX_PIXELS = 178_956_970
"""The most that the settings can allow."""


@dataclass(frozen=True, slots=True)
class _Order:
    """What a process is to make."""

    format: ResultFormat
    document: bytes
    info: DocumentInfo
    dpi: int
    results: list[PageResult]


class Printer:
    """Makes PDFs and pictures that look like their documents, with text or boxes added.

    Args:
        processes: most of them at once; others wait.
    """

    def __init__(self, processes: int) -> None:
        self._places = asyncio.Semaphore(processes)

    async def make(
        self,
        format_: ResultFormat,
        document: bytes,
        info: DocumentInfo,
        dpi: int,
        results: Sequence[PageResult],
    ) -> bytes:
        """Return a document with the text of its pages, or their boxes; cancelling ends the process.

        Args:
            format_: one of those that are printed.
            document: its bytes.
            info: what it is.
            dpi: at which its pages were read.
            results: the pages; of a PDF the others stay as they are, of pictures they are left out.

        Raises:
            InvalidDocument: none can be made of it.
            InvalidRequest: a picture of several pages is asked for.
        """
        format_.check(len(results))
        order = await asyncio.to_thread(
            pickle.dumps, _Order(format_, document, info, dpi, list(map(_plain, results)))
        )
        async with self._places:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "serve_app.printing"),
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
            logger.warning("no %s was made: the process ended with %d", format_, process.returncode)
            raise InvalidDocument("No such file can be made of this document; ask for another format.")
        return pdf


def _plain(result: PageResult) -> PageResult:
    """Return a page without its figures' bytes, which a text layer has no use for."""
    return replace(result, figures=tuple(replace(figure, png=None) for figure in result.figures))


def _made(order: _Order) -> bytes:
    make = pdfs.layout if order.format is ResultFormat.LAYOUT_PDF else pdfs.searchable
    if order.info.kind is DocumentKind.PDF and order.format is not ResultFormat.PNG:
        return make(order.results, source=order.document)
    # What the service allows was looked at when the document was read.
    limits = DocumentLimits(
        max_bytes=len(order.document), max_pages=order.info.page_count, max_pixels=MAX_PIXELS
    )
    with Document.open(order.document, limits) as document:
        images = (document.render(result.index, order.dpi).pixels for result in order.results)
        if order.format is ResultFormat.PNG:
            return drawing.draw_png(next(images), order.results[0].blocks)
        return make(order.results, images=images)


def main() -> None:
    """Make one file."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    order = pickle.load(sys.stdin.buffer)  # noqa: S301 - written by the parent, of values it made itself
    sys.stdout.buffer.write(_made(order))


if __name__ == "__main__":
    main()
