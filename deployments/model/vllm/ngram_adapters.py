"""How the no-repeat rule enters vLLM's two model runners.

vLLM's own `NGramPerReqLogitsProcessor` calls Python once per request and step, which takes a third of
the decode speed at 512 requests, and as a custom processor it keeps vLLM 0.26 from using the runner
that never waits for a token on the host. So the rule enters in one of three ways, chosen by `compat`:

- runner V2 with a processor interface (0.32): `ngram_device.DeviceProcessor` reads the request table
  on the device;
- runner V2 without one (0.26): `rule_in_bad_words()` makes the same part of the sampler's bad-words
  state, which is called at the right place with everything that is needed, and is replaced before
  the runner is built. Nothing else of the sampler is touched, and custom processors stay unused;
- runner V1 (CPU, and where V2 can't be used): `HostProcessor`. Here token ids exist as Python lists;
  the last `window` of each are gathered, and compared in one batch. The lists are complete when
  `apply` runs, also under asynchronous scheduling, for which vLLM waits for the last step's tokens.
"""

from typing import Any

import numpy as np
import torch
from vllm import SamplingParams
from vllm.config import VllmConfig
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

from deployments.model.vllm.ngram import ARG_SIZE, ARG_WINDOW, EXCEPTED_TOKENS, NO_TOKEN, ban_repeats
from deployments.model.vllm.ngram_slots import SlotRules

Rule = tuple[int, int, list[int]]
"""Size, window, and vLLM's own list of the answer's tokens, which it appends to."""


class HostProcessor(LogitsProcessor):
    """The rule for runner V1."""

    def __init__(self, vllm_config: VllmConfig, device: torch.device, is_pin_memory: bool) -> None:
        self._device, self._pin = device, is_pin_memory
        self._excepted = torch.tensor(EXCEPTED_TOKENS, device=device)
        self._rules: dict[int, Rule] = {}

    def is_argmax_invariant(self) -> bool:
        """The rule may ban the likeliest token."""
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        """Follow requests as they leave, join and change rows; the order is vLLM's."""
        if batch_update is None:
            return
        rules = self._rules
        for row in batch_update.removed:
            rules.pop(row, None)
        for row, params, _, answer in batch_update.added:
            args = params.extra_args or {}
            rules.pop(row, None)
            if args.get(ARG_SIZE):
                rules[row] = (args[ARG_SIZE], args[ARG_WINDOW], answer)
        for source, target, direction in batch_update.moved:
            moving, staying = rules.pop(source, None), rules.pop(target, None)
            if moving is not None:
                rules[target] = moving
            if staying is not None and direction == MoveDirectionality.SWAP:
                rules[source] = staying

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """Ban what the rules ban, in place."""
        rules = {row: rule for row, rule in self._rules.items() if len(rule[2]) >= rule[0]}
        if not rules:
            return logits
        rows, width = logits.shape[0], max(window for _, window, _ in rules.values())
        table = np.full((rows, width + 3), NO_TOKEN, dtype=np.int64)
        table[:, width:] = 0
        for row, (size, window, answer) in rules.items():
            last = answer[-width:]
            table[row, width - len(last) : width] = last
            table[row, width:] = len(answer), size, window
        staged = torch.from_numpy(table)
        if self._pin:
            staged = staged.pin_memory()
        on_device = staged.to(self._device, non_blocking=True)
        lengths, sizes, windows = on_device[:, width:].unbind(dim=1)
        max_size = max(size for size, _, _ in rules.values())
        ban_repeats(logits, on_device[:, :width], lengths, sizes, windows, self._excepted, max_size)
        return logits


def rule_in_bad_words(bad_words: type) -> type:
    """A bad-words state for the V2 sampler that applies the no-repeat rule after the bad words."""

    class BadWordsAndRepeats(bad_words):  # type: ignore[valid-type, misc]  # its base is only known where vLLM runs
        def __init__(self, req_states: Any) -> None:
            super().__init__(req_states)
            self._rules = SlotRules(req_states)

        def add_request(self, req_idx: int, sampling_params: SamplingParams) -> None:
            super().add_request(req_idx, sampling_params)
            self._rules.add_request(req_idx, sampling_params.extra_args)

        def apply_staged_writes(self) -> None:
            super().apply_staged_writes()
            self._rules.apply_staged_writes()

        def apply_bad_words(
            self,
            logits: torch.Tensor,
            expanded_idx_mapping: torch.Tensor,
            idx_mapping_np: np.ndarray[Any, Any],
            *rest: Any,
            **named: Any,
        ) -> None:
            super().apply_bad_words(logits, expanded_idx_mapping, idx_mapping_np, *rest, **named)
            self._rules.apply(logits, expanded_idx_mapping, idx_mapping_np)

    return BadWordsAndRepeats
