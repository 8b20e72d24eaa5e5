"""How a page's views travel to the model: the keyword arguments of `embed_multimodal`, and how they batch.

One page is one item of the modality `image`. Every item carries all three fields, so that pages with
and without tiles share a batch (vLLM splits a batch where the keys of its items differ):

    field          one item                              a batch of p pages, t tiles in all        where
    global_view    uint8 (base_size, base_size, 3)       uint8 (p, base_size, base_size, 3)        GPU
    tiles          uint8 (n, image_size, image_size, 3)  uint8 (t, image_size, image_size, 3)      GPU
    tile_counts    int64 (), the number n                int64 (p,)                                CPU

n may be 0. The page's placeholders are `image_token_count(n, …)` copies of `IMAGE_TOKEN_ID` in the
prompt; its embeddings are the tiles' row by row, then the global view's, then the view separator.
"""

from collections.abc import Mapping, Sequence

import torch
from vllm.multimodal.inputs import MultiModalFieldConfig

MODALITY = "image"

MAX_TILES = 6
"""A page's largest grid (the published processor's `MAX_CROPS`)."""


def image_token_count(tiles: int, *, tile_tokens: int = 144, view_tokens: int = 256) -> int:
    """Number of placeholders of a page: its tiles', its global view's, and one for the view separator."""
    return tile_tokens * tiles + view_tokens + 1


def page_fields(tile_counts: Sequence[int]) -> Mapping[str, MultiModalFieldConfig]:
    """How vLLM cuts the three fields of pages with these tile counts into items, and joins items again."""
    return {
        "global_view": MultiModalFieldConfig.batched(MODALITY),
        "tiles": MultiModalFieldConfig.flat_from_sizes(
            MODALITY, torch.tensor(tile_counts, dtype=torch.int64)
        ),
        "tile_counts": MultiModalFieldConfig.batched(MODALITY, keep_on_cpu=True),
    }
