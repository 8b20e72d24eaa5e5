"""How a page's views travel to the model: the keyword argument of `embed_multimodal`.

One page is one item of the modality `image` with one field, `pixels`, a pair on the CPU:

    global view    uint8 (1, base_size, base_size, 3)
    tiles          uint8 (n, image_size, image_size, 3)

n may be 0. A batch is the list of its pages' pairs, as they came: vLLM joins tensors, but leaves
lists of lists alone, and `staging` joins faster. The page's placeholders are `image_token_count(n, …)`
copies of `IMAGE_TOKEN_ID` in the prompt; its embeddings are the tiles' row by row, then the global
view's, then the view separator.
"""

from collections.abc import Sequence

import torch
from transformers import BatchFeature
from vllm.multimodal.inputs import MultiModalFieldConfig, MultiModalKwargsItems

MODALITY = "image"

PIXELS = "pixels"

MAX_TILES = 6
"""A page's largest grid (the published processor's `MAX_CROPS`)."""


def image_token_count(tiles: int, *, tile_tokens: int = 144, view_tokens: int = 256) -> int:
    """Number of placeholders of a page: its tiles', its global view's, and one for the view separator."""
    return tile_tokens * tiles + view_tokens + 1


def page_items(pages: Sequence[tuple[torch.Tensor, torch.Tensor]]) -> MultiModalKwargsItems:
    """Pages, each its global view and its tiles, as vLLM carries them."""
    field = MultiModalFieldConfig.batched(MODALITY, keep_on_cpu=True)
    return MultiModalKwargsItems.from_hf_inputs(
        BatchFeature({PIXELS: [list(page) for page in pages]}), {PIXELS: field}
    )
