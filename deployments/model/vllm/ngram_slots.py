"""The no-repeat rule for runners that keep every request's tokens on the device, by request slot.

vLLM's newer runner ("V2") gives a running request a slot; its table `all_token_ids` (slots, context)
holds prompt and answer and is written on the device right after sampling, so the rule can be applied
without the host ever seeing a token. Whoever calls these two methods is the business of
`ngram_adapters`.
"""

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from deployments.model.vllm.ngram import ARG_SIZE, ARG_WINDOW, EXCEPTED_TOKENS, ban_repeats, last_tokens


class DeviceTensor(Protocol):
    """vLLM's buffers whose tensor on the device is `gpu`; it may be another tensor in the next step."""

    gpu: torch.Tensor


class RequestTable(Protocol):
    """What is read of vLLM's request states; all of it indexed by slot."""

    max_num_reqs: int
    device: torch.device
    all_token_ids: Any
    prompt_len: Any
    total_len: Any


class SlotRules:
    """Each slot's rule, and its application to a step's logits.

    Args:
        requests: vLLM's request states, only read.
    """

    def __init__(self, requests: RequestTable) -> None:
        self._requests = requests
        self._rules: npt.NDArray[np.int32] = np.zeros((2, requests.max_num_reqs), dtype=np.int32)
        self._on_device = torch.zeros((2, requests.max_num_reqs), dtype=torch.int32, device=requests.device)
        self._excepted = torch.tensor(EXCEPTED_TOKENS, dtype=torch.int32, device=requests.device)
        self._changed = False

    def add_request(self, slot: int, extra_args: dict[str, Any] | None) -> bool:
        """Note the rule of the request that takes `slot`; whether it has one."""
        args = extra_args or {}
        rule = (args.get(ARG_SIZE, 0), args.get(ARG_WINDOW, 0))
        if tuple(self._rules[:, slot]) != rule:
            self._rules[:, slot] = rule
            self._changed = True
        return bool(rule[0])

    def apply_staged_writes(self) -> None:
        """Bring the rules to the device where they changed since the last step."""
        if not self._changed:
            return
        self._changed = False
        # A new pinned copy each time: the transfer runs on after this returns, and PyTorch's pinned
        # allocator keeps the memory until it is done.
        staged = torch.from_numpy(self._rules.copy())
        if self._on_device.is_cuda:
            staged = staged.pin_memory()
        self._on_device.copy_(staged, non_blocking=True)

    def apply(
        self, logits: torch.Tensor, slots: torch.Tensor, slots_on_host: npt.NDArray[np.integer[Any]]
    ) -> None:
        """Apply every rule to its rows, in place.

        Args:
            logits: shape (rows, vocabulary), a row for each request of the step.
            slots: integers, shape (rows,), each row's slot.
            slots_on_host: the slots of the step, on the host.
        """
        max_size, width = (int(most) for most in self._rules[:, slots_on_host].max(axis=1, initial=0))
        if max_size < 2:
            return
        starts, ends = self._requests.prompt_len.gpu[slots], self._requests.total_len.gpu[slots]
        sizes, windows = self._on_device[:, slots]
        recent = last_tokens(self._requests.all_token_ids.gpu, slots, starts, ends, width)
        ban_repeats(logits, recent, ends - starts, sizes, windows, self._excepted, max_size)
