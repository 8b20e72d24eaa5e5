"""DeepSeek-OCR-2 as vLLM runs it: our vision tower before vLLM's own DeepSeek-V2 mixture of experts.

`fields` says what a page looks like to `embed_multimodal`. How the tower computes can be set through
vLLM's `additional_config`: `{"vision": {…}}` with the fields of `vision.VisionOptions`.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from vllm.config import VllmConfig
from vllm.model_executor.models.interfaces import SupportsMultiModal, SupportsPP
from vllm.model_executor.models.module_mapping import MultiModelKeys
from vllm.model_executor.models.utils import init_vllm_registered_model, maybe_prefix
from vllm.multimodal import MULTIMODAL_REGISTRY
from vllm.sequence import IntermediateTensors

from deployments.model.vllm.fields import MODALITY, PIXELS
from deployments.model.vllm.processing import LargestPages, PageInfo, PageProcessor
from deployments.model.vllm.staging import to_device
from deployments.model.vllm.vision import VisionOptions, VisionTower
from deployments.model.vllm.vision_config import VisionConfig
from deployments.model.vllm.weights import check_language, load_tower
from deployments.tokenizer import IMAGE_TOKEN

OPTIONS = "vision"
"""Key of the tower's options in `additional_config`."""


def vision_options(vllm_config: VllmConfig) -> VisionOptions:
    """How the tower computes on this engine's device.

    Raises:
        ValueError: an option is unknown or has no such value.
    """
    default = VisionOptions() if vllm_config.device_config.device_type == "cuda" else VisionOptions.plain()
    if vllm_config.model_config.enforce_eager:
        default = replace(default, compile=None, cuda_graphs=False)
    given: dict[str, Any] = dict((vllm_config.additional_config or {}).get(OPTIONS, {}))
    try:
        return replace(default, **given)
    except TypeError as error:
        raise ValueError(f"additional_config's {OPTIONS!r} has an unknown option: {error}.") from error


@MULTIMODAL_REGISTRY.register_processor(PageProcessor, info=PageInfo, dummy_inputs=LargestPages)
class DeepseekOCR2ForCausalLM(nn.Module, SupportsMultiModal, SupportsPP):
    """The model; vLLM makes it and calls the methods below."""

    @classmethod
    def get_placeholder_str(cls, modality: str, i: int) -> str | None:
        """A page's mark in a prompt."""
        return IMAGE_TOKEN if modality == MODALITY else None

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        config = vllm_config.model_config.hf_config
        self.config, self.text_config = config, config.text_config
        with self._mark_tower_model(vllm_config, MODALITY):
            self.tower = VisionTower(VisionConfig.from_hf(config), vision_options(vllm_config))
        with self._mark_language_model(vllm_config):
            self.language_model = init_vllm_registered_model(
                vllm_config=vllm_config,
                hf_config=config.text_config,
                prefix=maybe_prefix(prefix, "language_model"),
            )
        self.make_empty_intermediate_tensors = self.language_model.make_empty_intermediate_tensors
        self._warm = False

    def _warm_up(self) -> None:
        # vLLM's first forward pass measures memory: what the tower needs must be part of it. Not every
        # runner shows the tower a page by then, so whichever call comes first sees to it.
        self._warm = True
        if isinstance(self.tower, VisionTower):
            self.tower.finish()
            self.tower.warm_up()

    def embed_multimodal(self, **kwargs: Any) -> tuple[torch.Tensor, ...]:
        """Embeddings of the pages of a step, in their order."""
        if not self._warm:
            self._warm_up()
        views, tiles = zip(*kwargs[PIXELS], strict=True)
        device = self.tower.view_seperator.device
        pages: tuple[torch.Tensor, ...] = self.tower(
            to_device(views, device), to_device(tiles, device), torch.tensor([len(part) for part in tiles])
        )
        return pages

    def forward(
        self,
        input_ids: torch.Tensor | None,
        positions: torch.Tensor,
        intermediate_tensors: IntermediateTensors | None = None,
        inputs_embeds: torch.Tensor | None = None,
        **_: object,
    ) -> torch.Tensor | IntermediateTensors:
        """Hidden states of the language model."""
        if not self._warm:
            self._warm_up()
        hidden: torch.Tensor | IntermediateTensors = self.language_model(
            input_ids, positions, intermediate_tensors, inputs_embeds=inputs_embeds
        )
        return hidden

    def compute_logits(self, hidden_states: torch.Tensor) -> torch.Tensor | None:
        """Scores of the vocabulary."""
        logits: torch.Tensor | None = self.language_model.compute_logits(hidden_states)
        return logits

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """Take the checkpoint's tensors under their published names.

        Raises:
            ConfigurationError: a tensor is missing, misshaped, or of no known name.
        """
        rest = check_language(self.text_config, load_tower(self.tower, weights))
        loaded: set[str] = self.language_model.load_weights(rest)
        own = {f"tower.{name}" for name, _ in self.tower.named_parameters()}
        return own | {f"language_model.{name}" for name in loaded}

    def get_mm_mapping(self) -> MultiModelKeys:
        """Which part is which."""
        return MultiModelKeys.from_string_field(
            language_model="language_model", connector="tower.projector", tower_model="tower"
        )
