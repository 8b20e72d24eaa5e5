"""A prepared page as vLLM takes it: already processed, so that its renderer has nothing to do.

Token ids, uint8 views and the placeholders' place go in as they are. vLLM identifies an image by a hash
of its content, to find it again in its caches; pages do not come twice, so the caches are off and a
random identifier takes the place of hashing 14 MB.
"""

import uuid
import warnings

import numpy as np
import torch
from vllm.inputs import EngineInput, mm_input
from vllm.multimodal.inputs import PlaceholderRange

from deployments.errors import GenerationFailed
from deployments.model.vllm.fields import MAX_TILES, MODALITY, image_token_count, page_items
from deployments.model.vllm.vision_config import VisionConfig
from deployments.tokenizer import IMAGE_TOKEN_ID
from deployments.types import ModelInput, Pixels


def engine_input(views: ModelInput, vision: VisionConfig) -> EngineInput:
    """What `AsyncLLM.generate` takes for a page; pixels are not copied.

    Views are checked against the tower's sizes here, because in the engine's core a wrong one would
    end the core, and with it every other page.

    Raises:
        GenerationFailed: the views have other sizes, or the prompt's image tokens are not as many as they
            make, or not in one run.
    """
    count = len(views.tiles)
    _check_shape("global view", views.global_view, (vision.image_size, vision.image_size, 3))
    _check_shape("tiles", views.tiles, (min(count, MAX_TILES), vision.tile_size, vision.tile_size, 3))
    page = _tensor(views.global_view).unsqueeze(0), _tensor(views.tiles)
    return mm_input(
        prompt_token_ids=views.token_ids.tolist(),
        mm_kwargs=page_items([page]),
        mm_hashes={MODALITY: [uuid.uuid4().hex]},
        mm_placeholders={MODALITY: [_placeholders(views, vision)]},
    )


def _placeholders(views: ModelInput, vision: VisionConfig) -> PlaceholderRange:
    places = np.flatnonzero(views.token_ids == IMAGE_TOKEN_ID)
    expected = image_token_count(
        len(views.tiles), tile_tokens=vision.tile_tokens, view_tokens=vision.view_tokens
    )
    if len(places) != expected or places[-1] - places[0] + 1 != expected:
        raise GenerationFailed(
            f"The page's prompt must hold its {expected} image tokens in one run. "
            "This is a fault of the server."
        )
    return PlaceholderRange(offset=int(places[0]), length=expected)


def _check_shape(name: str, pixels: Pixels, shape: tuple[int, ...]) -> None:
    if pixels.shape != shape or pixels.dtype != np.uint8:
        raise GenerationFailed(
            f"The page's {name} must be uint8 of shape {shape}, not {pixels.dtype} of {pixels.shape}. "
            "This is a fault of the server."
        )


def _tensor(pixels: Pixels) -> torch.Tensor:
    """A tensor on the array's own memory."""
    with warnings.catch_warnings():
        # Arrays from Ray's object store are read-only, and so is everything done with the tensor.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(pixels)
