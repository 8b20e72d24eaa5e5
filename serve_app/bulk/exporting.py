"""Files of whole documents beside a job's tables: web pages, PDFs, spreadsheets.

They are made of the stored pages; PDFs also of the document, which is fetched once more.
"""

import asyncio
import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from deployments.errors import OcrError
from deployments.preprocess.documents import media_type_of
from deployments.types import DocumentInfo, DocumentKind, PageResult
from serve_app.bulk.pages import file_name
from serve_app.bulk.rows import page_result
from serve_app.bulk.store import Store, read_document
from serve_app.formats import ResultFormat, Selection, write
from serve_app.printing import Printer

logger = logging.getLogger(__name__)

FORMATS = (
    ResultFormat.HTML,
    ResultFormat.PDF,
    ResultFormat.LAYOUT_PDF,
    ResultFormat.CSV,
    ResultFormat.XLSX,
)
"""What a job can write. Figures are in `images/`, and no file holds them; the others hold only them."""


@dataclass(frozen=True, slots=True)
class Exports:
    """Which files are written.

    Attributes:
        formats: of `FORMATS`.
        max_bytes: largest document that is fetched again.
    """

    formats: tuple[ResultFormat, ...] = ()
    max_bytes: int = 0


def write_exports(
    store: Store, doc_id: str, uri: str, page_count: int, rows: Sequence[dict[str, Any]], wanted: Exports
) -> None:
    """Write a document's files as `FORMAT/NAME.ENDING`; one that can't be made is said in the log.

    Args:
        store: of the job.
        doc_id: of the document.
        uri: of the document.
        page_count: of the document.
        rows: of its pages that were read.
        wanted: which files.

    Raises:
        OSError: the output can't be written.
    """
    results = [page_result(row) for row in rows]
    for format_ in wanted.formats:
        try:
            content = _made(format_, uri, page_count, results, wanted.max_bytes)
        except OcrError as error:
            logger.warning("no %s was written for %s: %s", format_, doc_id, error.message)
        else:
            store.write(f"{format_}/{file_name(doc_id)}{format_.ending}", content)


def _made(
    format_: ResultFormat, uri: str, page_count: int, results: list[PageResult], max_bytes: int
) -> bytes:
    if format_.is_printed:
        document = read_document(uri, max_bytes)
        media_type = media_type_of(document)
        kind = DocumentKind.PDF if media_type == "application/pdf" else DocumentKind.IMAGE
        info = DocumentInfo(kind, media_type, page_count, len(document))
        # Pages of a PDF are taken as they are, so that the resolution is no matter.
        return asyncio.run(Printer(processes=1).make(format_, document, info, 72, results))
    out = io.BytesIO()
    write(out, format_, results, Selection())
    return out.getvalue()
