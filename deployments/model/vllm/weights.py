"""The checkpoint's tensors: where each belongs in the tower, and whether all are there and fit.

The tower keeps the checkpoint's names, except that it joins matrices that share their input:
`q_proj`, `k_proj`, `v_proj` become `qkv_proj`, and `gate_proj`, `up_proj` become `gate_up_proj`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from deployments.errors import ConfigurationError
from deployments.model.vllm.vision import VisionTower

PREFIX = "model."
"""Before every name of the tower in the checkpoint, as in `model.sam_model.pos_embed`."""

Weight = tuple[str, torch.Tensor]
"""A tensor with its name in the checkpoint."""

LISTED = 5
"""How many names an error lists."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a tensor goes: the parameter, and which of its rows (all, where None)."""

    parameter: torch.nn.Parameter
    rows: slice | None = None

    @property
    def target(self) -> torch.Tensor:
        """The part of the parameter to fill."""
        return self.parameter.data if self.rows is None else self.parameter.data[self.rows]


def tower_slots(tower: VisionTower) -> dict[str, Slot]:
    """Every name of the checkpoint that belongs to the tower."""
    encoder = tower.config.encoder
    q = encoder.num_attention_heads * encoder.head_dim
    kv = encoder.num_key_value_heads * encoder.head_dim
    wide = encoder.intermediate_size
    joined = {
        "qkv_proj": {"q_proj": slice(0, q), "k_proj": slice(q, q + kv), "v_proj": slice(q + kv, q + 2 * kv)},
        "gate_up_proj": {"gate_proj": slice(0, wide), "up_proj": slice(wide, 2 * wide)},
    }
    slots: dict[str, Slot] = {}
    for name, parameter in tower.named_parameters():
        layer, kind = ["", *str(name).split(".")][-2:]
        # The checkpoint has Qwen2's own model two levels down; the queries stand beside it.
        official = name.replace("qwen2_model.layers.", "qwen2_model.model.model.layers.")
        official = official.replace("qwen2_model.norm.", "qwen2_model.model.model.norm.")
        if layer in joined:
            for part, rows in joined[layer].items():
                slots[PREFIX + official.replace(f"{layer}.{kind}", f"{part}.{kind}")] = Slot(parameter, rows)
        else:
            slots[PREFIX + official] = Slot(parameter)
    return slots


def load_tower(tower: VisionTower, weights: Iterable[Weight]) -> Iterator[Weight]:
    """Fill the tower and pass on what belongs to the language model.

    Args:
        tower: to fill.
        weights: names and tensors of the checkpoint, in any order.

    Yields:
        The other tensors, as they come.

    Raises:
        ConfigurationError: once all are read: one is missing, misshaped, or of no known name.
    """
    slots = tower_slots(tower)
    roots = tuple({".".join(name.split(".")[:2]) for name in slots})
    check = Check({name: tuple(slot.target.shape) for name, slot in slots.items()})
    for name, tensor in weights:
        if not name.startswith(roots):
            yield name, tensor
        elif check.accepts(name, tensor):
            slots[name].target.copy_(tensor)
    check.finish()


def check_language(config: Any, weights: Iterable[Weight]) -> Iterator[Weight]:
    """Pass on the language model's tensors, those that fit.

    Args:
        config: the language model's configuration (`DeepseekV2Config`).
        weights: what `load_tower` left.

    Yields:
        Tensors of known name and right shape, as they come.

    Raises:
        ConfigurationError: once all are read: one is missing, misshaped, or of no known name.
    """
    check = Check(language_shapes(config))
    for name, tensor in weights:
        if check.accepts(name, tensor):
            yield name, tensor
    check.finish()


def language_shapes(config: Any) -> dict[str, tuple[int, ...]]:
    """Names and shapes of DeepSeek-V2's tensors without latent attention, as the checkpoint has them."""
    hidden, words = config.hidden_size, config.vocab_size
    head = hidden // config.num_attention_heads
    key_width = config.num_key_value_heads * head
    shapes: dict[str, tuple[int, ...]] = {
        "model.embed_tokens.weight": (words, hidden),
        "model.norm.weight": (hidden,),
        "lm_head.weight": (words, hidden),
    }
    for index in range(config.num_hidden_layers):
        layer = f"model.layers.{index}"
        shapes[f"{layer}.input_layernorm.weight"] = (hidden,)
        shapes[f"{layer}.post_attention_layernorm.weight"] = (hidden,)
        for part, rows in (("q", hidden), ("k", key_width), ("v", key_width), ("o", hidden)):
            shapes[f"{layer}.self_attn.{part}_proj.weight"] = (rows, hidden)
        if index < config.first_k_dense_replace:
            shapes |= _perceptron(f"{layer}.mlp", hidden, config.intermediate_size)
            continue
        experts, width = config.n_routed_experts, config.moe_intermediate_size
        shapes[f"{layer}.mlp.gate.weight"] = (experts, hidden)
        shapes |= _perceptron(f"{layer}.mlp.shared_experts", hidden, config.n_shared_experts * width)
        for expert in range(experts):
            shapes |= _perceptron(f"{layer}.mlp.experts.{expert}", hidden, width)
    return shapes


def _perceptron(name: str, hidden: int, width: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{name}.gate_proj.weight": (width, hidden),
        f"{name}.up_proj.weight": (width, hidden),
        f"{name}.down_proj.weight": (hidden, width),
    }


class Check:
    """Compares tensors as they come with what a configuration asks for.

    Args:
        shapes: of every tensor there must be.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._missing = dict(shapes)
        self._shapes = shapes
        self._problems: list[str] = []

    def accepts(self, name: str, tensor: torch.Tensor) -> bool:
        """Whether the tensor belongs here and fits; if not, it is remembered."""
        shape = self._shapes.get(name)
        self._missing.pop(name, None)
        if shape is None:
            self._problems.append(f"{name} is not part of this model")
        elif shape != tuple(tensor.shape):
            self._problems.append(f"{name} is {_written(tuple(tensor.shape))} instead of {_written(shape)}")
        else:
            return True
        return False

    def finish(self) -> None:
        """Say what was wrong.

        Raises:
            ConfigurationError: naming the first few problems.
        """
        problems = self._problems + [f"{name} is missing" for name in self._missing]
        if problems:
            more = f", and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
            raise ConfigurationError(
                f"The model folder's tensors don't fit its config.json: {'; '.join(problems[:LISTED])}{more}."
                " Download the folder again, whole and of one revision."
            )


def _written(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a single number"
