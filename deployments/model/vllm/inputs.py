"""A prepared page as vLLM takes it: already processed, so that its renderer has nothing to do.

Token ids, uint8 views and the placeholders' place go in as they are. vLLM identifies an image by a hash
of its content, to find it again in its caches; pages do not come twice, so the caches are off and a
random identifier takes the place of hashing 14 MB.
"""

import uuid
import warnings

import numpy as np
import torch
from transformers import BatchFeature
from vllm.inputs import EngineInput, mm_input
from vllm.multimodal.inputs import MultiModalKwargsItems, PlaceholderRange

from deployments.errors import GenerationFailed
from deployments.model.vllm.fields import IMAGE_TOKEN_ID, MODALITY, page_fields
from deployments.types import ModelInput, Pixels


def engine_input(views: ModelInput) -> EngineInput:
    """What `AsyncLLM.generate` takes for a page; pixels are not copied.

    Raises:
        GenerationFailed: the prompt has no image tokens, or not all of them in one run.
    """
    count = views.tiles.shape[0]
    fields = {
        "global_view": _tensor(views.global_view).unsqueeze(0),
        "tiles": _tensor(views.tiles),
        "tile_counts": torch.tensor([count]),
    }
    return mm_input(
        prompt_token_ids=views.token_ids.tolist(),
        mm_kwargs=MultiModalKwargsItems.from_hf_inputs(BatchFeature(fields), page_fields([count])),
        mm_hashes={MODALITY: [uuid.uuid4().hex]},
        mm_placeholders={MODALITY: [_placeholders(views)]},
    )


def _placeholders(views: ModelInput) -> PlaceholderRange:
    places = np.flatnonzero(views.token_ids == IMAGE_TOKEN_ID)
    if not len(places) or places[-1] - places[0] + 1 != len(places):
        raise GenerationFailed("The page's prompt must hold its image tokens in one run.")
    return PlaceholderRange(offset=int(places[0]), length=len(places))


def _tensor(pixels: Pixels) -> torch.Tensor:
    """A tensor on the array's own memory."""
    with warnings.catch_warnings():
        # Arrays from Ray's object store are read-only, and so is everything done with the tensor.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(pixels)
