"""Boxes of pages that were turned to be read."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from deployments.postprocess.postprocessor import Postprocessor
from deployments.postprocess.turning import turn, turned_size, upright
from deployments.types import Box, FinishReason, Generation, PreparedPage

ROTATIONS = st.sampled_from([0, 90, 180, 270])


@st.composite
def pages_with_boxes(draw: st.DrawFn) -> tuple[int, int, Box]:
    width, height = draw(st.integers(2, 3_000)), draw(st.integers(2, 3_000))
    x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return width, height, Box(x1, y1, draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height)))


@given(pages_with_boxes(), ROTATIONS)
def test_a_box_that_is_turned_stays_on_the_page_and_comes_back(
    page: tuple[int, int, Box], rotation: int
) -> None:
    width, height, box = page
    across, down = turned_size(rotation, width, height)
    there = turn(box, rotation, width, height)
    assert 0 <= there.x1 < there.x2 <= across
    assert 0 <= there.y1 < there.y2 <= down
    assert turn(there, -rotation, across, down) == box


def test_clockwise_is_clockwise() -> None:
    corner = Box(0, 0, 10, 20)  # upper left of a page of 100 x 200
    assert turn(corner, 90, 100, 200) == Box(180, 0, 200, 10)  # upper right
    assert turn(corner, 180, 100, 200) == Box(90, 180, 100, 200)
    assert turn(corner, 270, 100, 200) == Box(0, 90, 20, 100)  # lower left


@given(ROTATIONS)
def test_a_result_has_the_boxes_of_the_page_as_it_was_sent(rotation: int) -> None:
    # The page is read at 400 x 300, after it was turned.
    page = PreparedPage(index=0, width=400, height=300, dpi=144, prompt="", rotation=rotation)
    raw = "<|ref|>image<|/ref|><|det|>[[0, 0, 500, 333]]<|/det|>\n"
    found = Postprocessor().process(page, Generation(raw, FinishReason.STOP))
    assert (found.width, found.height) == turned_size(rotation, 400, 300)
    assert found.rotation == rotation
    assert found.figures[0].box == found.blocks[0].box
    read = upright(found)
    assert (read.width, read.height, read.blocks[0].box) == (400, 300, Box(0, 0, 200, 100))
    assert upright(read) == replace(read)
