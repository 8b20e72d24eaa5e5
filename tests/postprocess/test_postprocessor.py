import io
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from deployments.postprocess import figures, markdown
from deployments.postprocess.postprocessor import Postprocessor
from deployments.types import Box, Figure, FinishReason, Generation, PageResult, PreparedPage

RAW = (
    "<|ref|>header<|/ref|><|det|>[[0, 0, 999, 50]]<|/det|>\nHead\n\n"
    "<|ref|>image<|/ref|><|det|>[[0, 100, 500, 500], [500, 100, 999, 500]]<|/det|>\n"
    "<|ref|>table<|/ref|><|det|>[[0, 500, 999, 800]]<|/det|>\n<table><tr><td>a</td></tr></table>\n\n"
    "<|ref|>page_number<|/ref|><|det|>[[0, 950, 999, 999]]<|/det|>\n12<\uff5cend\u2581of\u2581sentence\uff5c>"
)


def page(*, image: bool) -> PreparedPage:
    pixels = np.zeros((120, 80, 3), np.uint8)
    pixels[:, :, 0] = np.arange(80)
    pixels[:, :, 1] = np.arange(120)[:, None]
    return PreparedPage(3, 80, 120, 144, "prompt", pixels if image else None)


def process(raw: str = RAW, *, wanted: bool = True) -> PageResult:
    return Postprocessor().process(
        page(image=wanted), Generation(raw, FinishReason.STOP), figures=wanted, attempts=2
    )


def test_a_page_is_whole() -> None:
    result = process()
    assert (result.index, result.width, result.height, result.dpi, result.attempts) == (3, 80, 120, 144, 2)
    assert (result.header, result.footer) == ("Head", "12")
    assert [figure.id for figure in result.figures] == ["img-0.png", "img-1.png"]
    assert [(table.id, table.html) for table in result.tables] == [
        ("tbl-0.html", "<table><tr><td>a</td></tr></table>")
    ]
    assert result.markdown == (
        "Head\n\n![img-0.png](img-0.png)\n\n![img-1.png](img-1.png)\n\n"
        "<table><tr><td>a</td></tr></table>\n\n12"
    )
    assert markdown.render(result.blocks) == result.markdown
    assert pickle.loads(pickle.dumps(result)) == result  # noqa: S301 - our own bytes


def test_figures_are_the_pixels_of_their_boxes() -> None:
    image = page(image=True).image
    assert image is not None
    for figure in process().figures:
        assert figure.png is not None
        cut = np.asarray(Image.open(io.BytesIO(figure.png)))
        x1, y1, x2, y2 = figure.box
        assert np.array_equal(cut, image[y1:y2, x1:x2])


def test_without_figures_no_image_is_needed() -> None:
    assert [figure.png for figure in process(wanted=False).figures] == [None, None]


def test_figures_without_an_image_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="page image"):
        Postprocessor().process(page(image=False), Generation(RAW, FinishReason.STOP), figures=True)


def test_a_figure_without_a_place_is_no_figure() -> None:
    result = process("<|ref|>image<|/ref|><|det|>[[1, 2]]<|/det|>\nwords")
    assert result.figures == ()
    assert result.markdown == "words"


def test_a_page_repeated_as_a_figure_is_cut_a_few_times_only() -> None:
    result = process("<|ref|>image<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>\n" * 1000)
    assert len(result.figures) == 1000
    assert 1 <= sum(figure.png is not None for figure in result.figures) <= 10


def test_small_and_surplus_figures_are_left_out() -> None:
    found = [Figure(f"img-{n}.png", Box(0, 0, width, 50)) for n, width in enumerate((10, 40, 60, 80))]
    assert [figure.id for figure in figures.select(found, min_size=40)] == [
        "img-1.png",
        "img-2.png",
        "img-3.png",
    ]
    assert [figure.id for figure in figures.select(found, min_size=40, limit=1)] == ["img-1.png"]
    assert figures.select(found, limit=0) == ()


@given(st.text())
def test_any_text_gives_a_result(raw: str) -> None:
    result = process(raw)
    assert result.generation.text == raw
    assert len(result.figures) == sum(block.image_id is not None for block in result.blocks)
