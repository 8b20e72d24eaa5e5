"""vLLM 0.26's vision tower with its attention mask built once, as vLLM itself does from 0.32 on.

Up to then the mask of each image is built token by token in Python, half of the tower's time; so a
comparison with it would rest on a fault since mended. `worker_extension_cls` has the worker import this
module before it builds the model.
"""

from typing import Any

import torch
from vllm.model_executor.models.deepencoder2 import CustomQwen2Decoder

from benchmarks.gpu.probe import Probe


class CachedMask(Probe):
    """Importing this does the work; as an extension of the worker it only adds the probe."""


_create = CustomQwen2Decoder._create_custom_model


def _create_with_cached_mask(self: Any, *args: Any) -> Any:
    """Build the model as before; its mask depends on the length alone, so each length's is kept."""
    model = _create(self, *args)
    inner: Any = type(model)
    if hasattr(inner, "compute_mask_base"):  # this release keeps it already
        return model
    build, masks = inner._create_custom_4d_mask, {}

    def cached(
        self: Any,
        *,
        sequence_length: int,
        dtype: torch.dtype,
        device: torch.device,
        batch_size: int,
        token_type_ids: torch.Tensor,
    ) -> torch.Tensor:
        key = (sequence_length, dtype, device)  # two lengths: a tile's and a global view's
        if key not in masks:
            masks[key] = build(
                self,
                sequence_length=sequence_length,
                dtype=dtype,
                device=device,
                batch_size=1,
                token_type_ids=token_type_ids[:1],
            )
        return masks[key].expand(batch_size, -1, -1, -1)

    inner._create_custom_4d_mask = cached
    return model


CustomQwen2Decoder._create_custom_model = _create_with_cached_mask
