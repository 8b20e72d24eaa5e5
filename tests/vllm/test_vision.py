import pytest
import torch

from deployments.model.vllm.vision import VisionOptions, take_apart
from tests.vllm import tiny

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return tiny.reference_model()


def pixels(count: int, side: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, generator=generator)


def deviation(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours.float() - theirs.float()).norm() / theirs.float().norm())


PAGES = {"no tiles": [0], "2x3": [6], "6x1": [6], "two without": [0, 0], "mixed": [2, 0, 6, 3]}


@pytest.mark.parametrize("counts", PAGES.values(), ids=PAGES.keys())
def test_pages_equal_the_reference(model: torch.nn.Module, counts: list[int]) -> None:
    views = pixels(len(counts), 256, 1)
    tiles = pixels(sum(counts), 192, 2)
    expected = tiny.reference_pages(model, views, tiles, counts)
    ours = tiny.tower(model)(views, tiles, torch.tensor(counts))
    assert [len(page) for page in ours] == [144 * n + 257 for n in counts]
    for page, reference in zip(ours, expected, strict=True):
        assert deviation(page, reference) < 1e-4


def test_bfloat16_stays_near_the_reference(model: torch.nn.Module) -> None:
    views, tiles = pixels(1, 256, 3), pixels(2, 192, 4)
    half = tiny.reference_model().to(torch.bfloat16)
    # The same weights, rounded, in exact arithmetic: the reference's own bf16 is 0.0097 away from it.
    exact = tiny.reference_model().to(torch.bfloat16).float()
    (expected,) = tiny.reference_pages(exact, views, tiles, [2])
    (page,) = tiny.tower(half)(views, tiles, torch.tensor([2]))
    assert page.dtype == torch.bfloat16
    assert deviation(page, expected) < 1e-2


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("kind", ["matmul", "flex", "folded_math"])
def test_forms_of_sam_attention_agree(model: torch.nn.Module, kind: str) -> None:
    tiles = pixels(1, 192, 5)
    plain = tiny.tower(model).encode(tiles)
    options = VisionOptions(kind, kind, "masked", compile=None, cuda_graphs=False)
    assert deviation(tiny.tower(model, options).encode(tiles), plain) < 1e-5


def test_compiling_changes_nothing_and_serves_every_batch(model: torch.nn.Module) -> None:
    # The backend `eager` captures graphs as the default does, and generates no code from them.
    options = VisionOptions("bias", "bias", "masked", compile="eager", cuda_graphs=False, tile_batches=(2, 3))
    compiled, plain = tiny.tower(model, options), tiny.tower(model)
    compiled.warm_up()
    with torch.compiler.set_stance("fail_on_recompile"):
        for count in (2, 3, 5):
            tiles = pixels(count, 192, count)
            assert deviation(compiled.encode(tiles), plain.encode(tiles)) < 1e-6


def test_batches_are_made_of_known_sizes() -> None:
    assert list(take_apart(13, (1, 2, 4, 8))) == [8, 4, 1]
    assert list(take_apart(7, (2, 6, 12))) == [6, 2]
    assert list(take_apart(0, (1, 2))) == []


@pytest.mark.parametrize("count", [0, 1, 3, 9])
def test_cutting_into_batches_changes_nothing(model: torch.nn.Module, count: int) -> None:
    tiles = pixels(count, 192, 6)
    options = VisionOptions("bias", "bias", "masked", compile=None, cuda_graphs=False, tile_batches=(2, 4))
    whole = VisionOptions("bias", "bias", "masked", compile=None, cuda_graphs=False, tile_batches=(9,))
    torch.testing.assert_close(
        tiny.tower(model, options).encode(tiles), tiny.tower(model, whole).encode(tiles), rtol=1e-4, atol=1e-5
    )


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ValueError, match="window_attention is 'fast'; it must be one of triton, bias"):
        VisionOptions(window_attention="fast")
