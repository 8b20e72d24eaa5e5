"""How long an engine takes for pages, as measured, without the engine.

The H200's times come from two measurements (`benchmarks/results/`): 20 streams of 500 tokens took 4.19 s,
and 1,024 sequences gave 20.6 pages a second of 1,000 tokens at 20.3 steps a second. Between them a step's
time is taken to grow evenly with the sequences; beside the steps, each page costs its vision tower and
prompt (14.4 ms measured, and 1,130 tokens at about 16,384 tokens in 150 ms). A third measurement, 200
pages at once answered in 19.2 s (`graph_check_first_start_h200`), is what the model is held against
(`tests/benchmarks/test_autoscaling.py`).
"""

import math
import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineTimes:
    """An engine that writes all its pages side by side.

    Attributes:
        slots: pages that it writes at once; more wait within it.
        step_s: seconds of a step without a page.
        step_s_a_page: seconds that each page adds to a step.
        read_s: seconds that reading a page takes before it is written, in which nothing is written.
        tokens: mean steps of a page.
        spread: sigma of the log-normal distribution of steps; None for evenly from half to one and a half.
        longest: most steps of a page.
        cold_start_s: from the decision to the first page.
    """

    slots: int
    step_s: float
    step_s_a_page: float
    read_s: float
    tokens: float
    spread: float | None
    longest: float
    cold_start_s: float

    def pages_per_s(self) -> float:
        """Return what the engine gives with every slot taken."""
        step = self.step_s + self.slots * self.step_s_a_page
        return 1 / (self.read_s + self.tokens * step / self.slots)

    def steps(self, dice: random.Random) -> float:
        """Draw the steps of a page."""
        if self.spread is None:
            return self.tokens * dice.uniform(0.5, 1.5)
        drawn = dice.lognormvariate(0, self.spread) * self.tokens / math.exp(self.spread**2 / 2)
        return min(drawn, self.longest)


H200 = EngineTimes(
    slots=1024,
    step_s=0.0064,
    step_s_a_page=0.0000178,
    read_s=0.024,
    tokens=1000,
    spread=0.4,
    longest=7000,
    cold_start_s=173,
)


def waiting(slots: int, latency_s: float, cold_start_s: float) -> EngineTimes:
    """Return the times of a double that only waits, whatever else it has."""
    return EngineTimes(slots, latency_s / 100, 0, 0, 100, None, 1e9, cold_start_s)
