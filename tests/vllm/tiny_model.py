"""Writes a model folder that is DeepSeek-OCR-2 in every respect but its size and its random weights."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.gpu.model_folder import CONFIG, LANGUAGE, write_model_folder
from deployments.model.vllm.vision import VisionOptions, VisionTower
from deployments.model.vllm.vision_config import VisionConfig
from deployments.model.vllm.weights import tower_slots
from tests.vllm import tiny

LAYERS, HIDDEN, HEADS, EXPERTS, INTERMEDIATE, EXPERT_INTERMEDIATE, VOCABULARY = 2, 64, 2, 4, 96, 32, 129_280


def write_model(folder: Path, seed: int = 0, shards: int = 2, attention: float = 4.0) -> Path:
    """Write the folder; the same seed gives the same weights."""
    vision = replace(tiny.CONFIG, output_size=HIDDEN)
    write_model_folder(folder, config(vision))
    names = sorted(weights := random_weights(vision, seed, attention))
    weight_map = {}
    for index in range(shards):
        shard = f"model-{index + 1:05}-of-{shards:06}.safetensors"
        mine = names[index::shards]
        save_file({name: weights[name] for name in mine}, folder / shard, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(mine, shard)
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    return folder


def config(vision: VisionConfig) -> dict:
    """The published configuration at this size."""
    language = {
        **LANGUAGE,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "moe_intermediate_size": EXPERT_INTERMEDIATE,
        "n_routed_experts": EXPERTS,
        "num_attention_heads": HEADS,
        "num_experts_per_tok": 2,
        "num_hidden_layers": LAYERS,
        "num_key_value_heads": HEADS,
        "torch_dtype": "float32",
        "vocab_size": VOCABULARY,
    }
    sizes = {"image_size": vision.image_size, "tile_size": vision.tile_size}
    parts = {"sam_config": asdict(vision.sam), "encoder_config": asdict(vision.encoder)}
    return {
        **CONFIG,
        "torch_dtype": "float32",
        "language_config": language,
        "projector_config": {
            **CONFIG["projector_config"],
            "input_dim": vision.encoder.hidden_size,
            "n_embed": HIDDEN,
        },
        "vision_config": {**CONFIG["vision_config"], **sizes, **parts},
    }


def random_weights(vision: VisionConfig, seed: int, attention: float) -> dict[str, torch.Tensor]:
    """Under the checkpoint's names.

    `attention` scales the language model's attention: with 4 an answer depends on the page and on what
    is written so far, with 1 it soon repeats itself.
    """
    with torch.device("meta"):
        slots = tower_slots(VisionTower(vision, VisionOptions.plain()))
    shapes = {name: tuple(slot.target.shape) for name, slot in slots.items()} | language_shapes()
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in shapes.items():
        if "norm" in name and name.endswith("weight"):
            weights[name] = torch.ones(shape)
            continue
        attends = name.startswith("model.layers") and name.split(".")[-2] in ("q_proj", "k_proj", "o_proj")
        scale = (attention if attends else 1) * shape[-1] ** -0.5
        weights[name] = torch.randn(shape, generator=generator) * scale
    return weights


def language_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (VOCABULARY, HIDDEN),
        "model.norm.weight": (HIDDEN,),
        "lm_head.weight": (VOCABULARY, HIDDEN),
    }
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}"
        shapes |= {f"{prefix}.{norm}_layernorm.weight": (HIDDEN,) for norm in ("input", "post_attention")}
        shapes |= {f"{prefix}.self_attn.{part}_proj.weight": (HIDDEN, HIDDEN) for part in "qkvo"}
        if layer == 0:
            shapes |= feed_forward(f"{prefix}.mlp", INTERMEDIATE)
            continue
        shapes[f"{prefix}.mlp.gate.weight"] = (EXPERTS, HIDDEN)
        shapes |= feed_forward(f"{prefix}.mlp.shared_experts", 2 * EXPERT_INTERMEDIATE)
        for expert in range(EXPERTS):
            shapes |= feed_forward(f"{prefix}.mlp.experts.{expert}", EXPERT_INTERMEDIATE)
    return shapes


def feed_forward(prefix: str, width: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{prefix}.gate_proj.weight": (width, HIDDEN),
        f"{prefix}.up_proj.weight": (width, HIDDEN),
        f"{prefix}.down_proj.weight": (HIDDEN, width),
    }
