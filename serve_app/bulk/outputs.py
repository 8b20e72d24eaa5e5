"""The output proper: pages and documents in the manifest's order, from the part files.

Files are made by tasks, each of some documents with all their pages, so that no process holds more than
one file's rows.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import ray

from deployments.errors import OcrError
from deployments.postprocess import exports
from deployments.preprocess.settings import DocumentLimits
from serve_app.api import page_ranges
from serve_app.bulk.exporting import Exports, write_exports
from serve_app.bulk.journal import Index, parquet, read_part
from serve_app.bulk.manifest import numbered_rows
from serve_app.bulk.pages import WHOLE_DOCUMENT, file_name, page_id
from serve_app.bulk.rows import DOCUMENTS, FAILED, OK, PAGES, PARTIAL, RUNAWAY, STAGES, page_of
from serve_app.bulk.store import Store

SLICES_AT_ONCE = 8
"""Tasks that make files at the same time."""


class JobIncomplete(OcrError):
    """The job's own check found pages missing or twice; nothing of the kind is expected."""

    code = "job_incomplete"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a page's row is."""

    page: int
    file: str
    row: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A document, the pages that it must have, and where their rows are."""

    doc_id: str
    uri: str
    expected: tuple[int, ...]
    sources: tuple[Source, ...]


@dataclass(slots=True)
class Tally:
    """What a report counts; tallies of parts add up."""

    documents: Counter[str] = field(default_factory=Counter)
    pages: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    finish_reasons: Counter[str] = field(default_factory=Counter)
    attempts: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))

    def add(self, other: "Tally") -> None:
        """Add another tally to this one."""
        for mine, theirs in (
            (self.documents, other.documents),
            (self.pages, other.pages),
            (self.errors, other.errors),
            (self.finish_reasons, other.finish_reasons),
            (self.attempts, other.attempts),
            (self.tokens, other.tokens),
        ):
            mine.update(theirs)
        for stage, seconds in other.seconds.items():
            self.seconds[stage] += seconds


@dataclass(frozen=True, slots=True)
class Layout:
    """What is written besides the two tables, and how large files are.

    Attributes:
        rows_per_file: pages after which a file ends, at a document's end.
        markdown: whether each document's Markdown is a file too.
        images: whether figures were written, so that Markdown links them.
        exports: other files of each document.
    """

    rows_per_file: int
    markdown: bool
    images: bool
    exports: Exports = field(default_factory=Exports)


def entries(manifest: pa.Table, index: Index, limits: DocumentLimits) -> Iterator[Entry]:
    """Yield every document of the manifest.

    Raises:
        JobIncomplete: a document has no row at all.
    """
    for number, row in numbered_rows(manifest.select(["doc_id", "uri", "pages"])):
        span = index.span(number)
        pages = index.page[span].tolist()
        if not pages:
            raise JobIncomplete(f'The document "{row["doc_id"]}" has no page; run the same command again.')
        expected: tuple[int, ...] = (WHOLE_DOCUMENT,)
        if pages != [WHOLE_DOCUMENT]:
            count = int(index.page_count[span].max())
            chosen = page_ranges.select(page_ranges.parse(row["pages"]), count, limits.max_pages)
            expected = tuple(sorted(chosen))
        places = zip(pages, index.file[span].tolist(), index.row[span].tolist(), strict=True)
        sources = tuple(Source(page, index.files[file], at) for page, file, at in places)
        yield Entry(row["doc_id"], row["uri"], expected, sources)


def write_outputs(store: Store, documents: Iterator[Entry], layout: Layout) -> Tally:
    """Write `pages/`, `documents/` and `markdown/`; delete files that only an earlier run had.

    Raises:
        JobIncomplete: a page is missing or there twice.
    """
    make = ray.remote(_slice).options(num_cpus=0.25, max_retries=3, retry_exceptions=[OSError])
    total = Tally()
    names: set[str] = set()
    running: list[ray.ObjectRef[Tally]] = []
    for number, part in enumerate(_slices(documents, layout.rows_per_file)):
        name = f"part-{number:05d}.parquet"
        names.add(name)
        running.append(make.remote(store, part, name, layout))
        if len(running) >= SLICES_AT_ONCE:
            total.add(ray.get(running.pop(0)))
    for tally in ray.get(running):
        total.add(tally)
    for folder in ("pages", "documents"):
        store.delete(name for name in store.names(folder) if name.rpartition("/")[2] not in names)
    return total


def _slices(documents: Iterator[Entry], rows_per_file: int) -> Iterator[list[Entry]]:
    part: list[Entry] = []
    rows = 0
    for entry in documents:
        part.append(entry)
        rows += len(entry.expected)
        if rows >= rows_per_file:
            yield part
            part, rows = [], 0
    if part:
        yield part


def _slice(store: Store, part: Sequence[Entry], name: str, layout: Layout) -> Tally:
    """Write one file of each table, and count what is in them."""
    rows = _read_rows(store, part)
    tally = Tally()
    documents, pages = [], []
    for entry in part:
        own = [rows[entry.doc_id, source.page] for source in entry.sources]
        if [row["page_id"] for row in own] != [page_id(entry.doc_id, page) for page in entry.expected]:
            raise JobIncomplete(
                f'The document "{entry.doc_id}" should have {len(entry.expected)} pages, each once, and has '
                f"{len(own)}; run the same command again."
            )
        pages += own
        documents.append(_document(store, entry, own, layout))
        tally.documents[documents[-1]["status"]] += 1
        for row in own:
            _count(tally, row)
    store.write(f"pages/{name}", parquet(pa.Table.from_pylist(pages, PAGES)))
    store.write(f"documents/{name}", parquet(pa.Table.from_pylist(documents, DOCUMENTS)))
    return tally


def _read_rows(store: Store, part: Sequence[Entry]) -> dict[tuple[str, int], dict[str, Any]]:
    """Return the rows of a slice; each part file is read once."""
    wanted: dict[str, list[tuple[int, str, int]]] = defaultdict(list)
    for entry in part:
        for source in entry.sources:
            wanted[source.file].append((source.row, entry.doc_id, source.page))
    rows = {}
    for file, places in wanted.items():
        found = read_part(store, file).take([row for row, _, _ in places]).to_pylist()
        rows.update({(doc_id, page): row for (_, doc_id, page), row in zip(places, found, strict=True)})
    return rows


def _count(tally: Tally, row: dict[str, Any]) -> None:
    if row["page"] is not None:
        tally.pages[row["status"]] += 1
    if row["error_code"] is not None:
        tally.errors[row["error_code"]] += 1
    if row["finish_reason"] is not None:
        tally.finish_reasons[row["finish_reason"]] += 1
        tally.attempts[str(row["attempts"])] += 1
        tally.tokens.update(prompt=row["prompt_tokens"], output=row["output_tokens"])
    for stage in STAGES:
        tally.seconds[stage] += row[f"{stage}_seconds"]


def _document(store: Store, entry: Entry, rows: list[dict[str, Any]], layout: Layout) -> dict[str, Any]:
    """Return a document's row, and write the files that are wanted of it."""
    counts = Counter(row["status"] for row in rows if row["page"] is not None)
    read = [row for row in rows if row["status"] != FAILED]
    error = next((row for row in rows if row["error_code"] is not None), None)
    text = None
    if read:
        text = _markdown(entry.doc_id, rows, images=layout.images)
        if layout.markdown:
            store.write(f"markdown/{file_name(entry.doc_id)}.md", text.encode())
        write_exports(store, entry.doc_id, entry.uri, read[0]["page_count"], rows, layout.exports)
    return {
        "doc_id": entry.doc_id,
        "uri": entry.uri,
        "status": FAILED if not read else OK if len(read) == counts[OK] == len(rows) else PARTIAL,
        "markdown": text,
        "page_count": rows[0]["page_count"] or None,
        "pages": counts.total(),
        "pages_ok": counts[OK],
        "pages_runaway": counts[RUNAWAY],
        "pages_failed": counts[FAILED],
        "prompt_tokens": sum(row["prompt_tokens"] for row in read),
        "output_tokens": sum(row["output_tokens"] for row in read),
        "seconds": sum(row["seconds"] for row in rows),
        "error_code": error and error["error_code"],
        "error_message": error and error["error_message"],
    }


def _markdown(doc_id: str, rows: list[dict[str, Any]], *, images: bool) -> str:
    """Return a document's pages as one Markdown text, whose links lead from `markdown/` to `images/`."""
    folder = f"../images/{file_name(doc_id).replace('%', '%25')}"
    results = [page if isinstance(page, int) else exports.renamed(page) for page in map(page_of, rows)]
    if not images:
        return exports.to_markdown(results, figures=frozenset())
    linked = [
        result
        if isinstance(result, int)
        else replace(
            result,
            blocks=tuple(
                replace(block, image_id=block.image_id and f"{folder}/{block.image_id}")
                for block in result.blocks
            ),
        )
        for result in results
    ]
    return exports.to_markdown(linked)
