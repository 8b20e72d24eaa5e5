from types import SimpleNamespace

import pytest
import torch

from deployments.errors import ConfigurationError
from deployments.model.vllm.vision import VisionOptions, VisionTower
from deployments.model.vllm.vision_config import VisionConfig
from deployments.model.vllm.weights import check_language, language_shapes, load_tower, tower_slots
from tests.vllm import tiny

pytestmark = pytest.mark.vllm

PUBLISHED = SimpleNamespace(
    hidden_size=1280,
    vocab_size=129_280,
    num_attention_heads=10,
    num_key_value_heads=10,
    num_hidden_layers=12,
    first_k_dense_replace=1,
    intermediate_size=6848,
    n_routed_experts=64,
    n_shared_experts=2,
    moe_intermediate_size=896,
)


def test_names_and_sizes_are_the_published_checkpoints() -> None:
    with torch.device("meta"):
        slots = tower_slots(VisionTower(VisionConfig(), VisionOptions.plain()))
    shapes = {name: tuple(slot.target.shape) for name, slot in slots.items()} | language_shapes(PUBLISHED)
    assert len(shapes) == 2707
    assert round(sum(torch.Size(shape).numel() for shape in shapes.values()) / 1e9, 3) == 3.389
    assert shapes["model.qwen2_model.model.model.layers.23.self_attn.k_proj.bias"] == (128,)
    assert shapes["model.sam_model.blocks.2.attn.rel_pos_h"] == (127, 64)
    assert shapes["model.view_seperator"] == (1280,)


@pytest.fixture
def weights() -> dict[str, torch.Tensor]:
    return tiny.official_weights(tiny.reference_model())


def load(weights: dict[str, torch.Tensor]) -> list[tuple[str, torch.Tensor]]:
    return list(load_tower(VisionTower(tiny.CONFIG, VisionOptions.plain()), weights.items()))


def test_other_tensors_are_passed_on(weights: dict[str, torch.Tensor]) -> None:
    weights["model.norm.weight"] = torch.ones(3)
    assert [name for name, _ in load(weights)] == ["model.norm.weight"]


def test_a_missing_tensor_is_named(weights: dict[str, torch.Tensor]) -> None:
    del weights["model.qwen2_model.model.model.layers.1.mlp.up_proj.weight"]
    with pytest.raises(ConfigurationError, match=r"layers\.1\.mlp\.up_proj\.weight is missing"):
        load(weights)


def test_a_surplus_tensor_is_named(weights: dict[str, torch.Tensor]) -> None:
    weights["model.sam_model.blocks.3.norm1.weight"] = torch.ones(32)
    with pytest.raises(ConfigurationError, match=r"blocks\.3\.norm1\.weight is not part of this model"):
        load(weights)


def test_a_misshaped_tensor_is_named_with_both_shapes(weights: dict[str, torch.Tensor]) -> None:
    weights["model.projector.layers.weight"] = torch.ones(40, 47)
    with pytest.raises(ConfigurationError, match=r"projector\.layers\.weight is 40x47 instead of 40x48"):
        load(weights)


def test_many_problems_are_counted() -> None:
    with pytest.raises(ConfigurationError, match=r"is missing, and \d+ more\. Download"):
        load({})


def test_language_tensors_are_checked_too() -> None:
    shapes = language_shapes(PUBLISHED)
    del shapes["model.layers.3.mlp.experts.63.up_proj.weight"]
    shapes["lm_head.weight"] = (8, 8)
    weights = [(name, torch.empty(shape, device="meta")) for name, shape in shapes.items()]
    with pytest.raises(
        ConfigurationError, match=r"lm_head\.weight is 8x8 .*experts\.63\.up_proj\.weight is missing"
    ):
        list(check_language(PUBLISHED, weights))
