"""What is done and what is left, from part files that overlap as kills and retries leave them."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.errors import EmptyDocument, GenerationFailed
from deployments.preprocess.settings import DocumentLimits
from deployments.types import PageRequest
from serve_app.bulk.journal import Index, outstanding, part_name, read_index, write_part
from serve_app.bulk.outputs import JobIncomplete, entries
from serve_app.bulk.pages import WHOLE_DOCUMENT
from serve_app.bulk.rows import error_row
from serve_app.bulk.store import Store

LIMITS = DocumentLimits()


def manifest(*documents: tuple[str, str | None]) -> pa.Table:
    ids, pages = zip(*documents, strict=True)
    nulls = pa.nulls(len(ids), pa.string())
    return pa.table(
        {"doc_id": ids, "uri": ids, "pages": pa.array(pages, pa.string()), "task": nulls, "prompt": nulls}
    )


def row(doc_id: str, page: int, count: int, status: str = "ok") -> dict[str, Any]:
    error = GenerationFailed("it failed") if count else EmptyDocument("it is empty")
    return {**error_row(doc_id, page, count, error), "status": status}


def left(table: pa.Table, index: Index, *, redo: bool = False) -> dict[str, tuple[int, ...] | None]:
    wanted = outstanding(table, index, PageRequest(), LIMITS, redo=redo)
    return {document.doc_id: document.rest for document in wanted}


def test_what_is_left_is_what_no_part_has(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    table = manifest(("new", None), ("half", None), ("whole", None), ("some", "0,3-4"), ("failed", None))
    rows = [row("half", page, 4) for page in (2, 0)] + [row("whole", page, 2) for page in (0, 1)]
    rows += [row("some", 3, 9), row("failed", WHOLE_DOCUMENT, 0, "failed")]
    write_part(store, part_name(1, "a", "x"), rows[:3])
    write_part(store, part_name(1, "b", "y"), rows[2:])
    index = read_index(store, table["doc_id"])
    assert left(table, index) == {"new": None, "half": (1, 3), "some": (0, 4)}
    assert left(table, index, redo=True) == {"new": None, "half": (1, 3), "some": (0, 4), "failed": None}
    with pytest.raises(JobIncomplete, match='"new" has no page'):
        list(entries(table, index, LIMITS))


def test_the_latest_run_counts_and_in_a_run_the_best(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    table = manifest(("a", None), ("b", None))
    write_part(
        store, part_name(1, "x", "1"), [row("a", 0, 3, "ok"), row("a", 1, 3, "failed"), row("a", 2, 3)]
    )
    write_part(
        store, part_name(1, "x", "2"), [row("a", 2, 3, "failed"), row("b", WHOLE_DOCUMENT, 0, "failed")]
    )
    write_part(store, part_name(2, "x", "3"), [row("a", 1, 3, "runaway"), row("b", 0, 1)])
    index = read_index(store, table["doc_id"])
    assert index.document.tolist() == [0, 0, 0, 1]
    assert index.page.tolist() == [0, 1, 2, 0]
    assert index.rank.tolist() == [0, 1, 0, 0]
    assert left(table, index) == {}
    assert left(table, index, redo=True) == {"a": (1,)}


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_overlap_of_parts_gives_every_page_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    pages = [(f"d{number}", page, size) for number, size in enumerate(sizes) for page in range(size)]
    store = Store(str(tmp_path_factory.mktemp("job")))
    parts = data.draw(st.lists(st.lists(st.sampled_from(pages), min_size=1), max_size=5))
    for number, part in enumerate([*parts, pages]):
        write_part(store, part_name(1 + number // 2, "w", str(number)), [row(*page) for page in part])
    table = manifest(*((f"d{number}", None) for number in range(len(sizes))))
    index = read_index(store, table["doc_id"])
    assert left(table, index) == {}
    found = [
        (entry.doc_id, source.page) for entry in entries(table, index, LIMITS) for source in entry.sources
    ]
    assert found == [(doc_id, page) for doc_id, page, _ in pages]
