"""The no-repeat rule as a logits processor of vLLM's V2 runner.

Importing this fails where vLLM has no interface for one.
"""

import torch
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.worker.gpu.sample.logits_processor import LogitsContext, LogitsProcessor, LogitsProcRequestState

from deployments.model.vllm.ngram_slots import SlotRules


class DeviceProcessor(LogitsProcessor):
    """Hands vLLM's request table and step layout to `SlotRules`."""

    def __init__(self, vllm_config: VllmConfig, req_states: LogitsProcRequestState) -> None:
        self._rules = SlotRules(req_states)

    def add_request(self, req_idx: int, sampling_params: SamplingParams) -> bool:
        """Take the rule of the request in slot `req_idx`; whether it has one."""
        return self._rules.add_request(req_idx, sampling_params.extra_args)

    def apply_staged_writes(self) -> None:
        """Bring changed rules to the device."""
        self._rules.apply_staged_writes()

    def apply(self, logits: torch.Tensor, ctx: LogitsContext) -> torch.Tensor:
        """Ban what the rules ban, in place."""
        self._rules.apply(logits, ctx.expanded_idx_mapping, ctx.idx_mapping_np)
        return logits
