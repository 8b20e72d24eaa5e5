"""From bytes to what an engine takes."""

import io
from pathlib import Path

import numpy as np
import pymupdf
import pytest
from PIL import Image
from tokenizers import Tokenizer

from benchmarks.gpu.model_folder import write_tokenizer
from deployments.errors import (
    ConfigurationError,
    CorruptDocument,
    InvalidRequest,
    OcrError,
    TooManyPixels,
    UnsupportedMediaType,
)
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.settings import DocumentLimits, ViewSettings
from deployments.tokenizer import load_tokenizer
from deployments.types import DocumentKind, EngineInput, Grid, PageRequest, PreparedPage, Task

LIMITS, VIEWS = DocumentLimits(), ViewSettings()


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder: Path = tmp_path_factory.mktemp("model")
    write_tokenizer(folder)
    return load_tokenizer(folder)


def pdf(pages: int) -> bytes:
    document = pymupdf.open()
    for number in range(pages):
        document.new_page(width=595, height=842).insert_text((72, 72), f"Page {number}")
    return bytes(document.tobytes())


def tiff(sizes: list[tuple[int, int]]) -> bytes:
    images = [Image.new("L", size, 128) for size in sizes]
    buffer = io.BytesIO()
    images[0].save(buffer, "TIFF", save_all=True, append_images=images[1:])
    return buffer.getvalue()


def test_an_engine_that_reads_pages_gets_the_page() -> None:
    preprocessor = Preprocessor(LIMITS, VIEWS, EngineInput.PAGE, None)
    page = preprocessor.prepare(pdf(2), 1, PageRequest())
    assert page.image is not None
    assert page.image.shape == (page.height, page.width, 3) == (1684, 1190, 3)
    assert (page.index, page.dpi, page.views) == (1, 144, None)
    assert page.prompt == "<image>\n<|grounding|>Convert the document to markdown."
    assert page.seconds > 0


@pytest.mark.parametrize("keep_image", [False, True])
@pytest.mark.parametrize("crop", [False, True])
def test_an_engine_that_reads_views_gets_views(tokenizer: Tokenizer, crop: bool, keep_image: bool) -> None:
    preprocessor = Preprocessor(LIMITS, VIEWS, EngineInput.VIEWS, tokenizer)
    page = preprocessor.prepare(pdf(1), 0, PageRequest(task=Task.TEXT, crop=crop, keep_image=keep_image))
    assert page.views is not None
    assert page.views.grid == (Grid(2, 3) if crop else Grid(0, 0))
    assert (page.views.token_ids == 128815).sum() == (6 * 144 if crop else 0) + 257
    assert (page.image is not None) == keep_image
    assert (page.width, page.height) == (1190, 1684)


def test_an_engine_that_reads_views_needs_a_tokenizer() -> None:
    with pytest.raises(ConfigurationError, match="tokenizer"):
        Preprocessor(LIMITS, VIEWS, EngineInput.VIEWS, None)


def test_inspect() -> None:
    info = Preprocessor(LIMITS, VIEWS, EngineInput.PAGE, None).inspect(pdf(3))
    assert (info.kind, info.page_count) == (DocumentKind.PDF, 3)


def test_many_pages_are_those_of_single_calls() -> None:
    preprocessor = Preprocessor(LIMITS, VIEWS, EngineInput.PAGE, None)
    data = pdf(3)
    pages = list(preprocessor.prepare_pages(data, [2, 0], PageRequest(dpi=72)))
    assert [index for index, _ in pages] == [2, 0]
    for index, page in pages:
        assert isinstance(page, PreparedPage)
        assert page.image is not None
        assert np.array_equal(page.image, preprocessor.prepare(data, index, PageRequest(dpi=72)).image)


def test_a_bad_page_does_not_end_the_others() -> None:
    preprocessor = Preprocessor(DocumentLimits(max_pixels=10_000), VIEWS, EngineInput.PAGE, None)
    pages = dict(preprocessor.prepare_pages(tiff([(50, 50), (200, 200), (60, 60)]), range(4), PageRequest()))
    assert isinstance(pages[1], TooManyPixels)
    assert isinstance(pages[3], InvalidRequest)
    for index, width in ((0, 50), (2, 60)):
        page = pages[index]
        assert isinstance(page, PreparedPage)
        assert page.width == width


@pytest.mark.parametrize(
    ("data", "request_", "error", "param"),
    [
        (pdf(1), PageRequest(dpi=35), InvalidRequest, "dpi"),
        (pdf(1), PageRequest(dpi=601), InvalidRequest, "dpi"),
        (pdf(1), PageRequest(prompt="What is this?"), InvalidRequest, "prompt"),
        (pdf(1), PageRequest(task=Task.CUSTOM), InvalidRequest, "prompt"),
        (b"text", PageRequest(), UnsupportedMediaType, None),
        (b"%PDF-", PageRequest(), CorruptDocument, None),
    ],
)
def test_what_concerns_all_pages_is_raised(
    data: bytes, request_: PageRequest, error: type[OcrError], param: str | None
) -> None:
    preprocessor = Preprocessor(LIMITS, VIEWS, EngineInput.PAGE, None)
    with pytest.raises(error) as caught:
        preprocessor.prepare(data, 0, request_)
    assert caught.value.param == param
    with pytest.raises(error):
        next(preprocessor.prepare_pages(data, [0], request_))


@pytest.mark.parametrize("dpi", [36, 600])
def test_dpi_limits_are_inclusive(dpi: int) -> None:
    page = Preprocessor(LIMITS, VIEWS, EngineInput.PAGE, None).prepare(
        tiff([(9, 9)]), 0, PageRequest(dpi=dpi)
    )
    assert page.dpi is None
