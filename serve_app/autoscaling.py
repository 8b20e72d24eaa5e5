"""How many replicas of Model to run, from how busy their engines are.

Serve's own policy divides the pages under way by a target for each replica. That holds where a page takes
the same time however many there are. An engine that writes its pages side by side is faster the fewer it
has: at a fifth of its places it already gives more than half of its pages a second. The same load is then
few pages on many replicas and many on few, and that policy swings between the two, from 64 replicas to 9
and back in the simulation of `docs/scaling.md`. So pages under way are first turned into load.
"""

from typing import Any

from ray.serve.config import AutoscalingContext


class EngineLoad:
    """An autoscaling policy for Serve.

    Where an engine with `n` of its `slots` taken gives `n / (n + half)` of what it could with
    infinitely many (each step has a part that is the same for any number of pages, and one that grows with
    them), its load is `x (1 + k) / (x + k)`, where `x = n / slots` and `k = half / slots`.

    Pages that no replica has yet are to be read within `drain` times the time a page takes in a full engine.
    Engines that are full don't show how much more there is; the replicas are then at least multiplied by
    `growth`.

    Args:
        slots: pages that an engine reads side by side.
        half: pages at which it gives half of its limit, as a share of `slots`. The default is that of an
            H200: a step of 6.4 ms and 0.018 ms a page, 24 ms to read a page, 1,000 steps a page.
        busy: load that each engine should have.
        drain: see above.
        growth: see above.
    """

    def __init__(
        self, slots: int, half: float = 0.15, busy: float = 0.8, drain: float = 4.0, growth: float = 3.0
    ) -> None:
        self._slots, self._half = slots, half
        self._busy, self._drain, self._growth = busy, drain, growth

    def __call__(self, context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
        """Return the replicas wanted; Serve applies delays and bounds."""
        replicas = context.current_num_replicas
        if replicas == 0:
            return context.target_num_replicas, {}
        queued = context.total_queued_requests or 0.0
        taken = context.total_running_requests / replicas / self._slots
        wanted = replicas * self.load(taken) / self._busy
        if taken >= 1:
            wanted = max(wanted, replicas * self._growth)
        return wanted + queued / (self._slots * self._drain), {}

    def load(self, taken: float) -> float:
        """Return the share of its pages a second that an engine gives with a share of its slots taken."""
        return min(taken * (1 + self._half) / (taken + self._half), 1.0)
