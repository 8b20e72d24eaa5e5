import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deployments.postprocess import tables
from deployments.postprocess.tables import Cell, TableGrid

PIECES = [
    "<table>",
    "</table>",
    "<tr>",
    "</tr>",
    "<td>",
    "</td>",
    "<th>",
    '<td colspan="3">',
    "<td rowspan=2>",
    "<td",
    ">",
    "<",
    "<td colspan='999999999' rowspan='999999999'>",
    "a",
    "b < c",
    "&lt;",
    "&#99999999999999;",
    "&#0;",
    "&#xD800;",
    "<br>",
    "<sup>",
    "</sup>",
    "<caption>",
    "<thead>",
    "<tbody>",
    "\n",
    "<script>alert(1)</script>",
    "<td onclick=x>",
    "|",
    '"',
]
any_html = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=40).map("".join)
words = st.text(st.characters(categories=["L", "N", "P", "S"], exclude_characters=""), min_size=0, max_size=6)


def only_grid(text: str) -> TableGrid:
    (grid,) = tables.parse(text)
    assert isinstance(grid, TableGrid)
    return grid


@st.composite
def grids(draw: st.DrawFn) -> TableGrid:
    rows, columns = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    taken: set[tuple[int, int]] = set()
    cells = []
    for row in range(rows):
        for column in range(columns):
            if (row, column) in taken:
                continue
            # The first cell of a row spans nothing, so that every row and the last column exist.
            room = 1
            while column + room < columns and (row, column + room) not in taken:
                room += 1
            colspan = draw(st.integers(1, room)) if column else 1
            rowspan = draw(st.integers(1, rows - row)) if column else 1
            taken |= {(row + r, column + c) for r in range(rowspan) for c in range(colspan)}
            cells.append(Cell(draw(words), row, column, rowspan, colspan, draw(st.booleans())))
    return TableGrid(rows, columns, tuple(cells))


@given(grids())
def test_clean_html_read_again_is_the_same_table(grid: TableGrid) -> None:
    assert only_grid(tables.to_html(grid)) == grid


def as_text(text: str) -> str:
    """What keeps a spreadsheet from taking a text for a formula; numbers with a sign stay."""
    is_number = set(text) <= set("+-0123456789.,% ") and not set(text[1:]) & set("+-")
    return f"'{text}" if text[:1] in set("=+-@") and not is_number else text


@given(grids())
def test_csv_and_pipe_tables_hold_every_text_at_its_place(grid: TableGrid) -> None:
    rows = list(csv.reader(io.StringIO(tables.to_csv(grid), newline="")))
    assert [[as_text(text) for text in row] for row in grid.texts()] == rows
    lines = tables.to_markdown(grid).split("\n")
    assert len(lines) == grid.rows + 1
    for line in lines:
        assert line.replace("\\|", "").count("|") == grid.columns + 1


@given(any_html)
@example("<td colspan='999999999' rowspan='999999999'><tr><td onclick=x>")
def test_any_text_gives_tables_of_table_tags_alone(text: str) -> None:
    for segment in tables.parse(text):
        if isinstance(segment, str):
            assert segment
            continue
        places = set()
        for cell in segment.cells:
            for row in range(cell.row, cell.row + cell.rowspan):
                for column in range(cell.column, cell.column + cell.colspan):
                    assert 0 <= row < segment.rows
                    assert 0 <= column < segment.columns
                    assert (row, column) not in places
                    places.add((row, column))
        html = tables.to_html(segment)
        for tag in html.split("<")[1:]:
            name = tag.split(">")[0].split(" ")[0]
            assert name in {"table", "/table", "tr", "/tr", "td", "/td", "th", "/th", "br"}
        assert "onclick" not in "".join(part.split(">")[0] for part in html.split("<"))
        # What was read once is stable.
        assert only_grid(html).texts() == segment.texts()


@given(st.text(st.characters(categories=["L", "N"]), min_size=1).filter(str.strip))
def test_scripts_and_comparisons_are_text(word: str) -> None:
    grid = only_grid(f"<table><tr><td>1 < 2<script>{word}</script></td></tr></table>")
    assert grid.cells[0].text == f"1 < 2<script>{word}</script>"
    assert "<script" not in tables.to_html(grid)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table>", [["a", "b"], ["c", ""]]),
        ("<table><tr><td>a<td>b<tr><td>c", [["a", "b"], ["c", ""]]),
        ("<td>a</td><td>b</td>", [["a", "b"]]),
        (
            '<table><tr><td rowspan="2">a</td><td>b</td></tr><tr><td>c</td></tr></table>',
            [["a", "b"], ["", "c"]],
        ),
        (
            '<table><tr><td colspan="2">a</td></tr><tr><td>b</td><td>c</td></tr></table>',
            [["a", ""], ["b", "c"]],
        ),
        (
            "<TABLE><THEAD><TR><TH>a</TH></TR></THEAD><TBODY><TR><TD>b</TD></TR></TBODY></TABLE>",
            [["a"], ["b"]],
        ),
        ("<table><tr><td>a &lt; b&nbsp;&amp;amp; &unknown;</td></tr></table>", [["a < b &amp; &unknown;"]]),
        ("<table><tr><td>10<sup>2</sup> H<sub>2</sub>O<br>x</td></tr></table>", [["10^2 H_2O\nx"]]),
        ("<table><tr><td>a<table><tr><td>b</td><td>c</td></tr></table>d</td></tr></table>", [["a\nb\nc\nd"]]),
        ('<table><tr><td colspan="0">a</td></tr></table>', [["a"]]),
    ],
)
def test_tables_as_models_write_them(text: str, expected: list[list[str]]) -> None:
    assert only_grid(text).texts() == expected


def test_text_around_tables_is_kept_in_order() -> None:
    segments = tables.parse(
        "Table 1<table><tr><td>a</td></tr></table>note<table><tr><td>b</td></tr></table>end"
    )
    assert [s if isinstance(s, str) else s.texts() for s in segments] == [
        "Table 1",
        [["a"]],
        "note",
        [["b"]],
        "end",
    ]


def test_a_table_opened_after_one_left_open_is_a_table_of_its_own() -> None:
    segments = tables.parse("<table><tr><td>a</td></tr><table><tr><td>b</td></tr></table>")
    assert [s if isinstance(s, str) else s.texts() for s in segments] == [[["a"]], [["b"]]]


def test_spans_stay_within_the_table() -> None:
    grid = only_grid(
        '<table><tr><td rowspan="999999999" colspan="999999999">a</td></tr><tr><td>b</td></tr></table>'
    )
    assert (grid.rows, grid.columns) == (2, tables.MAX_COLUMNS)


@pytest.mark.parametrize(
    "piece",
    [
        "<tr>",
        "<td>",
        "<td",
        "<table>",
        "<",
        "&",
        "&#",
        "<td colspan=9 ",
        "<tr><td colspan=256 rowspan=9999>",
        "</table>",
        "<table><td colspan=256 rowspan=9999>",
        "<br>",
        "colspan",
        "<td " + "rowspan=" * 9 + ">",
    ],
)
def test_a_megabyte_of_anything_is_read(piece: str) -> None:
    for segment in tables.parse("<table>" + piece * (1_000_000 // len(piece))):
        if isinstance(segment, TableGrid):
            assert segment.rows <= tables.MAX_ROWS
            tables.to_html(segment)
