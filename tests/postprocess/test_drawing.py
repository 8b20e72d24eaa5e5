import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from deployments.postprocess import drawing
from deployments.types import BlockType
from tests.postprocess.pages import block, white


@st.composite
def boxes(draw: st.DrawFn, width: int, height: int) -> tuple[int, int, int, int]:
    x1, y1 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return x1, y1, draw(st.integers(x1 + 1, width)), draw(st.integers(y1 + 1, height))


@given(st.data(), st.integers(1, 300), st.integers(1, 300))
@settings(max_examples=30)
def test_any_page_can_be_drawn(data: st.DataObject, width: int, height: int) -> None:
    found = data.draw(
        st.lists(st.tuples(st.sampled_from(BlockType), boxes(width, height), st.text(max_size=40)))
    )
    picture = drawing.draw(white(width, height), [block(t, "", box, label=label) for t, box, label in found])
    assert max(picture.width, picture.height) >= 900
    assert picture.mode == "RGB"


def test_a_box_is_outlined_in_its_colour_at_its_place() -> None:
    found = [block(BlockType.TABLE, "", (100, 200, 700, 900))]
    pixels = np.asarray(drawing.draw(white(1000, 1000), found))
    colour = drawing.COLOURS[BlockType.TABLE]
    for x, y in ((400, 200), (400, 899), (100, 600), (699, 600)):
        assert tuple(pixels[y, x]) == colour
    assert tuple(pixels[600, 400]) != colour  # the inside is tinted, not covered
    assert tuple(pixels[600, 800]) == (255, 255, 255)


def test_the_legend_names_the_types_on_the_page_below_it() -> None:
    page = white(1000, 1000)
    none = drawing.draw(page, [])
    one = drawing.draw(page, [block(BlockType.TEXT, "", (1, 1, 9, 9))])
    every = drawing.draw(page, [block(type_, "", (1, 1, 9, 9)) for type_ in BlockType])
    assert none.size == (1000, 1000)
    assert 1000 < one.height < every.height
    legend = np.asarray(every)[1000:].reshape(-1, 3)
    for colour in drawing.COLOURS.values():
        assert (legend == colour).all(axis=1).any()


def test_large_pages_are_drawn_smaller_and_tiny_ones_larger() -> None:
    assert drawing.draw(white(5_000, 10_000), []).size == (1_200, 2_400)
    assert drawing.draw(white(90, 45), []).size == (900, 450)


@pytest.mark.parametrize("type_", BlockType)
def test_white_letters_can_be_read_on_every_colour(type_: BlockType) -> None:
    # Contrast ratio of WCAG 2.2.
    parts = [value / 255 for value in drawing.COLOURS[type_]]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    assert 1.05 / (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) >= 4


def test_tags_show_the_models_label_where_the_font_can() -> None:
    assert drawing.tag(block(BlockType.TITLE, "", label="sub_title"), 3) == "3 sub_title"
    assert drawing.tag(block(BlockType.TEXT, "", label="页码"), 3) == "3 text"
    assert len(drawing.tag(block(BlockType.TEXT, "", label="x" * 500), 3)) <= 30


def test_png_bytes() -> None:
    picture = Image.open(io.BytesIO(drawing.draw_png(white(), [])))
    assert (picture.format, picture.size) == ("PNG", (675, 900))
