"""The work of a job's CPU tasks: to draw and tile pages, to postprocess them and write them down."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deployments.errors import OcrError
from deployments.postprocess.postprocessor import Postprocessor
from deployments.preprocess.preparation import Preparation
from deployments.types import Generation, PageRequest, PageResult, PreparedPage
from serve_app.bulk.journal import write_part
from serve_app.bulk.pages import Segment, figure_file
from serve_app.bulk.rows import EngineLabel, Times, error_row, result_row
from serve_app.bulk.store import Store, read_document

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Drawn:
    """A page that was prepared, or why it could not be, and the seconds its share of fetching took."""

    index: int
    page: PreparedPage | OcrError
    fetch_seconds: float


def prepare(
    spec: Preparation, segment: Segment, pages: Sequence[int], request: PageRequest
) -> Iterator[Drawn]:
    """Prepare pages of a document, which is fetched and opened once."""
    began = time.perf_counter()
    left = list(pages)
    try:
        data = segment.data
        if data is None:
            data = read_document(segment.uri, spec.limits.max_bytes)
        share = (time.perf_counter() - began) / len(pages)
        for index, page in spec.preprocessor().prepare_pages(data, pages, request):
            left.remove(index)
            yield Drawn(index, page, share)
    except OcrError as error:
        for index in left:
            yield Drawn(index, error, 0.0)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the engine made of a page, and the page without what is no longer needed."""

    page: PreparedPage
    generation: Generation
    attempts: int


@dataclass(frozen=True, slots=True)
class ReadPage:
    """A page that is through with the engine, or a document that can't be read.

    Attributes:
        doc_id: of the document.
        index: of the page, or `WHOLE_DOCUMENT`.
        page_count: of the document.
        outcome: what came of it.
        times: what it took.
        attempts: times that an engine was given the page, where it failed.
    """

    doc_id: str
    index: int
    page_count: int
    outcome: Answer | OcrError
    times: Times
    attempts: int | None = None


def write(store: Store, name: str, pages: Sequence[ReadPage], label: EngineLabel, images: bool) -> list[str]:
    """Postprocess pages and write them as one part file; figures first, so that a row's are always there.

    Returns:
        The status of each page's row.

    Raises:
        OSError: the output can't be written.
    """
    rows = [_row(store, page, label, images) for page in pages]
    write_part(store, name, rows)
    return [row["status"] for row in rows]


def _row(store: Store, read: ReadPage, label: EngineLabel, images: bool) -> dict[str, Any]:
    began = time.perf_counter()
    outcome = read.outcome if isinstance(read.outcome, OcrError) else _processed(read, read.outcome, images)
    if isinstance(outcome, OcrError):
        return error_row(read.doc_id, read.index, read.page_count, outcome, label, read.times, read.attempts)
    for figure in outcome.figures:
        if figure.png is not None:
            store.write(figure_file(read.doc_id, outcome.index, figure.id), figure.png)
    times = replace(read.times, postprocess=time.perf_counter() - began)
    return result_row(read.doc_id, read.page_count, outcome, label, times)


def _processed(read: ReadPage, answer: Answer, images: bool) -> PageResult | OcrError:
    try:
        return Postprocessor().process(
            answer.page, answer.generation, figures=images, attempts=answer.attempts
        )
    except Exception:
        logger.exception("page %d of %s failed in postprocessing", read.index, read.doc_id)
        return OcrError("The page failed in postprocessing through an internal error, which the log has.")
