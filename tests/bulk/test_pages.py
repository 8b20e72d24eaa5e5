"""Pages of documents: their names, and how they are put into groups."""

import itertools
from functools import partial
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from deployments.errors import DocumentTooLarge, DocumentUnavailable
from deployments.preprocess.documents import inspect
from deployments.preprocess.settings import DocumentLimits
from deployments.types import PageRequest
from serve_app.bulk.pages import LONGEST_NAME, Segment, Wanted, file_name, groups, page_id, segments
from tests.bulk.corpus import pdf

REQUEST = PageRequest()
LIMITS = DocumentLimits()
INSPECT = partial(inspect, limits=LIMITS)


def part(doc_id: str, pages: int) -> Segment:
    return Segment(doc_id, "", REQUEST, tuple(range(pages)), pages)


@given(st.lists(st.integers(0, 16), max_size=40))
def test_groups_keep_every_segment_in_order_and_within_bounds(sizes: list[int]) -> None:
    parts = [part(str(number), size) for number, size in enumerate(sizes)]
    packed = list(groups(parts, 16))
    assert [found for group in packed for found in group.segments] == parts
    assert all(1 <= group.rows <= 16 for group in packed)
    # No two neighbours would have fitted into one.
    pairs = itertools.pairwise(packed)
    assert all(a.rows + max(len(b.segments[0].pages), 1) > 16 for a, b in pairs)


def test_a_long_document_is_divided_and_a_short_one_travels_whole(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(pdf(range(200, 240)))
    (tmp_path / "short").write_bytes(pdf([200, 201]))
    long = segments(Wanted("long", str(tmp_path / "long"), REQUEST, None), LIMITS, 16, INSPECT)
    assert [found.pages for found in long] == [tuple(range(16)), tuple(range(16, 32)), tuple(range(32, 40))]
    assert [(found.wanted, found.first) for found in long] == [(40, True), (40, False), (40, False)]
    assert all(found.page_count == 40 and found.data is None for found in long)
    (short,) = segments(
        Wanted("short", str(tmp_path / "short"), REQUEST, (range(1, 2),)), LIMITS, 16, INSPECT
    )
    assert short.pages == (1,)
    assert short.data == (tmp_path / "short").read_bytes()


def test_what_an_earlier_run_left_needs_no_look_into_the_document() -> None:
    wanted = Wanted("gone", "/nowhere", REQUEST, None, rest=(3, 9), page_count=12)
    (found,) = segments(wanted, LIMITS, 16, INSPECT)
    assert (found.pages, found.page_count, found.error) == ((3, 9), 12, None)


def test_a_document_that_cannot_be_had_is_a_segment_with_its_error(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(pdf([200]))
    small = DocumentLimits(max_bytes=10)
    (missing,) = segments(Wanted("a", str(tmp_path / "missing"), REQUEST, None), LIMITS, 16, INSPECT)
    (large,) = segments(Wanted("b", str(tmp_path / "large"), REQUEST, None), small, 16, INSPECT)
    (folder,) = segments(Wanted("c", str(tmp_path), REQUEST, None), LIMITS, 16, INSPECT)
    (scheme,) = segments(Wanted("d", "ftp://host/file", REQUEST, None), LIMITS, 16, INSPECT)
    assert isinstance(missing.error, DocumentUnavailable)
    assert isinstance(large.error, DocumentTooLarge)
    assert isinstance(folder.error, DocumentUnavailable)
    assert scheme.error is not None
    assert "s3://" in scheme.error.message


@given(st.tuples(st.text(), st.integers(-1, 4999)), st.tuples(st.text(), st.integers(-1, 4999)))
def test_page_ids_differ_where_pages_do(one: tuple[str, int], two: tuple[str, int]) -> None:
    assert (page_id(*one) == page_id(*two)) == (one == two)


@given(st.text(min_size=1))
def test_file_names_stay_in_their_folder(doc_id: str) -> None:
    try:
        doc_id.encode()
    except UnicodeEncodeError:
        return
    name = file_name(doc_id)
    assert "/" not in name
    assert name not in {".", ".."}
    assert 0 < len(name.encode()) <= LONGEST_NAME


def test_long_file_names_differ_where_documents_do() -> None:
    assert file_name("x" * 300 + "a") != file_name("x" * 300 + "b")
    assert file_name("reports/2024 q1.pdf") == "reports%2F2024%20q1.pdf"
