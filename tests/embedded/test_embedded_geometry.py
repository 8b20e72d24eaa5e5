"""Reading order, rows, regions and tables from boxes alone."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from deployments.model.embedded.ink import Rules, is_dash
from deployments.model.embedded.lines import TextLine
from deployments.model.embedded.parts import parts_of
from deployments.model.embedded.reading_order import reading_order
from deployments.model.embedded.regions import Region, tidy_regions
from deployments.model.embedded.rows import groups_of, rows_of
from deployments.model.embedded.tables import aligned_cells, column_borders, ruled_cells, text_rows
from deployments.model.embedded.tabular import is_columnar, with_tables, without_caption
from deployments.types import Box

PAGE = Box(0, 0, 1000, 1400)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    x1, y1 = draw(st.integers(0, 900)), draw(st.integers(0, 1300))
    return Box(x1, y1, x1 + draw(st.integers(1, 600)), y1 + draw(st.integers(1, 300)))


def column(x1: int, x2: int, y: int, count: int, step: int = 24) -> list[TextLine]:
    return [TextLine.of(Box(x1, y + step * i, x2, y + step * i + 20)) for i in range(count)]


@given(st.lists(boxes(), max_size=40))
def test_reading_order_is_a_permutation(page: list[Box]) -> None:
    assert sorted(reading_order(page)) == list(range(len(page)))


@given(st.lists(boxes(), max_size=12, unique=True), st.randoms())
def test_reading_order_does_not_depend_on_the_order_found(page: list[Box], random: object) -> None:
    shuffled = list(page)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert [shuffled[i] for i in reading_order(shuffled)] == [page[i] for i in reading_order(page)]


@given(st.integers(2, 30), st.integers(5, 40))
def test_one_column_is_read_top_to_bottom(count: int, height: int) -> None:
    page = [Box(100, 50 * i, 900, 50 * i + height) for i in range(count)]
    assert reading_order(page) == list(range(count))


def test_two_columns_between_full_width_blocks() -> None:
    title, left, right = Box(100, 50, 900, 100), Box(100, 120, 490, 500), Box(510, 120, 900, 500)
    table, left_below, right_below = (
        Box(100, 520, 900, 700),
        Box(100, 720, 490, 1300),
        Box(510, 720, 900, 1300),
    )
    wanted = [title, left, right, table, left_below, right_below]
    found = [right_below, table, left, title, right, left_below]
    assert [found[i] for i in reading_order(found)] == wanted


def test_paragraphs_of_one_column_come_before_the_next_column() -> None:
    left = [Box(100, 100 + 200 * i, 490, 280 + 200 * i) for i in range(4)]
    right = [Box(510, 130 + 150 * i, 900, 260 + 150 * i) for i in range(5)]
    found = [*right, *left]
    assert [found[i] for i in reading_order(found)] == [*left, *right]


def test_a_gutter_parts_columns_though_it_is_no_wider_than_a_wide_space() -> None:
    lines = column(100, 490, 100, 8) + column(505, 900, 100, 8)
    groups = groups_of(rows_of(lines, []))
    assert sorted((group.box.x1, len(group.rows)) for group in groups) == [(100, 8), (505, 8)]


def test_pieces_of_a_line_are_joined_where_the_next_lines_run_through_the_gap() -> None:
    lines = [
        *column(100, 900, 124, 3),
        TextLine.of(Box(100, 100, 480, 120)),
        TextLine.of(Box(505, 100, 900, 120)),
    ]
    assert [len(row.pieces) for row in sorted(rows_of(lines, []), key=lambda row: row.box.y1)] == [2, 1, 1, 1]


def test_a_wider_space_ends_a_group() -> None:
    lines = column(100, 900, 100, 4) + column(100, 900, 230, 4)
    assert [len(group.rows) for group in groups_of(rows_of(lines, []))] == [4, 4]


@given(
    st.lists(boxes().map(TextLine.of), max_size=25),
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "text",
                    "title",
                    "figure",
                    "figure_caption",
                    "table",
                    "header",
                    "footer",
                    "reference",
                    "equation",
                ]
            ),
            boxes(),
        ),
        max_size=8,
    ),
)
def test_no_line_is_lost_or_told_twice(lines: list[TextLine], labelled: list[tuple[str, Box]]) -> None:
    regions = [Region(label, 0.9, box) for label, box in labelled]
    parts = parts_of(lines, regions, PAGE)
    told = [id(line) for part in parts for row in part.rows for line in row.pieces]
    told += [id(line) for part in parts for line in part.lines]
    assert len(told) == len(set(told))
    figures = [part.box for part in parts if part.kind == "image"]
    untold = [line for line in lines if id(line) not in told]
    assert all(any(_mostly_inside(line.box, figure) for figure in figures) for line in untold)


def _mostly_inside(box: Box, outer: Box) -> bool:
    wide = min(box.x2, outer.x2) - max(box.x1, outer.x1)
    tall = min(box.y2, outer.y2) - max(box.y1, outer.y1)
    return min(wide, tall) > 0 and wide * tall > 0.5 * (box.x2 - box.x1) * (box.y2 - box.y1)


def test_running_heads_and_page_numbers_leave_the_text() -> None:
    head, number = TextLine.of(Box(400, 40, 600, 58)), TextLine.of(Box(490, 1350, 510, 1368))
    parts = parts_of([number, *column(100, 900, 150, 20), head], [], PAGE)
    assert [part.kind for part in parts] == ["header", "text", "footer"]


def test_a_page_of_text_that_was_taken_for_a_figure_is_read() -> None:
    lines = [line.box for line in column(100, 900, 100, 50)]
    assert tidy_regions([Region("figure", 0.9, Box(90, 90, 910, 1310))], lines, PAGE) == []


def test_two_pieces_of_a_table_with_a_subheading_between_are_one() -> None:
    regions = [Region("table", 0.9, Box(100, 100, 900, 300)), Region("table", 0.8, Box(102, 330, 898, 600))]
    assert [r.box for r in tidy_regions(regions, [Box(450, 305, 560, 325)], PAGE)] == [
        Box(100, 100, 900, 600)
    ]
    caption = [Box(100, 303, 880, 323)]
    assert len(tidy_regions(regions, caption, PAGE)) == 2


def grid(xs: list[int], ys: list[int]) -> Rules:
    return Rules(
        tuple(Box(xs[0], y - 1, xs[-1], y + 1) for y in ys),
        tuple(Box(x - 1, ys[0], x + 1, ys[-1]) for x in xs),
    )


@given(st.integers(2, 8), st.integers(2, 12))
def test_a_full_grid_has_a_cell_a_slot(columns: int, rows: int) -> None:
    xs, ys = [100 + 90 * i for i in range(columns + 1)], [100 + 40 * i for i in range(rows + 1)]
    cells = ruled_cells(Box(xs[0], ys[0], xs[-1], ys[-1]), grid(xs, ys))
    assert [(cell.row, cell.column) for cell in cells] == [
        (r, c) for r in range(rows) for c in range(columns)
    ]
    assert {(cell.rows, cell.columns) for cell in cells} == {(1, 1)}


def test_a_missing_rule_makes_a_spanning_cell() -> None:
    rules = grid([100, 200, 300, 400], [100, 140, 180])
    upright = (*rules.vertical[:1], Box(199, 140, 201, 180), *rules.vertical[2:])
    across = (rules.horizontal[0], Box(100, 139, 300, 141), rules.horizontal[2])
    cells = ruled_cells(Box(100, 100, 400, 180), Rules(across, upright))
    assert [(c.row, c.column, c.rows, c.columns) for c in cells] == [
        (0, 0, 1, 2),
        (0, 2, 2, 1),
        (1, 0, 1, 1),
        (1, 1, 1, 1),
    ]


def test_horizontal_rules_alone_are_no_grid() -> None:
    rules = Rules(tuple(Box(100, y, 900, y + 2) for y in (100, 140, 400)), ())
    assert ruled_cells(Box(100, 100, 900, 400), rules) == []


def test_columns_part_at_aligned_gaps_and_a_wide_head_spans_them() -> None:
    table = Box(90, 90, 720, 230)
    pieces = [Box(300, 100, 700, 120)]
    for y in (130, 160, 190):
        pieces += [Box(100, y, 250, y + 20), Box(300, y, 400, y + 20), Box(600, y, 700, y + 20)]
    borders = column_borders(table, pieces, pieces, Rules())
    cells = aligned_cells(table, pieces, Rules(), borders)
    assert len(borders) == 2
    assert [(c.column, c.columns) for c in cells if c.row == 0] == [(0, 1), (1, 2)]
    assert [(c.row, c.column) for c in cells if c.row] == [(r, c) for r in (1, 2, 3) for c in range(3)]


def test_a_column_of_few_signs_is_a_column() -> None:
    table = Box(90, 90, 720, 250)
    pieces = [
        box for y in (100, 130, 160, 190, 220) for box in (Box(100, y, 250, y + 20), Box(600, y, 700, y + 20))
    ]
    pieces += [Box(560, 100, 575, 120), Box(560, 220, 575, 240)]
    assert len(column_borders(table, pieces, pieces, Rules())) == 2


@given(st.lists(boxes(), min_size=1, max_size=25), st.lists(boxes(), max_size=4))
def test_cells_tile_the_table(pieces: list[Box], rules: list[Box]) -> None:
    table = Box(
        min(p.x1 for p in pieces),
        min(p.y1 for p in pieces),
        max(p.x2 for p in pieces),
        max(p.y2 for p in pieces),
    )
    found = Rules(tuple(rules), ())
    borders = column_borders(table, pieces, pieces, found)
    cells = aligned_cells(table, pieces, found, borders)
    slots = [(c.row, column) for c in cells for column in range(c.column, c.column + c.columns)]
    rows = 1 + max(c.row for c in cells)
    assert sorted(slots) == [(row, column) for row in range(rows) for column in range(len(borders) + 1)]


@given(st.lists(boxes(), max_size=30, unique=True))
def test_text_rows_keep_every_piece(pieces: list[Box]) -> None:
    assert sorted(box for row in text_rows(pieces) for box in row) == sorted(pieces)


def test_a_leader_does_not_run_through_the_text_of_another_column() -> None:
    # The caption of the third column stands at the height of a line of the first, and the second
    # column's line between them is half a line lower: what shows of it in the gap looks like dots.
    lines = [
        TextLine.of(Box(100, 100, 400, 124)),
        TextLine.of(Box(440, 114, 740, 138)),
        TextLine.of(Box(780, 100, 1000, 124)),
    ]
    rows = rows_of(lines, [], is_dotted=lambda _: True)
    assert sorted(len(row.pieces) for row in rows) == [1, 1, 1]


def test_a_leader_joins_a_chapter_with_its_page() -> None:
    lines = [TextLine.of(Box(100, y, 400, y + 24)) for y in (100, 140)]
    lines += [TextLine.of(Box(900, y, 940, y + 24)) for y in (100, 140)]
    rows = rows_of(lines, [], is_dotted=lambda _: True)
    assert [len(row.pieces) for row in rows] == [2, 2]


def test_a_rule_means_the_columns_whose_text_it_runs_under() -> None:
    # The rule under the second head starts left of the border, but not below the text left of it.
    borders = [150, 252, 350, 450]
    pieces = [Box(155, 0, 235, 20), Box(300, 0, 400, 20)]
    pieces += [Box(x2 - 40, y, x2, y + 20) for y in (60, 90, 120) for x2 in (100, 200, 300, 400, 500)]
    rules = Rules(horizontal=(Box(140, 24, 232, 25), Box(240, 24, 450, 25)))
    table = Box(0, 0, 520, 150)
    heads = [cell for cell in aligned_cells(table, pieces, rules, borders) if cell.columns > 1]
    assert [(cell.row, cell.column, cell.columns) for cell in heads] == [(0, 2, 2)]


def test_text_in_aligned_short_pieces_is_columnar_and_two_columns_of_prose_are_not() -> None:
    table = [TextLine.of(Box(x, y, x + 60, y + 20)) for y in range(100, 300, 40) for x in (100, 300, 500)]
    assert is_columnar(table)
    prose = column(100, 480, 100, 8) + column(505, 900, 100, 8)
    assert not is_columnar(prose)


def test_a_caption_is_parted_from_its_table() -> None:
    first, second = TextLine.of(Box(100, 100, 600, 120)), TextLine.of(Box(100, 125, 300, 145))
    body = [TextLine.of(Box(x, y, x + 60, y + 20)) for y in range(170, 300, 40) for x in (100, 300, 540)]
    texts = {first.box: "Table 1: What the market had on", second.box: "Monday morning."}

    def read(line: TextLine) -> str:
        return texts.get(line.box, "1")

    found = without_caption([*body, first, second], read, lambda text: text.startswith("Table"))
    assert found.caption == "Table 1: What the market had on Monday morning."
    assert found.box == Box(100, 100, 600, 145)
    assert found.lines == tuple(body)
    assert without_caption(body, read, lambda _: True).caption == ""


def test_a_flat_bar_is_a_dash_and_a_digit_is_none() -> None:
    ink = np.zeros((60, 60), np.uint8)
    ink[30:32, 20:34] = 255
    assert is_dash(ink, Box(0, 0, 60, 60), 28)
    ink[12:46, 26:29] = 255
    assert not is_dash(ink, Box(0, 0, 60, 60), 28)


def test_a_figure_of_text_in_columns_is_a_table() -> None:
    lines = [TextLine.of(Box(x, y, x + 60, y + 20)) for y in range(100, 300, 40) for x in (100, 300, 500)]
    ink = np.zeros((400, 700), np.uint8)
    for line in lines:
        ink[line.box.y1 + 4 : line.box.y2 - 4, line.box.x1 + 4 : line.box.x2 - 4 : 3] = 255
    figure = Region("figure", 0.9, Box(80, 80, 620, 320))
    assert [region.label for region in with_tables([figure], lines, ink)] == ["table"]
    # A drawing between the labels of a diagram.
    ink[90:310, 180:280] = np.where(np.random.default_rng(1).random((220, 100)) < 0.5, 255, 0)
    assert [region.label for region in with_tables([figure], lines, ink)] == ["figure"]


def test_a_column_that_the_layout_model_took_for_text_stays_in_its_table() -> None:
    body = [TextLine.of(Box(x, y, x + 60, y + 20)) for y in range(200, 360, 40) for x in (100, 300)]
    digits = [TextLine.of(Box(488, y, 500, y + 20)) for y in range(200, 360, 40)]
    head = TextLine.of(Box(280, 160, 500, 180))
    regions = [Region("table", 0.9, Box(90, 150, 480, 350)), Region("text", 0.6, Box(485, 195, 503, 345))]
    (table,) = [part for part in parts_of([*body, *digits, head], regions, PAGE) if part.kind == "table"]
    assert len(table.lines) == len(body) + len(digits) + 1
