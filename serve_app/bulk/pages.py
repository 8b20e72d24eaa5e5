"""From documents to groups of pages: which pages a document has, and what is opened together.

Pure: it fetches and looks into documents, and knows nothing of Ray.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

from deployments.errors import OcrError
from deployments.postprocess import exports
from deployments.preprocess.settings import DocumentLimits
from deployments.types import DocumentInfo, PageRequest
from serve_app.api import page_ranges
from serve_app.bulk.store import read_document

WHOLE_DOCUMENT = -1
"""Stands for the page where a document failed before its pages were known."""

LONGEST_NAME = 200

CARRIED_BYTES = 4 * 2**20
"""A document of at most so many bytes, in one group, travels with it instead of being fetched again."""


def page_id(doc_id: str, page: int) -> str:
    """Return a page's name in the whole job: unique, and the same in every run.

    The number has six digits, so that names sort as pages do. A document that failed before its pages were
    known has one row, with a name that ends in `#`.
    """
    return f"{doc_id}#" if page == WHOLE_DOCUMENT else f"{doc_id}#{page:06d}"


def file_name(doc_id: str) -> str:
    """Return a document's name as the name of a file or folder: no path, and at most 200 bytes.

    What is not a letter, digit or one of `_.-~` is percent-encoded. A longer name is cut, and ends in a
    hash of the whole.
    """
    name = quote(doc_id, safe="")
    if name.strip(".") == "":
        name = name.replace(".", "%2E")
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 17]}-{hashlib.sha256(doc_id.encode()).hexdigest()[:16]}"
    return name


def figure_file(doc_id: str, page: int, figure_id: str) -> str:
    """Return the name of a figure's file in the job's folder."""
    return f"images/{file_name(doc_id)}/{exports.document_name(page, figure_id)}"


@dataclass(frozen=True, slots=True)
class Segment:
    """Pages of one document, for which its file is opened once.

    Attributes:
        doc_id: of the document.
        uri: where it is.
        request: how its pages are read.
        pages: their numbers, in the order of reading; empty where `error` is.
        page_count: pages of the document, chosen or not; 0 where `error` is.
        wanted: pages of the document that are read in this run, in this part or another; 0 where `error` is.
        first: whether it is the document's first part.
        data: the document itself, where it is small.
        error: why the document can't be read at all.
    """

    doc_id: str
    uri: str
    request: PageRequest
    pages: tuple[int, ...]
    page_count: int
    wanted: int = 0
    first: bool = True
    data: bytes | None = None
    error: OcrError | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """About as many pages as one part file holds, of one document or of several."""

    segments: tuple[Segment, ...]

    @property
    def rows(self) -> int:
        """Rows that come of it: a page each, and one for a document that can't be read."""
        return sum(len(segment.pages) or 1 for segment in self.segments)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A document as the job's driver asks for it.

    Attributes:
        doc_id: see the manifest.
        uri: see the manifest.
        request: how its pages are read.
        ranges: the pages that the manifest asks for.
        rest: the pages that are still to be read, where an earlier run has read others.
        page_count: of the document, where an earlier run found it out, else 0.
    """

    doc_id: str
    uri: str
    request: PageRequest
    ranges: page_ranges.PageRanges | None
    rest: tuple[int, ...] | None = None
    page_count: int = 0


def segments(
    document: Wanted, limits: DocumentLimits, group_pages: int, inspect: Callable[[bytes], DocumentInfo]
) -> list[Segment]:
    """Look into a document and divide its pages, each part small enough for a group.

    Args:
        document: what is wanted of it; it is fetched if its number of pages is not known yet.
        limits: what is read at all.
        group_pages: most pages of a part.
        inspect: opens a document and says how many pages it has.

    Returns:
        Its parts; or one with the error, where the document can't be read.
    """
    doc_id, uri, request = document.doc_id, document.uri, document.request
    data: bytes | None = None
    pages, page_count = document.rest, document.page_count
    try:
        if pages is None:
            data = read_document(uri, limits.max_bytes)
            page_count = inspect(data).page_count
            pages = tuple(page_ranges.select(document.ranges, page_count, limits.max_pages))
    except OcrError as error:
        return [Segment(doc_id, uri, request, (), 0, error=error)]
    if len(pages) > group_pages or (data is not None and len(data) > CARRIED_BYTES):
        data = None
    return [
        Segment(
            doc_id,
            uri,
            request,
            pages[start : start + group_pages],
            page_count,
            len(pages),
            start == 0,
            data,
        )
        for start in range(0, len(pages), group_pages)
    ]


def groups(parts: Iterable[Segment], group_pages: int) -> Iterator[Group]:
    """Pack segments into groups, in order; small documents share one.

    Args:
        parts: each of at most `group_pages` pages.
        group_pages: most rows of a group.
    """
    waiting: list[Segment] = []
    room = group_pages
    for part in parts:
        rows = max(len(part.pages), 1)
        if rows > room:
            yield Group(tuple(waiting))
            waiting, room = [], group_pages
        waiting.append(part)
        room -= rows
    if waiting:
        yield Group(tuple(waiting))
