"""What vLLM asks about a page's size, and the largest page it may try at start.

Pages come to the engine already processed (see `fields`), so there is no processor in vLLM's sense:
it would fit pictures to views, and that is done long before. What remains are token counts, and the
dummy page with which vLLM measures its memory.
"""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Never

import torch
from vllm.inputs import MultiModalInput, mm_input
from vllm.multimodal.inputs import PlaceholderRange
from vllm.multimodal.parse import ModalityDataItems, MultiModalDataParser, ProcessorBatchItems
from vllm.multimodal.processing import BaseDummyInputsBuilder, BaseMultiModalProcessor, BaseProcessingInfo

from deployments.model.vllm.fields import MAX_TILES, MODALITY, image_token_count, page_items
from deployments.model.vllm.vision_config import VisionConfig
from deployments.tokenizer import IMAGE_TOKEN_ID

REFUSAL = (
    "This model takes pages that are already cut into views: "
    "build its input with deployments.model.vllm.inputs."
)


class LargestPage:
    """Stands for a page with all the tiles it may have."""


class PageItems(ProcessorBatchItems[LargestPage]):
    """Largest pages, as vLLM carries what it has yet to process."""


class PageParser(MultiModalDataParser):
    """Takes largest pages and nothing else."""

    def _parse_image_data(self, data: Any) -> ModalityDataItems[Any, Any]:
        if not all(isinstance(item, LargestPage) for item in data):
            raise ValueError(REFUSAL)
        return PageItems(data, MODALITY)


class PageInfo(BaseProcessingInfo):
    """Sizes of pages."""

    def get_supported_mm_limits(self) -> Mapping[str, int | None]:
        """One page a request."""
        return {MODALITY: 1}

    def get_data_parser(self) -> MultiModalDataParser:
        """The parser of dummy pages."""
        return PageParser()

    def get_mm_max_tokens_per_item(self, seq_len: int, mm_counts: Mapping[str, int]) -> Mapping[str, int]:
        """Tokens of the largest page; vLLM's encoder budget is a multiple of it."""
        return {MODALITY: self.token_count(self.vision, MAX_TILES)}

    @property
    def vision(self) -> VisionConfig:
        """The tower's dimensions."""
        return VisionConfig.from_hf(self.get_hf_config())

    @staticmethod
    def token_count(vision: VisionConfig, tiles: int) -> int:
        """Placeholders of a page with this many tiles."""
        return image_token_count(tiles, tile_tokens=vision.tile_tokens, view_tokens=vision.view_tokens)


class LargestPages(BaseDummyInputsBuilder[PageInfo]):
    """What vLLM tries at start."""

    def get_dummy_text(self, mm_counts: Mapping[str, int]) -> str:
        """No text: the processor writes the tokens."""
        return ""

    def get_dummy_mm_data(
        self, seq_len: int, mm_counts: Mapping[str, int], mm_options: object
    ) -> dict[str, Any]:
        """As many largest pages as asked for."""
        return {MODALITY: [LargestPage() for _ in range(mm_counts.get(MODALITY, 0))]}


class PageProcessor(BaseMultiModalProcessor[PageInfo]):
    """Makes largest pages, and refuses to process any other."""

    requires_tokenizer = False

    def apply(self, inputs: Any, timing_ctx: object) -> MultiModalInput:
        """The engine's input for largest pages.

        Args:
            inputs: vLLM's `ProcessorInputs`, with items that `PageParser` let through.
            timing_ctx: not used.
        """
        vision, count = self.info.vision, inputs.mm_data_items.get_all_counts().get(MODALITY, 0)
        if count == 0:
            raise ValueError(REFUSAL)
        length = self.info.token_count(vision, MAX_TILES)
        page = (
            torch.zeros((1, vision.image_size, vision.image_size, 3), dtype=torch.uint8),
            torch.zeros((MAX_TILES, vision.tile_size, vision.tile_size, 3), dtype=torch.uint8),
        )
        return mm_input(
            prompt_token_ids=[IMAGE_TOKEN_ID] * (count * length),
            mm_kwargs=page_items([page] * count),
            mm_hashes={MODALITY: [uuid.uuid4().hex for _ in range(count)]},
            mm_placeholders={
                MODALITY: [PlaceholderRange(offset=i * length, length=length) for i in range(count)]
            },
        )

    def _get_mm_fields_config(self, *_: object) -> Never:
        raise NotImplementedError(REFUSAL)

    def _get_prompt_updates(self, *_: object) -> Sequence[Never]:
        raise NotImplementedError(REFUSAL)
