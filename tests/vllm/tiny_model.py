"""Writes a model folder that is DeepSeek-OCR-2 in every respect but its size and its random weights."""

from dataclasses import asdict, replace
from pathlib import Path

import torch

from benchmarks.gpu.model_folder import CONFIG, LANGUAGE, write_model_folder
from benchmarks.gpu.random_weights import ATTENTION, add_weights
from deployments.model.vllm.vision_config import VisionConfig
from tests.vllm import tiny

LAYERS, HIDDEN, HEADS, EXPERTS, INTERMEDIATE, EXPERT_INTERMEDIATE, VOCABULARY = 2, 64, 2, 4, 96, 32, 129_280


def write_model(folder: Path, seed: int = 0, attention: float = ATTENTION) -> Path:
    """Write the folder, its weights in several files; the same seed gives the same weights."""
    write_model_folder(folder, config(replace(tiny.CONFIG, output_size=HIDDEN)))
    return add_weights(folder, seed, attention, torch.float32, shard_tensors=60)


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
