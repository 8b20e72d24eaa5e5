"""Reading pages in groups while many others are being written.

Left alone, vLLM admits a waiting page the moment another one ends. With hundreds of pages under way
that is nearly every step: each then carries one page's vision and prefill, is too irregular for the
CUDA graphs that make a decode step cheap, and gives the vision tower a batch of one. Here the places
of ended pages are kept free until a group of pages can be read in one step; all other steps are pure
decode. A page waits for that only while the batch is nearly full, where it would wait anyway.
"""

from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler
from vllm.v1.core.sched.interface import PauseState
from vllm.v1.core.sched.output import SchedulerOutput
from vllm.v1.core.sched.scheduler import Scheduler

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


class GroupScheduler(InGroups):
    """For steps that are planned one after another."""


class AsyncGroupScheduler(InGroups, AsyncScheduler):
    """For steps that are planned while the one before runs."""
