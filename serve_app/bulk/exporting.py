"""Files of whole documents beside a job's tables: web pages, zip files, PDFs, spreadsheets.

They are made of the stored pages and figures; PDFs also of the document, which is fetched once more.
"""

import asyncio
import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deployments.errors import OcrError
from deployments.postprocess.exports import Page
from deployments.preprocess.documents import media_type_of
from deployments.types import DocumentInfo, DocumentKind, PageResult
from serve_app.bulk.pages import figure_file, file_name
from serve_app.bulk.rows import page_of
from serve_app.bulk.store import Store, read_document
from serve_app.formats import ResultFormat, Selection, write
from serve_app.printing import Printer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exports:
    """Which files are written.

    Attributes:
        formats: any but those of a single page.
        max_bytes: largest document that is fetched again.
        figures: whether figures were written, and go into the files that can hold them.
        merge: whether pages are put together, as `Selection.merge` says.
    """

    formats: tuple[ResultFormat, ...] = ()
    max_bytes: int = 0
    figures: bool = False
    merge: bool = False


def write_exports(
    store: Store, doc_id: str, uri: str, page_count: int, rows: Sequence[dict[str, Any]], wanted: Exports
) -> None:
    """Write a document's files as `FORMAT/NAME.ENDING`; one that can't be made is said in the log.

    Args:
        store: of the job.
        doc_id: of the document.
        uri: of the document.
        page_count: of the document.
        rows: of its pages, one of which was read at least.
        wanted: which files.

    Raises:
        OSError: the output can't be written.
    """
    pages = [page_of(row) for row in rows]
    for format_ in wanted.formats:
        try:
            if format_.is_printed:
                read = [page for page in pages if not isinstance(page, int)]
                content = _printed(format_, uri, page_count, read, wanted.max_bytes)
            else:
                holds = wanted.figures and format_.has_figures
                shown = _with_figures(store, doc_id, pages) if holds else pages
                content = _written(format_, shown, Selection(merge=wanted.merge))
        except OcrError as error:
            logger.warning("no %s was written for %s: %s", format_, doc_id, error.message)
        else:
            store.write(f"{format_}/{file_name(doc_id)}{format_.ending}", content)


def _printed(
    format_: ResultFormat, uri: str, page_count: int, results: list[PageResult], max_bytes: int
) -> bytes:
    document = read_document(uri, max_bytes)
    media_type = media_type_of(document)
    kind = DocumentKind.PDF if media_type == "application/pdf" else DocumentKind.IMAGE
    info = DocumentInfo(kind, media_type, page_count, len(document))
    # Pages of a PDF are taken as they are, so that the resolution is no matter.
    return asyncio.run(Printer(processes=1).make(format_, document, info, 72, results))


def _written(format_: ResultFormat, pages: Iterable[Page], selection: Selection) -> bytes:
    out = io.BytesIO()
    write(out, format_, pages, selection)
    return out.getvalue()


def _with_figures(store: Store, doc_id: str, pages: Iterable[Page]) -> Iterator[Page]:
    """Yield pages with their figures' bytes, read as each page is written."""
    for result in pages:
        if isinstance(result, int):
            yield result
            continue
        figures = [
            replace(figure, png=store.read(figure_file(doc_id, result.index, figure.id)))
            for figure in result.figures
        ]
        yield replace(result, figures=tuple(figures))
