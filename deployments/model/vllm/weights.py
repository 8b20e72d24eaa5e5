"""The checkpoint's tensors and where each belongs in the tower.

The tower keeps the checkpoint's names, except that it joins matrices that share their input:
`q_proj`, `k_proj`, `v_proj` become `qkv_proj`, and `gate_proj`, `up_proj` become `gate_up_proj`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch

from deployments.errors import ConfigurationError
from deployments.model.vllm.vision import VisionTower

PREFIX = "model."
"""Before every name of the tower in the checkpoint, as in `model.sam_model.pos_embed`."""

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
        *path, layer, kind = ["", *name.split(".")]
        # The checkpoint has Qwen2's own model two levels down; the queries stand beside it.
        official = name.replace("qwen2_model.layers.", "qwen2_model.model.model.layers.")
        official = official.replace("qwen2_model.norm.", "qwen2_model.model.model.norm.")
        if path and layer in joined:
            for part, rows in joined[layer].items():
                slots[PREFIX + official.replace(f"{layer}.{kind}", f"{part}.{kind}")] = Slot(parameter, rows)
        else:
            slots[PREFIX + official] = Slot(parameter)
    return slots


def load_tower(tower: VisionTower, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
    """Fill the tower and pass on what belongs to the language model.

    Args:
        tower: to fill.
        weights: names and tensors of the checkpoint, in any order.

    Yields:
        The other tensors, as they come.

    Raises:
        ConfigurationError: once all are read: a tensor of the tower is missing, misshaped, or of no known name.
    """
    slots = tower_slots(tower)
    roots = tuple({".".join(name.split(".")[:2]) for name in slots})
    seen: set[str] = set()
    problems: list[str] = []
    for name, tensor in weights:
        slot = slots.get(name)
        if slot is None:
            if name.startswith(roots):
                problems.append(f"{name} is not part of this model")
            else:
                yield name, tensor
            continue
        seen.add(name)
        if slot.target.shape != tensor.shape:
            problems.append(f"{name} is {_shape(tensor)} instead of {_shape(slot.target)}")
        else:
            slot.target.copy_(tensor)
    problems += [f"{name} is missing" for name in slots if name not in seen]
    report(problems)


def report(problems: list[str]) -> None:
    """Raise if there are any problems with a checkpoint's tensors.

    Raises:
        ConfigurationError: naming the first few.
    """
    if problems:
        more = f", and {len(problems) - LISTED} more" if len(problems) > LISTED else ""
        raise ConfigurationError(
            f"The model folder's tensors don't fit its config.json: {'; '.join(problems[:LISTED])}{more}. "
            "Download the folder again, whole and of one revision."
        )


def _shape(tensor: torch.Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a single number"
