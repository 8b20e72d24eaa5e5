"""Replies that are files, such as Markdown, a web page, a zip file or a searchable PDF."""

import asyncio
import io
from collections.abc import AsyncIterator, Sequence

from starlette.responses import Response

from deployments.errors import OcrError, ProcessingTimeout
from deployments.postprocess.markdown import TableFormat
from deployments.types import DocumentInfo, PageResult
from serve_app.api import page_ranges
from serve_app.api.recognition import Recognition
from serve_app.api.schemas import OcrOptions
from serve_app.formats import ResultFormat, Selection, disposition, write
from serve_app.printing import Printer
from serve_app.reading import PageDelta, PageDone, PageEvent, PageFailed, PageStarted

FAILED_HEADER = "X-Pages-Failed"


def selection(options: OcrOptions) -> Selection:
    """Return what of a page the options ask for."""
    return Selection(
        table_format=None if options.table_format is None else TableFormat(options.table_format),
        headers=not options.extract_header,
        footers=not options.extract_footer,
        figure_min_size=options.image_min_size or 0,
        figure_limit=options.image_limit,
        merge=options.merge,
    )


async def download(
    events: AsyncIterator[PageEvent],
    work: Recognition,
    format_: ResultFormat,
    name: str | None,
    printer: Printer,
    deadline: float,
) -> Response:
    """Gather the pages and write them as a file.

    Pages that could not be read are named in the header `X-Pages-Failed`.

    Args:
        events: of the pages, in order.
        work: what is read.
        format_: of the file.
        name: of the document, where known.
        printer: makes files of the document's own pages.
        deadline: on the event loop's clock.

    Raises:
        OcrError: no page could be read; it is the first page's error. Or no PDF can be made.
        ProcessingTimeout: the deadline passed.
    """
    pages: list[PageResult | int] = []
    first_error: OcrError | None = None
    async for event in events:
        match event:
            case PageDone(result):
                pages.append(result)
            case PageFailed(index, error):
                pages.append(index)
                first_error = first_error or error
            case PageStarted() | PageDelta():
                pass
    results = [page for page in pages if not isinstance(page, int)]
    if not results and first_error is not None:
        raise first_error
    try:
        async with asyncio.timeout_at(deadline):
            content = await file_of(format_, pages, work.document, work.info, work.options, printer)
    except TimeoutError:
        raise ProcessingTimeout("The request took too long; ask for fewer pages at once.") from None
    headers = {
        "Content-Disposition": disposition(name, format_),
        "X-Content-Type-Options": "nosniff",
    }
    if len(results) < len(pages):
        headers[FAILED_HEADER] = page_ranges.in_a_header(page for page in pages if isinstance(page, int))
    return Response(content, media_type=format_.media_type, headers=headers)


async def file_of(
    format_: ResultFormat,
    pages: Sequence[PageResult | int],
    document: bytes,
    info: DocumentInfo,
    options: OcrOptions,
    printer: Printer,
) -> bytes:
    """Return a document's file in any format but JSON.

    Args:
        format_: of the file.
        pages: that were read, and the numbers of those that could not be.
        document: its bytes.
        info: what it is.
        options: how it was read.
        printer: makes files of the document's own pages.

    Raises:
        OcrError: none can be made.
    """
    if format_.is_printed:
        results = [page for page in pages if not isinstance(page, int)]
        return await printer.make(format_, document, info, options.dpi, results)
    out = io.BytesIO()
    await asyncio.to_thread(write, out, format_, pages, selection(options))
    return out.getvalue()
