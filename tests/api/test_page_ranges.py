import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.errors import InvalidRequest, TooManyPages
from serve_app.api.page_ranges import in_a_header, parse, select


@pytest.mark.parametrize(
    ("written", "pages"),
    [
        ("0,2-4", [0, 2, 3, 4]),
        ("0, 2-4", [0, 2, 3, 4]),
        (" 1 - 2 ", [1, 2]),
        ([3, 1], [3, 1]),
        ("4,0-1", [4, 0, 1]),
        ("1,1,0-2", [1, 0, 2]),
        (None, [0, 1, 2, 3, 4]),
    ],
)
def test_each_page_comes_once_in_the_order_of_its_first_mention(written: object, pages: list[int]) -> None:
    assert select(parse(written), page_count=5, limit=100) == pages


@pytest.mark.parametrize(
    "written",
    [
        "",
        ",",
        "a",
        "1-",
        "-1",
        "1--2",
        "4-2",
        "1;2",
        "1.5",
        "٣",
        "1" * 5000,
        [],
        [-1],
        [True],
        [1.0],
        ["1"],
        {},
        3,
    ],
)
def test_what_is_no_page_range_is_an_invalid_request(written: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(written)
    assert caught.value.param == "pages"


def test_a_page_beyond_the_document_is_named() -> None:
    with pytest.raises(InvalidRequest, match=r"3 pages, 0 to 2; page 7"):
        select(parse("0,7"), page_count=3, limit=100)
    with pytest.raises(InvalidRequest, match=r"1 page, number 0; page 1"):
        select(parse("1"), page_count=1, limit=100)


def test_pages_in_a_header_are_few_ranges_of_a_bounded_length() -> None:
    assert in_a_header([7, 2, 4, 3]) == "2-4,7"
    odd = in_a_header(range(1, 100_000, 2))
    assert odd.startswith("1,3,5,")
    assert odd.endswith(",...")
    assert len(odd) < 4_010


@pytest.mark.parametrize("written", ["0-999999999", "999999999", [10**8]])
def test_huge_pages_are_refused(written: object) -> None:
    with pytest.raises(InvalidRequest):
        select(parse(written), page_count=100_000, limit=100)


def test_more_pages_than_one_request_may_ask_for() -> None:
    for written in (None, "0-99999", "0-60,50-110"):
        with pytest.raises(TooManyPages, match="at most 100 pages"):
            select(parse(written), page_count=100_000, limit=100)
    assert len(select(parse("0-99,0-99"), page_count=100_000, limit=100)) == 100


def test_more_than_a_thousand_pieces_are_refused() -> None:
    for written in (",".join("0" * 1001), [0] * 1001):
        with pytest.raises(InvalidRequest, match="1000 pieces"):
            parse(written)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 12)), min_size=1, max_size=20))
def test_ranges_mean_what_they_say(pairs: list[tuple[int, int]]) -> None:
    text = ",".join(str(first) if more == 0 else f"{first}-{first + more}" for first, more in pairs)
    expected = [page for first, more in pairs for page in range(first, first + more + 1)]
    assert select(parse(text), page_count=60, limit=60) == list(dict.fromkeys(expected))


@settings(deadline=None)
@given(
    st.one_of(
        st.text(max_size=30), st.text("0123456789,- ", max_size=30), st.lists(st.integers(), max_size=5)
    )
)
def test_any_text_is_pages_of_the_document_or_a_clear_error(written: object) -> None:
    try:
        pages = select(parse(written), page_count=7, limit=5)
    except (InvalidRequest, TooManyPages):
        return
    assert 0 < len(pages) <= 5
    assert set(pages) <= set(range(7))
