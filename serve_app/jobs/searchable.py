"""A job's searchable PDF, made in a process of its own: `python -m serve_app.jobs.searchable FOLDER ID`.

It writes the PDF to standard output. Whatever the document does to MuPDF ends this process and no other.
"""

import resource
import sys
from dataclasses import replace

from deployments.postprocess import pdfs
from deployments.preprocess.documents import Document
from deployments.preprocess.settings import DocumentLimits
from deployments.types import PageResult
from serve_app.api import page_ranges
from serve_app.jobs.store import JobStore

MAX_MEMORY_BYTES = 8 * 2**30
"""Address space: a PDF of 100 MiB, its pages' text and what MuPDF makes of both stay far below."""

MAX_CPU_S = 600


def searchable(store: JobStore, id_: str) -> bytes:
    """Return a PDF that looks like the job's document and can be searched.

    Raises:
        OcrError: none can be made.
        OSError: the job's folder can't be read.
        ValueError: there is no such job.
    """
    record = store.record(id_)
    if record is None:
        raise ValueError(f"there is no job {id_}")
    chosen = page_ranges.select(record.options.pages, record.page_count, record.total)
    results = [_plain(page.result) for page in store.pages(id_, sorted(chosen)) if page.result is not None]
    source = store.document(id_)
    if record.media_type == "application/pdf":
        return pdfs.searchable(results, source=source)
    limits = DocumentLimits(max_pages=max(record.page_count, 1))
    with Document.open(source, limits) as document:
        images = (document.render(result.index, record.options.dpi).pixels for result in results)
        return pdfs.searchable(results, images=images)


def _plain(result: PageResult) -> PageResult:
    """Return a page without its figures' bytes, which a text layer has no use for."""
    return replace(result, figures=tuple(replace(figure, png=None) for figure in result.figures))


def main() -> None:
    """Write the PDF of the job that the arguments name."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_CPU_S, MAX_CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    folder, id_ = sys.argv[1:]
    sys.stdout.buffer.write(searchable(JobStore(folder), id_))


if __name__ == "__main__":
    main()
