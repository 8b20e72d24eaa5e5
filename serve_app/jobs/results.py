"""A job's result from its stored pages, in any format.

JSON, Markdown and a web page are written page by page: one page is in memory at a time, unless they are
merged. A zip file and the tables take the text of all pages, and a PDF the document as well.
"""

import asyncio
import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import IO

from deployments.types import DocumentInfo, DocumentKind, PageResult
from serve_app.api.downloads import selection
from serve_app.api.replies import ReplyWriter
from serve_app.api.schemas import OcrPage, dump
from serve_app.formats import ResultFormat, text_pieces, write
from serve_app.jobs.models import JobRecord, StoredPage
from serve_app.jobs.store import JobStore
from serve_app.printing import Printer

_CHUNK_BYTES = 256 * 1024


async def result(
    store: JobStore, record: JobRecord, format_: ResultFormat, printer: Printer
) -> Iterator[bytes]:
    """Return the pieces of a result; iterate in a thread: a piece may take a page from the storage.

    Args:
        store: where the pages are.
        record: of the job.
        format_: of the result.
        printer: makes files of the document's own pages.

    Raises:
        OcrError: the document is such that no file of this format can be made.
    """
    match format_:
        case ResultFormat.JSON:
            return _json(record, _pages(store, record))
        case ResultFormat.MARKDOWN | ResultFormat.HTML:
            return text_pieces(format_, _results(store, record), selection(record.options))
        case ResultFormat.ZIP | ResultFormat.CSV | ResultFormat.XLSX:
            return _pieces(await asyncio.to_thread(_gathered, format_, store, record))
        case ResultFormat.PDF | ResultFormat.LAYOUT_PDF | ResultFormat.PNG:
            results, document = await asyncio.to_thread(_for_printing, store, record)
            dpi = record.options.dpi
            return iter([await printer.make(format_, document, _info(record), dpi, results)])


def _pages(store: JobStore, record: JobRecord) -> Iterator[StoredPage]:
    return store.pages(record.id, record.chosen())


def _results(store: JobStore, record: JobRecord) -> Iterator[PageResult | int]:
    return (page.index if page.result is None else page.result for page in _pages(store, record))


def _json(record: JobRecord, pages: Iterable[StoredPage]) -> Iterator[bytes]:
    """The reply of `/v1/ocr`, its pages first: what they took is known once they are written."""
    writer = ReplyWriter(record.options, record.model)
    yield f'{{"model":{json.dumps(record.model)},"pages":['.encode()
    comma = ""
    for page in pages:
        yield (comma + dump(_reply_page(writer, page))).encode()
        comma = ","
    yield f'],"usage_info":{dump(writer.usage(_info(record)))}}}'.encode()


def _reply_page(writer: ReplyWriter, page: StoredPage) -> OcrPage:
    if page.result is not None:
        return writer.page(page.result)
    return OcrPage(index=page.index, markdown="", images=[], dimensions=None, error=page.error)


def _info(record: JobRecord) -> DocumentInfo:
    kind = DocumentKind.PDF if record.media_type == "application/pdf" else DocumentKind.IMAGE
    return DocumentInfo(kind, record.media_type, record.page_count, record.size_bytes)


def _gathered(format_: ResultFormat, store: JobStore, record: JobRecord) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - `_pieces` closes it
    try:
        write(file, format_, _results(store, record), selection(record.options))
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _for_printing(store: JobStore, record: JobRecord) -> tuple[list[PageResult], bytes]:
    """The pages without their figures' bytes, which would all be in memory at once, and the document."""
    read = (page.result for page in _pages(store, record) if page.result is not None)
    results = [
        replace(page, figures=tuple(replace(each, png=None) for each in page.figures)) for page in read
    ]
    return results, store.document(record.id)


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_CHUNK_BYTES):
            yield piece
