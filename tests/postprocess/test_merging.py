from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.postprocess import merging, page_breaks, tables
from deployments.types import Block, BlockType, PageResult
from tests.postprocess.pages import block, result

TEXT, TITLE, TABLE = BlockType.TEXT, BlockType.TITLE, BlockType.TABLE
LOW, HIGH = (50, 500, 550, 780), (50, 20, 550, 200)


def contents(pages: list[list[Block]]) -> list[list[str]]:
    return [[found.content for found in page] for page in pages]


def test_nothing_changes_unless_asked_for() -> None:
    pages = [result(block(BlockType.HEADER, "Head"), block(TEXT, "ends with a")), result(block(TEXT, "word"))]
    assert [tuple(page) for page in merging.merge(pages)] == [page.blocks for page in pages]


def test_running_heads_and_feet_go() -> None:
    def page(number: int) -> PageResult:
        return result(
            block(TEXT, f"My Book {number}", (50, 10, 550, 30)),
            block(TEXT, f"Chapter {number}", (50, 200, 550, 230)),
            block(TEXT, "Same words on every page", (50, 300, 550, 330)),
            block(BlockType.FOOTER, "foot", (50, 400, 550, 430)),
            block(TEXT, f"{number}", (290, 780, 310, 795)),
            index=number,
        )

    merged = merging.merge([page(number) for number in range(4)], drop_running=True)
    assert contents(merged) == [[f"Chapter {n}", "Same words on every page"] for n in range(4)]


def test_a_head_on_two_pages_only_stays() -> None:
    pages = [result(block(TEXT, "Once", (50, 10, 550, 30))) for _ in range(2)]
    assert contents(merging.merge(pages, drop_running=True)) == [["Once"], ["Once"]]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("it goes", "on here.", ["it goes on here."]),
        ("a divi-", "ded word.", ["a divided word."]),
        ("a divi\u2010", "ded word.", ["a divided word."]),
        ("the years 1990-", "to 2000", ["the years 1990- to 2000"]),
        ("这是一个句子的前", "半部分。", ["这是一个句子的前半部分。"]),
        ("It ends.", "on here", None),
        ("It ends.”", "on here", None),
        ("它结束。", "新的一段", None),
        ("it goes", "A new one", None),
        ("see:", "item", None),
    ],
)
def test_paragraphs_that_go_on(before: str, after: str, expected: list[str] | None) -> None:
    pages = [
        [block(TEXT, before), block(BlockType.FOOTER, "1")],
        [block(BlockType.HEADER, "h"), block(TEXT, after)],
    ]
    joined = contents(page_breaks.join_paragraphs(pages))
    if expected is None:
        assert joined == [[before, "1"], ["h", after]]
    else:
        assert joined == [[*expected, "1"], ["h"]]


def test_a_paragraph_may_go_on_over_pages_and_figures() -> None:
    figure = block(BlockType.IMAGE, "")
    pages = [
        [block(TITLE, "T"), block(TEXT, "one"), figure],
        [figure, block(TEXT, "two")],
        [figure],
        [block(TEXT, "three."), block(TEXT, "Other")],
    ]
    joined = page_breaks.join_paragraphs(pages)
    assert contents(joined) == [["T", "one two three.", ""], [""], [""], ["Other"]]


def test_a_heading_between_keeps_paragraphs_apart() -> None:
    pages = [[block(TEXT, "one")], [block(TITLE, "T"), block(TEXT, "two")]]
    assert contents(page_breaks.join_paragraphs(pages)) == [["one"], ["T", "two"]]


@given(st.lists(st.lists(st.builds(block, st.sampled_from(BlockType), st.text(alphabet="aB.- 中。")))))
def test_joining_paragraphs_loses_no_words(pages: list[list[Block]]) -> None:
    def letters(found: list[list[Block]]) -> str:
        everything = "".join(sorted("".join(b.content for page in found for b in page)))
        return everything.replace(" ", "").replace("-", "")

    joined = page_breaks.join_paragraphs(pages)
    assert len(joined) == len(pages)
    assert letters(joined) == letters(pages)


def html(*rows: tuple[str, ...]) -> str:
    return (
        "<table>"
        + "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
        + "</table>"
    )


def joined_tables(*pages: tuple[Block, ...]) -> list[list[Block]]:
    results = [result(*page, index=index) for index, page in enumerate(pages)]
    return merging.merge(results, join_tables=True)


def test_tables_that_go_on_are_one_without_the_repeated_head() -> None:
    pages = joined_tables(
        (block(TEXT, "See:"), block(TABLE, html(("n", "v"), ("1", "a")), LOW), block(BlockType.FOOTER, "1")),
        (block(TABLE, html(("n", "v"), ("2", "b")), (48, 20, 552, 790)),),
        (block(TABLE, html(("3", "c")), HIGH), block(TEXT, "End")),
    )
    assert contents(pages)[1:] == [[], ["End"]]
    (grid,) = tables.parse(pages[0][1].content)
    assert isinstance(grid, tables.TableGrid)
    assert grid.texts() == [["n", "v"], ["1", "a"], ["2", "b"], ["3", "c"]]


@pytest.mark.parametrize(
    "second",
    [
        (block(TABLE, html(("1", "2", "3")), HIGH),),
        (block(TABLE, html(("1", "2")), (200, 20, 550, 200)),),
        (block(TABLE, html(("1", "2")), (50, 400, 550, 600)),),
        (block(TABLE, html(("1", "2")), None),),
        (block(BlockType.CAPTION, "Table 2"), block(TABLE, html(("1", "2")), HIGH)),
        (block(TABLE, "no table", HIGH),),
    ],
)
def test_other_tables_stay_apart(second: tuple[Block, ...]) -> None:
    first = (block(TABLE, html(("n", "v")), LOW),)
    assert joined_tables(first, second) == [list(first), list(second)]


def test_headings_are_levelled_by_number_and_mark() -> None:
    pages = [
        result(
            block(TITLE, "# Paper", label="title"),
            block(TITLE, "# 1 Start", label="sub_title"),
            block(TITLE, "1.2 More", label="sub_title"),
        ),
        result(
            block(TITLE, "# 2. Next", label="title"),
            block(TITLE, "##### Deep", label="sub_title"),
            block(TITLE, "A.1 Annex", label="sub_title"),
            block(TITLE, "1999 in review", label="sub_title"),
            block(TEXT, "# not a heading"),
        ),
    ]
    assert contents(merging.merge(pages, level_headings=True)) == [
        ["# Paper", "## 1 Start", "### 1.2 More"],
        ["## 2. Next", "### Deep", "### A.1 Annex", "## 1999 in review", "# not a heading"],
    ]


@given(st.lists(st.text(alphabet="#1. aA")))
def test_no_heading_is_more_than_one_level_deeper_than_the_last(texts: list[str]) -> None:
    pages = merging.merge([result(*(block(TITLE, text) for text in texts))], level_headings=True)
    levels = [len(text) - len(text.lstrip("#")) for text in contents(pages)[0] if text.strip("# ")]
    for before, after in pairwise(levels):
        assert 1 <= after <= min(before + 1, 6)
