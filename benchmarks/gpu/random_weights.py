"""Random weights for a model folder, drawn so that they behave as a network and not as noise around zero.

    python -m benchmarks.gpu.random_weights FOLDER
    python -m benchmarks.gpu.random_weights FOLDER --fp8      the same, rounded where fp8 holds them

vLLM's own dummy weights are all within a thousandth of zero, norms included: every logit comes out the
same, whatever the page, and all tokens choose the same experts. Weights whose products keep the size of what
goes in, with norms of one, give answers that depend on the page and experts that all have work to do.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from math import prod
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file

from deployments.model.vllm.vision import VisionOptions, VisionTower
from deployments.model.vllm.vision_config import VisionConfig
from deployments.model.vllm.weights import tower_slots

ATTENTION = 4.0
"""Scale of the language model's attention: with 4 an answer depends on the page and on what is written
so far, with 1 it soon repeats itself."""

SHARD_TENSORS = 700
"""Tensors in one file: the published model's 2,707 become four files."""


_HELD_IN_FP8 = re.compile(r"model\.layers\.\d+\..*\.(q|k|v|o|gate|up|down)_proj\.weight")
"""What `quantization: fp8` quantises: the language model's matrices, without the routers and the head."""


def add_weights(
    folder: Path,
    seed: int = 0,
    attention: float = ATTENTION,
    dtype: torch.dtype = torch.bfloat16,
    shard_tensors: int = SHARD_TENSORS,
    *,
    fp8: bool = False,
) -> Path:
    """Write weights for the `config.json` of a folder beside it; the same seed and device give the same.

    Drawn on the GPU where there is one: the full size takes a CPU a minute.

    Args:
        folder: the model's.
        seed: of the draw.
        attention: see `ATTENTION`.
        dtype: of the weights.
        shard_tensors: most tensors in one file.
        fp8: round what `quantization: fp8` would, with one scale a matrix, to see what that alone does.
    """
    config = json.loads((folder / "config.json").read_text())
    device = "cuda" if torch.cuda.is_available() else "cpu"
    generator = torch.Generator(device).manual_seed(seed)
    shapes = sorted(_shapes(config).items())
    shards = [shapes[first : first + shard_tensors] for first in range(0, len(shapes), shard_tensors)]
    weight_map: dict[str, str] = {}
    size = 0
    for index, shard in enumerate(shards):
        name = f"model-{index + 1:05}-of-{len(shards):06}.safetensors"
        weights = {
            parameter: _draw(parameter, shape, attention, generator).to(dtype).cpu()
            for parameter, shape in shard
        }
        if fp8:
            weights = {parameter: _rounded(parameter, weight) for parameter, weight in weights.items()}
        save_file(weights, folder / name, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(weights, name)
        size += sum(weight.nbytes for weight in weights.values())
    index_file = {"metadata": {"total_size": size}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index_file))
    return folder


def _draw(name: str, shape: tuple[int, ...], attention: float, generator: torch.Generator) -> torch.Tensor:
    """Return a parameter of so many float32 numbers, on the generator's device."""
    if len(shape) == 1 and name.endswith("weight"):
        return torch.ones(shape, device=generator.device)
    attends = name.startswith("model.layers") and name.split(".")[-2] in ("q_proj", "k_proj", "o_proj")
    convolves = len(shape) == 4 and name.endswith("weight")
    summed = prod(shape[1:]) if convolves else shape[-1]
    scale = (attention if attends else 1) * summed**-0.5
    return torch.randn(shape, generator=generator, device=generator.device) * scale


def _rounded(name: str, weight: torch.Tensor) -> torch.Tensor:
    """Return a parameter as fp8 (e4m3) would hold it, if it would."""
    if _HELD_IN_FP8.fullmatch(name) is None:
        return weight
    exact = weight.float()
    scale = exact.abs().max() / torch.finfo(torch.float8_e4m3fn).max
    return ((exact / scale).to(torch.float8_e4m3fn).float() * scale).to(weight.dtype)


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shape of each parameter, under the checkpoint's names."""
    parts = {name: SimpleNamespace(**config[name]) for name in ("vision_config", "projector_config")}
    vision = VisionConfig.from_hf(SimpleNamespace(**parts))
    with torch.device("meta"):
        slots = tower_slots(VisionTower(vision, VisionOptions.plain()))
    tower = {name: tuple(slot.target.shape) for name, slot in slots.items()}
    return tower | dict(_language_shapes(config["language_config"]))


def _language_shapes(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    width, vocabulary = config["hidden_size"], config["vocab_size"]
    yield "model.embed_tokens.weight", (vocabulary, width)
    yield "model.norm.weight", (width,)
    yield "lm_head.weight", (vocabulary, width)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}"
        for norm in ("input", "post_attention"):
            yield f"{prefix}.{norm}_layernorm.weight", (width,)
        for part in "qkvo":
            yield f"{prefix}.self_attn.{part}_proj.weight", (width, width)
        if layer < config["first_k_dense_replace"]:
            yield from _feed_forward(f"{prefix}.mlp", width, config["intermediate_size"])
            continue
        hidden = config["moe_intermediate_size"]
        yield f"{prefix}.mlp.gate.weight", (config["n_routed_experts"], width)
        shared = config["n_shared_experts"] * hidden
        yield from _feed_forward(f"{prefix}.mlp.shared_experts", width, shared)
        for expert in range(config["n_routed_experts"]):
            yield from _feed_forward(f"{prefix}.mlp.experts.{expert}", width, hidden)


def _feed_forward(prefix: str, width: int, hidden: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{prefix}.gate_proj.weight", (hidden, width)
    yield f"{prefix}.up_proj.weight", (hidden, width)
    yield f"{prefix}.down_proj.weight", (width, hidden)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--fp8", action="store_true", help="round what fp8 would hold")
    given = parser.parse_args()
    add_weights(given.folder, fp8=given.fp8)
