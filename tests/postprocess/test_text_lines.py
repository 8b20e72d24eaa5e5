import numpy as np
import pymupdf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deployments.postprocess import pdfs, text_lines
from deployments.postprocess.ink import Ink
from deployments.postprocess.turning import as_sent
from deployments.types import BlockType, Box, PageResult, Pixels
from tests.postprocess.pages import HEIGHT, WIDTH, block, result

PARAGRAPH = (
    "The harbour master counted forty ships before noon and wrote their names in a long green book. When the "
    "fog came in, every bell on the quay began to ring, and the pilots waited for the tide. Nobody left the "
    "inner basin until the lamp on the mole could be seen again; those who had come too late lay outside, at "
    "two anchors, and listened."
)
CHINESE = (
    "港务长在中午之前数了四十艘船并把它们的名字写在一本绿色的长书里。雾来的时候码头上的每一口钟都开始响。"
)


def printed(
    text: str, *, font: str = "tiro", align: int = 0, light: bool = False
) -> tuple[PageResult, Pixels, dict[str, list[pymupdf.Rect]]]:
    """A page with a paragraph in a box, its picture, and where its words are, in points."""
    scale = 2
    with pymupdf.open() as document:
        page = document.new_page(width=WIDTH, height=HEIGHT)
        if light:
            page.draw_rect(page.rect, fill=(0, 0, 0.3))
        area = pymupdf.Rect(60, 100, 420, 400)
        page.insert_textbox(
            area, text, fontname=font, fontsize=14, align=align, color=(1, 1, 1) if light else (0, 0, 0)
        )
        places: dict[str, list[pymupdf.Rect]] = {}
        for word in page.get_text("words"):
            places.setdefault(word[4], []).append(pymupdf.Rect(word[:4]))
        ends = [rect for rects in places.values() for rect in rects]
        drawn = page.get_pixmap(matrix=pymupdf.Matrix(scale, scale), alpha=False)
    picture = np.frombuffer(drawn.samples, np.uint8).reshape(drawn.height, drawn.width, 3)
    box = (
        int(min(rect.x0 for rect in ends) * scale) - 3,
        int(min(rect.y0 for rect in ends) * scale),
        int(max(rect.x1 for rect in ends) * scale) + 3,
        int(max(rect.y1 for rect in ends) * scale),
    )
    found = result(
        block(BlockType.TEXT, text, box), width=WIDTH * scale, height=HEIGHT * scale, dpi=72 * scale
    )
    return found, picture, places


@pytest.mark.parametrize(
    "how",
    [{}, {"align": 3}, {"font": "helv"}, {"align": 1}, {"light": True}],
    ids=["ragged", "justified", "another font", "centred", "light on dark"],
)
def test_each_word_is_found_where_it_is_printed(how: dict[str, object]) -> None:
    page, picture, places = printed(PARAGRAPH, **how)  # type: ignore[arg-type] - options of the page
    with pymupdf.open(stream=pdfs.searchable([page], images=[picture])) as document:
        words = document[0].get_text("words")
        assert " ".join(word[4] for word in words) == PARAGRAPH
        for word in words:
            centre = pymupdf.Point((word[0] + word[2]) / 2, (word[1] + word[3]) / 2)
            distance = min(
                abs(centre - pymupdf.Point((at.x0 + at.x1) / 2, (at.y0 + at.y1) / 2))
                for at in places[word[4]]
            )
            assert distance < 5, word


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_words_of_a_turned_page_are_found_where_they_are_printed(rotation: int) -> None:
    upright, picture, _ = printed("Forty ships before noon")
    turned = np.rot90(picture, rotation // 90)
    # As the page was sent; reading it turned it clockwise by `rotation`.
    sent = as_sent(upright, rotation)
    with pymupdf.open(stream=pdfs.searchable([sent], images=[np.ascontiguousarray(turned)])) as document:
        (place,) = document[0].search_for("noon")
        drawn = document[0].get_pixmap(matrix=pymupdf.Matrix(2, 2), clip=place)
        assert np.frombuffer(drawn.samples, np.uint8).min() < 100, "there is print at that place"


def test_chinese_is_found_on_its_line() -> None:
    page, picture, _ = printed(CHINESE, font="china-s")
    with pymupdf.open(stream=pdfs.searchable([page], images=[picture])) as document:
        (bell,) = document[0].search_for("每一口钟")
        (ships,) = document[0].search_for("四十艘船")
        assert bell.y0 > ships.y1 - 2


@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 60), st.integers(1, 60), st.just(3))),
    st.text(),
    st.tuples(*[st.integers(0, 90)] * 4),
)
def test_any_picture_keeps_all_words(picture: Pixels, text: str, corners: tuple[int, int, int, int]) -> None:
    x1, y1, x2, y2 = corners
    box = Box(min(x1, x2), min(y1, y2), max(x1, x2) + 1, max(y1, y2) + 1)
    page = result(block(BlockType.TEXT, text, tuple(box)), width=91, height=91)
    with_ink = text_lines.place(page, Ink(picture, 91, 91))
    assert "".join("".join(line.text.split()) for line in with_ink) == "".join(
        "".join(line.text.split()) for line in text_lines.place(page)
    )
