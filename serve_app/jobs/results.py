"""A job's result from its stored pages, in any format.

JSON, Markdown and HTML are written page by page: one page is in memory at a time. A zip file takes
the text of all pages and is gathered in a temporary file. A PDF needs MuPDF on a document that nobody
vouches for: it is made in a process of its own that may die.
"""

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import IO

from deployments.errors import OcrError
from deployments.postprocess import archive, exports, markdown, webpage
from deployments.postprocess.markdown import TableFormat
from deployments.types import DocumentInfo, DocumentKind, PageResult
from serve_app.api import page_ranges
from serve_app.api.replies import ReplyWriter
from serve_app.api.schemas import OcrPage, dump
from serve_app.jobs.models import JobRecord, StoredPage
from serve_app.jobs.store import JobStore

_CHUNK_BYTES = 256 * 1024
_PDF_TIMEOUT_S = 600


class ResultFormat(StrEnum):
    """What a result is written as."""

    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"
    ZIP = "zip"
    PDF = "pdf"

    @property
    def media_type(self) -> str:
        """Return the media type."""
        return _MEDIA_TYPES[self]

    @property
    def suffix(self) -> str:
        """Return the usual ending of a file's name."""
        return "md" if self is ResultFormat.MARKDOWN else self.value


_MEDIA_TYPES = {
    ResultFormat.JSON: "application/json",
    ResultFormat.MARKDOWN: "text/markdown; charset=utf-8",
    ResultFormat.HTML: "text/html; charset=utf-8",
    ResultFormat.ZIP: "application/zip",
    ResultFormat.PDF: "application/pdf",
}


async def result(store: JobStore, record: JobRecord, format_: ResultFormat) -> Iterator[bytes]:
    """Return the pieces of a result; iterate in a thread: each piece may take a page from the storage.

    Raises:
        OcrError: no PDF can be made of the document.
    """
    match format_:
        case ResultFormat.JSON:
            return _json(record, _pages(store, record))
        case ResultFormat.MARKDOWN:
            return _markdown(record, _pages(store, record))
        case ResultFormat.HTML:
            return (part.encode("utf-8", "replace") for part in webpage.stream(_read(_pages(store, record))))
        case ResultFormat.ZIP:
            return _pieces(await asyncio.to_thread(_zip, store, record))
        case ResultFormat.PDF:
            return _pieces(await _pdf(store, record))


def _pages(store: JobStore, record: JobRecord) -> Iterator[StoredPage]:
    chosen = page_ranges.select(record.options.pages, record.page_count, record.total)
    return store.pages(record.id, chosen)


def _read(pages: Iterable[StoredPage]) -> Iterator[PageResult]:
    return (page.result for page in pages if page.result is not None)


def _json(record: JobRecord, pages: Iterable[StoredPage]) -> Iterator[bytes]:
    """The reply of `/v1/ocr`, its pages first: what they took is known once they are written."""
    writer = ReplyWriter(record.options, record.model)
    yield f'{{"model":{json.dumps(record.model)},"pages":['.encode()
    comma = ""
    for page in pages:
        yield (comma + dump(_reply_page(writer, page))).encode()
        comma = ","
    info = DocumentInfo(DocumentKind.IMAGE, record.media_type, record.page_count, record.size_bytes)
    yield f'],"usage_info":{dump(writer.usage(info))}}}'.encode()


def _reply_page(writer: ReplyWriter, page: StoredPage) -> OcrPage:
    if page.result is not None:
        return writer.page(page.result)
    error = page.error
    return OcrPage(index=page.index, markdown="", images=[], dimensions=None, error=error)


def _markdown(record: JobRecord, pages: Iterable[StoredPage]) -> Iterator[bytes]:
    """One text, a mark above each page, figures by the names that they have in the zip file."""
    format_ = None if record.options.table_format is None else TableFormat(record.options.table_format)
    gap = ""
    for page in pages:
        mark = exports.PAGE_MARK.format(page.index + 1)
        if page.result is None:
            text = "<!-- this page could not be read -->"
        else:
            text = markdown.render(exports.renamed(page.result).blocks, table_format=format_)
        yield (gap + "\n\n".join(filter(None, (mark, text))) + "\n").encode("utf-8", "replace")
        gap = "\n"


def _zip(store: JobStore, record: JobRecord) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - `_pieces` closes it
    archive.write(file, _read(_pages(store, record)))
    file.seek(0)
    return file


async def _pdf(store: JobStore, record: JobRecord) -> IO[bytes]:
    file = tempfile.TemporaryFile()  # noqa: SIM115 - `_pieces` closes it
    command = [sys.executable, "-m", "serve_app.jobs.searchable", store.files.uri, record.id]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=file, stderr=asyncio.subprocess.DEVNULL, env=_environment()
    )
    try:
        async with asyncio.timeout(_PDF_TIMEOUT_S):
            code = await process.wait()
    except TimeoutError:
        code = None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code != 0:
        file.close()
        raise OcrError("No PDF can be made of this document; ask for another format.")
    file.seek(0)
    return file


def _environment() -> dict[str, str]:
    """The child finds its modules where this process found them."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while piece := file.read(_CHUNK_BYTES):
            yield piece
