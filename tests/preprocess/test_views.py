"""Pixels and token ids, against a straightforward statement of the reference."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps
from tokenizers import Tokenizer

from benchmarks.gpu.model_folder import write_tokenizer
from deployments.errors import InvalidRequest
from deployments.preprocess.prompts import prompt_for, tokenize_with_images
from deployments.preprocess.settings import ViewSettings
from deployments.preprocess.tiling import make_views
from deployments.tokenizer import load_tokenizer
from deployments.types import Grid, Pixels, Task
from tests.preprocess.test_grid import reference_grid

SETTINGS = ViewSettings()
SMALL = ViewSettings(base_size=128, image_size=96)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    folder: Path = tmp_path_factory.mktemp("model")
    write_tokenizer(folder)
    return load_tokenizer(folder)


def picture(width: int, height: int, seed: int, grey: bool) -> Pixels:
    rng = np.random.default_rng(seed)
    channels = 1 if grey else 3
    pixels = rng.integers(0, 256, (height, width, channels), np.uint8)
    pixels[: height // 2, : width // 3] = 255
    return np.repeat(pixels, 3, axis=2) if grey else pixels


def reference_views(pixels: Pixels, views: ViewSettings, crop: bool) -> tuple[Pixels, list[Pixels], Grid]:
    """Stretch the whole image to the grid, cut it; pad the whole image for the global view."""
    image = Image.fromarray(pixels)
    side = views.image_size
    grid = reference_grid(*image.size, side=side) if crop else Grid(0, 0)
    tiles = []
    if grid.tiles:
        stretched = image.resize((grid.columns * side, grid.rows * side))
        for row in range(grid.rows):
            for column in range(grid.columns):
                left, top = column * side, row * side
                tiles.append(np.array(stretched.crop((left, top, left + side, top + side))))
    if not crop:
        image = image.resize((side, side))
    if (thin := min(image.size)) * views.base_size / max(image.size) <= 0.5:  # Pillow 12 would fail
        image = image.resize(tuple(1 if side == thin else views.base_size for side in image.size))
    padded = ImageOps.pad(image, (views.base_size, views.base_size), color=(127, 127, 127))
    return np.array(padded), tiles, grid


def assert_reference_views(pixels: Pixels, views: ViewSettings, crop: bool) -> None:
    global_view, tiles, grid = make_views(pixels, views, crop)
    expected_view, expected_tiles, expected_grid = reference_views(pixels, views, crop)
    assert grid == expected_grid
    assert np.array_equal(global_view, expected_view)
    assert tiles.shape == (grid.tiles, views.image_size, views.image_size, 3)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(tiles, expected_tiles, strict=True))
    assert global_view.dtype == tiles.dtype == np.uint8
    assert global_view.flags.c_contiguous
    assert tiles.flags.c_contiguous


@given(st.integers(1, 700), st.integers(1, 700), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
@example(1, 1, 0, False, True)
@example(700, 1, 0, False, True)
@example(1, 700, 0, True, True)
@example(96, 96, 0, False, True)
@example(97, 96, 0, True, True)
@example(192, 288, 0, False, True)
@settings(deadline=None, max_examples=60)
def test_pixels_are_the_references(width: int, height: int, seed: int, grey: bool, crop: bool) -> None:
    assert_reference_views(picture(width, height, seed, grey), SMALL, crop)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("size", [(1191, 1684), (1684, 1191), (1536, 768), (769, 20), (500, 700), (2600, 31)])
def test_pixels_are_the_references_at_full_size(size: tuple[int, int], grey: bool) -> None:
    assert_reference_views(picture(*size, 1, grey), SETTINGS, crop=True)


def test_pixels_are_the_references_without_crop() -> None:
    assert_reference_views(picture(1191, 1684, 1, grey=False), SETTINGS, crop=False)


def test_a_service_that_crops_nothing_never_makes_tiles() -> None:
    pixels = picture(1191, 1684, 1, grey=False)
    whole, tiles, _ = make_views(pixels, ViewSettings(crop_mode=False), crop=True)
    assert len(tiles) == 0
    assert np.array_equal(whole, reference_views(pixels, SETTINGS, crop=False)[0])


def test_one_coloured_pixel_is_kept() -> None:
    pixels = picture(800, 900, 1, grey=True)
    pixels[501, 333] = (255, 0, 0)
    assert_reference_views(pixels, SETTINGS, crop=True)


@given(st.integers(1, 3000), st.integers(1, 3000), st.booleans(), st.sampled_from(list(Task)))
@settings(deadline=None, max_examples=25)
def test_token_ids_are_the_references(
    tokenizer: Tokenizer, width: int, height: int, crop: bool, task: Task
) -> None:
    prompt = prompt_for(task, "Where is <image> <|ref|>the title<|/ref|>?" if task is Task.CUSTOM else None)
    pixels = np.full((height, width, 3), 200, np.uint8)
    made = tokenize_with_images(pixels, prompt, tokenizer, crop=crop)
    grid = reference_grid(width, height) if crop else Grid(0, 0)
    before, after = prompt.split("<image>")
    images = 12 * 12 * grid.columns * grid.rows + 16 * 16 + 1
    expected = [0]
    expected += tokenizer.encode(before, add_special_tokens=False).ids
    expected += [128815] * images
    expected += tokenizer.encode(after, add_special_tokens=False).ids
    assert made.token_ids.tolist() == expected
    assert made.token_ids.dtype == np.int32
    assert made.grid == grid
    assert len(made.tiles) == grid.tiles


def test_known_prompt_ids(tokenizer: Tokenizer) -> None:
    made = tokenize_with_images(np.zeros((1684, 1191, 3), np.uint8), prompt_for(Task.MARKDOWN), tokenizer)
    ids = made.token_ids.tolist()
    assert ids[0] == 0
    assert ids.count(128815) == 6 * 144 + 257
    assert ids.count(128820) == 1
    assert tokenizer.decode(ids[1 + 1121 :]) == "\nConvert the document to markdown."


def test_pillow_pictures_are_taken_too(tokenizer: Tokenizer) -> None:
    pixels = picture(900, 800, 3, grey=False)
    prompt = prompt_for(Task.TEXT)
    ours = tokenize_with_images(pixels, prompt, tokenizer)
    theirs = tokenize_with_images(Image.fromarray(pixels), prompt, tokenizer)
    assert np.array_equal(ours.tiles, theirs.tiles)
    assert np.array_equal(ours.global_view, theirs.global_view)


@pytest.mark.parametrize("prompt", ["no mark", "<image> and <image>"])
def test_prompt_needs_one_mark(tokenizer: Tokenizer, prompt: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        tokenize_with_images(np.zeros((9, 9, 3), np.uint8), prompt, tokenizer)
    assert caught.value.param == "prompt"


def test_prompt_of_too_many_tokens_is_refused(tokenizer: Tokenizer) -> None:
    prompt = prompt_for(Task.CUSTOM, "\U0001f9ff" * 1500)
    with pytest.raises(InvalidRequest, match="tokens"):
        tokenize_with_images(np.zeros((9, 9, 3), np.uint8), prompt, tokenizer)
