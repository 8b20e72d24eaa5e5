"""Tables that the layout model took too large, too small, or not at all; boxes alone."""

import numpy as np
import pytest

from deployments.model.embedded.ink import Ink
from deployments.model.embedded.lines import TextLine
from deployments.model.embedded.regions import Region
from deployments.model.embedded.table_extents import fitted, missed_tables
from deployments.model.embedded.tabular import with_tables
from deployments.types import Box

COLUMNS = (100, 300, 500)
BODY = [Box(x, y, x + 60, y + 20) for y in range(300, 500, 40) for x in COLUMNS]
LEFT, RIGHT = 100, 560


def lines(*boxes: Box) -> list[TextLine]:
    return [TextLine.of(box) for box in boxes]


def inked(boxes: list[Box]) -> Ink:
    """Letters all along each line, and a blank wider than a space nowhere."""
    ink = np.zeros((800, 800), np.uint8)
    for box in boxes:
        ink[box.y1 + 4 : box.y2 - 4, box.x1 + 4 : box.x2 - 4 : 3] = 255
    return ink


def fit(region: Box, boxes: list[Box]) -> Box:
    (found,) = fitted([Region("table", 0.9, region)], lines(*boxes), inked(boxes))
    return found.box


def held(region: Box, boxes: list[Box]) -> list[Box]:
    return [box for box in boxes if region.y1 <= (box.y1 + box.y2) / 2 <= region.y2]


def test_a_paragraph_and_a_caption_above_a_table_are_no_rows_of_it() -> None:
    paragraph = [Box(LEFT, 180, 700, 200), Box(LEFT, 205, 700, 225), Box(LEFT, 230, 210, 250)]
    caption = [Box(LEFT, 260, 600, 280)]
    boxes = [*paragraph, *caption, *BODY]
    region = fit(Box(90, 175, 580, 490), boxes)
    assert held(region, boxes) == BODY


def test_the_last_word_of_a_caption_is_no_row() -> None:
    caption = [Box(LEFT, 225, 700, 245), Box(LEFT, 250, 170, 270)]
    boxes = [*caption, *BODY]
    assert held(fit(Box(90, 248, 580, 490), boxes), boxes) == BODY


def test_a_paragraph_below_a_table_is_no_row_of_it() -> None:
    boxes = [*BODY, Box(LEFT, 510, 700, 530), Box(LEFT, 535, 240, 555)]
    assert held(fit(Box(90, 290, 580, 560), boxes), boxes) == BODY


def test_a_head_over_all_columns_stays_where_a_rule_is_above_it() -> None:
    boxes = [Box(LEFT, 260, RIGHT, 280), *BODY]
    ink = inked(boxes)
    ink[250:252, 90:580] = 255
    (found,) = fitted([Region("table", 0.9, Box(90, 245, 580, 490))], lines(*boxes), ink)
    assert held(found.box, boxes) == boxes


def test_a_table_keeps_a_row_that_is_filled_in_part() -> None:
    boxes = [*BODY, Box(LEFT, 500, 160, 520)]
    assert held(fit(Box(90, 290, 580, 530), boxes), boxes) == boxes


@pytest.mark.parametrize("cut", [Box(90, 290, 400, 490), Box(280, 290, 580, 490)], ids=["right", "left"])
def test_a_column_beside_a_table_is_one_of_its_columns(cut: Box) -> None:
    found = fit(cut, BODY)
    assert found.x1 <= LEFT
    assert found.x2 >= RIGHT


def test_prose_beside_a_table_is_none_of_its_columns() -> None:
    prose = [Box(620, y, 780, y + 20) for y in range(290, 500, 26)]
    region = Box(90, 290, 580, 490)
    assert fit(region, [*BODY, *prose]) == region


def test_rows_in_columns_below_a_caption_are_a_table() -> None:
    caption, prose = Box(LEFT, 260, 500, 280), Box(LEFT, 560, 700, 580)
    page = lines(caption, *BODY, prose)
    (table,) = missed_tables([], page, lambda line: line.box == caption)
    assert table.box == Box(100, 300, 560, 480)
    assert missed_tables([], page, lambda line: False) == [], "authors side by side, say"
    drawn = [Region("table", 0.9, Box(90, 290, 580, 490))]
    assert missed_tables(drawn, page, lambda line: True) == []


def test_a_figure_of_nothing_but_text_is_none() -> None:
    boxes = [Box(LEFT, y, 600, y + 20) for y in range(100, 220, 26)]
    figure = Region("figure", 0.8, Box(80, 90, 620, 230))
    ink = inked(boxes)
    assert with_tables([figure], lines(*boxes), ink) == []
    ink[240:300, 100:600] = np.where(np.random.default_rng(1).random((60, 500)) < 0.5, 255, 0)
    taller = Region("figure", 0.8, Box(80, 90, 620, 310))
    assert with_tables([taller], lines(*boxes), ink) == [taller]
