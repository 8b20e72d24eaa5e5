"""Reading pages in groups while many others are being written.

Left alone, vLLM admits a waiting page the moment another one ends. With hundreds of pages under way
that is nearly every step: each then carries one page's vision and prefill, is too irregular for the
CUDA graphs that make a decode step cheap, and gives the vision tower a batch of one. Here the places
of ended pages are kept free until a group of pages can be read in one step; all other steps are pure
decode. A page waits for that only while the batch is nearly full, where it would wait anyway.

A step of a thousand pages also asks a thousand times for images that were read long ago, and for room
in the KV cache that the page's last block has. Both questions are answered here for the common case;
together they took an eighth of the core's time, which at this size is what pages wait for.
"""

from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.interface import PauseState
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.request import Request

import deployments.model.vllm.plugin  # noqa: F401 - goes to vLLM's processes with the scheduler's class

GROUP = "pages_read_together"
"""Key of the group's size in `additional_config`."""

SMALLEST_SHARE = 32
"""A group is at most this fraction of the batch: few places stand empty, small batches are left alone."""


class InGroups(Scheduler):
    """Holds waiting pages back while fewer places than a group are free."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        wanted = int((self.vllm_config.additional_config or {}).get(GROUP, 1))
        self._group = min(wanted, self.max_num_running_reqs // SMALLEST_SHARE)
        self._encoder_lists: int | None = None
        if RoomInLastBlock.suits(self.kv_cache_manager):
            self.kv_cache_manager.allocate_slots = RoomInLastBlock(self.kv_cache_manager)

    def schedule(self, *args: Any, **kwargs: Any) -> SchedulerOutput:
        """Plan a step; see `Scheduler.schedule`."""
        free = self.max_num_running_reqs - len(self.running)
        if self.pause_state != PauseState.UNPAUSED or not 0 < free < self._group:
            return super().schedule(*args, **kwargs)
        # What vLLM has for pausing does just this: running pages go on, no new one begins.
        self.set_pause_state(PauseState.PAUSED_NEW)
        try:
            return super().schedule(*args, **kwargs)
        finally:
            self.set_pause_state(PauseState.UNPAUSED)

    def _try_schedule_encoder_inputs(
        self,
        request: Request,
        num_computed_tokens: int,
        num_new_tokens: int,
        encoder_compute_budget: int,
        *rest: Any,
        **named: Any,
    ) -> tuple[Any, ...]:
        """Say which images a step must read for a page; none once its prompt, where they stand, is read."""
        if self._encoder_lists is not None and num_computed_tokens >= request.num_prompt_tokens:
            # How many lists of images follow differs between releases; each is empty.
            lists: tuple[list[int], ...] = tuple([] for _ in range(self._encoder_lists))
            return [], num_new_tokens, encoder_compute_budget, *lists
        found: tuple[Any, ...] = super()._try_schedule_encoder_inputs(
            request, num_computed_tokens, num_new_tokens, encoder_compute_budget, *rest, **named
        )
        self._encoder_lists = len(found) - 3
        return found


class RoomInLastBlock:
    """Stands before `KVCacheManager.allocate_slots` and answers where nothing has to be allocated.

    Args:
        manager: of one kind of cache, every block of which a page keeps until it ends.
    """

    def __init__(self, manager: Any) -> None:
        self._ask = manager.allocate_slots
        self._nothing = manager.empty_kv_cache_blocks
        (blocks,) = manager.coordinator.single_type_managers
        self._blocks, self._block_size = blocks.req_to_blocks, blocks.block_size

    @staticmethod
    def suits(manager: Any) -> bool:
        """Whether the manager keeps blocks in that simple way: full attention, no prefix cache."""
        kinds: Any = getattr(manager.coordinator, "single_type_managers", ())
        return (
            len(kinds) == 1
            and type(kinds[0]).__name__ == "FullAttentionManager"
            and hasattr(kinds[0], "req_to_blocks")
            and not manager.enable_caching
        )

    def __call__(
        self, request: Request, num_new_tokens: int, *, num_lookahead_tokens: int = 0, **named: Any
    ) -> Any:
        """Return the blocks added for a request's next tokens, or None; see `KVCacheManager`."""
        if not named and num_new_tokens:
            held = self._blocks.get(request.request_id)
            needed = request.num_computed_tokens + num_new_tokens + num_lookahead_tokens
            if held and needed <= len(held) * self._block_size:
                return self._nothing
        return self._ask(request, num_new_tokens, num_lookahead_tokens=num_lookahead_tokens, **named)


class GroupScheduler(InGroups):
    """For steps that are planned one after another."""


class AsyncGroupScheduler(InGroups, AsyncScheduler):
    """For steps that are planned while the one before runs."""


def scheduler_class(plans_ahead: bool) -> type[InGroups]:
    """The scheduler for one of both ways of planning steps."""
    return AsyncGroupScheduler if plans_ahead else GroupScheduler
