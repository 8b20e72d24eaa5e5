"""What a job has read so far: its part files, and what is still to be read.

A part file is written whole and never changed, so whatever is in one is done, however the job ended. A
page may be in several: read again by `--retry-failed`, or by a worker that took over from one that died.
The row of the latest run counts, and of one run's rows the best.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from deployments.preprocess.settings import DocumentLimits
from deployments.types import PageRequest
from serve_app.api import page_ranges
from serve_app.bulk import record
from serve_app.bulk.manifest import numbered_rows, row_request
from serve_app.bulk.pages import WHOLE_DOCUMENT, Wanted
from serve_app.bulk.rows import FAILED, OK, PARTS, RUNAWAY
from serve_app.bulk.store import Store

FOLDER = record.PARTS
READERS = 8
"""Part files read at once."""

_RANK = {OK: 0, RUNAWAY: 1, FAILED: 2}
_COLUMNS = ["doc_id", "page", "status", "page_count"]

Ints = npt.NDArray[np.int64]


def part_name(run: int, writer: str, unique: str) -> str:
    """Return a part file's name: the run comes first, so that names sort by it."""
    return f"{FOLDER}/{run:06d}-{writer}-{unique}.parquet"


def written_by(store: Store, run: int, writer: str) -> list[str]:
    """Return the part files of one writer in one run."""
    start = part_name(run, writer, "").removesuffix(".parquet")
    return [name for name in store.names(FOLDER) if name.startswith(start)]


def write_part(store: Store, name: str, rows: list[dict[str, Any]]) -> None:
    """Write rows of `rows.PARTS` as one part file."""
    store.write(name, parquet(pa.Table.from_pylist(rows, PARTS)))


def parquet(table: pa.Table) -> bytes:
    """Return a table as a Parquet file's bytes."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue())


def read_part(store: Store, name: str, columns: list[str] | None = None) -> pa.Table:
    """Return a part file's rows, in their order in the file."""
    return pq.read_table(pa.BufferReader(store.read(name)), columns=columns)


@dataclass(frozen=True, slots=True)
class Index:
    """Where the row of each page that was read is; arrays of one length, sorted by document and page.

    Attributes:
        files: names of the part files.
        document: the document's row in the manifest.
        page: its number, or `WHOLE_DOCUMENT`.
        rank: 0 for `ok`, 1 for `runaway`, 2 for `failed`.
        page_count: of the document, or 0.
        file: number of the part file in `files`.
        row: in that file.
        rows_of_pages: in all part files, those of pages read again or by two workers included.
    """

    files: list[str]
    document: Ints
    page: Ints
    rank: Ints
    page_count: Ints
    file: Ints
    row: Ints
    rows_of_pages: int

    def span(self, document: int) -> slice:
        """Return where a document's pages are."""
        first, last = np.searchsorted(self.document, [document, document + 1])
        return slice(int(first), int(last))


def read_index(store: Store, ids: pa.ChunkedArray) -> Index:
    """Read which pages are done, each once.

    Args:
        store: the job's folder.
        ids: the manifest's `doc_id` column.
    """
    files = store.names(FOLDER)
    known = ids.combine_chunks()

    def read(number: int) -> list[Ints]:
        part = read_part(store, files[number], _COLUMNS)
        length = part.num_rows
        document = pc.index_in(part["doc_id"], value_set=known).to_numpy()
        page = pc.fill_null(part["page"], WHOLE_DOCUMENT).to_numpy()
        rank = np.array([_RANK[status] for status in part["status"].to_pylist()])
        run = int(files[number].rpartition("/")[2].partition("-")[0])
        columns = document, page, rank, part["page_count"].to_numpy(), np.full(length, number)
        return [np.asarray(c, np.int64) for c in (*columns, np.arange(length), np.full(length, -run))]

    with ThreadPoolExecutor(READERS) as pool:
        parts = list(pool.map(read, range(len(files))))
    empty = [np.empty(0, np.int64)] * 7
    document, page, rank, page_count, file, row, latest = map(
        np.concatenate, zip(*(parts or [empty]), strict=True)
    )
    rows_of_pages = int(np.count_nonzero(page != WHOLE_DOCUMENT))
    order = np.lexsort((file, rank, latest, page, document))
    keep = np.ones(len(order), bool)
    keep[1:] = (np.diff(document[order]) != 0) | (np.diff(page[order]) != 0)
    order = order[keep]
    # A document that could not be opened once, and later could: WHOLE_DOCUMENT sorts before its pages.
    superseded = np.zeros(len(order), bool)
    superseded[:-1] = (page[order][:-1] == WHOLE_DOCUMENT) & (np.diff(document[order]) == 0)
    order = order[~superseded]
    return Index(
        files,
        document[order],
        page[order],
        rank[order],
        page_count[order],
        file[order],
        row[order],
        rows_of_pages,
    )


def outstanding(
    manifest: pa.Table, index: Index, request: PageRequest, limits: DocumentLimits, *, redo: bool = False
) -> Iterator[Wanted]:
    """Yield the documents with pages still to be read, and which these are where that is known.

    Args:
        manifest: as `manifest.read_manifest` gives it.
        index: what is done.
        request: how pages are read where the manifest says nothing else.
        limits: what is read at all.
        redo: whether a page or document that failed or ran away is to be read again.
    """
    for number, row in numbered_rows(manifest):
        span = index.span(number)
        wanted = _wanted(row, request)
        done = index.page[span][index.rank[span] == 0] if redo else index.page[span]
        page_count = int(index.page_count[span].max(initial=0))
        if page_count == 0:
            if len(done) == 0:
                yield wanted
        elif wanted.ranges is not None or len(done) < page_count:
            chosen = page_ranges.select(wanted.ranges, page_count, limits.max_pages)
            if len(done) < len(chosen):
                read = set(done.tolist())
                rest = tuple(page for page in chosen if page not in read)
                yield replace(wanted, rest=rest, page_count=page_count)


def _wanted(row: dict[str, Any], request: PageRequest) -> Wanted:
    wanted = row_request(row, request)
    return Wanted(row["doc_id"], row["uri"], wanted, page_ranges.parse(row["pages"]))
