"""Serve's autoscaler over simulated replicas: the decisions are Serve's own code, the rest is time.

Each tick, pages arrive, the router gives each to the emptier of two replicas drawn at random, and engines
write; every so often the callers report what is under way, and Serve's policy decides on that. Queues are
bounded as in the product; what finds them full is refused. Pages are handled in cohorts of equal length.
"""

import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from unittest import mock

from ray.serve import autoscaling_policy
from ray.serve._private.common import DeploymentID
from ray.serve.autoscaling_policy import _apply_autoscaling_config, replica_queue_length_autoscaling_policy
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from benchmarks.autoscale.engines import EngineTimes

RECORDS_A_REPORT = 5
"""A caller notes what is under way five times between two reports (Serve's own default)."""

Policy = Callable[[AutoscalingContext], Any]


@dataclass(slots=True)
class Replica:
    """An engine, from the decision to start it until it has drained."""

    ready_at: float
    pages: int = 0
    written: float = 0.0
    debt: float = 0.0
    draining: bool = False
    running: list[tuple[float, int, float, int]] = field(default_factory=list)
    waiting: deque[tuple[float, float, int]] = field(default_factory=deque)
    in_slots: int = 0


@dataclass(slots=True)
class Trace:
    """What happened; one entry a sample, but for the latencies."""

    times: list[float] = field(default_factory=list)
    offered: list[float] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    target: list[int] = field(default_factory=list)
    under_way: list[int] = field(default_factory=list)
    queued: list[int] = field(default_factory=list)
    latencies: list[tuple[float, int]] = field(default_factory=list)
    refused: int = 0
    arrived: int = 0
    done: int = 0
    replica_seconds: float = 0.0


class Simulation:
    """A deployment under a load.

    Args:
        engine: of each replica.
        config: Serve's, as the product gives it.
        max_ongoing: pages that a replica takes at once.
        max_queued: pages that wait at the callers.
        report_s: between two reports of the callers.
        tick_s: of simulated time.
        cohort: pages that are handled as one.
        policy: Serve's default, or one of our own.
        seed: of arrivals, lengths and routing.
    """

    def __init__(
        self,
        engine: EngineTimes,
        config: AutoscalingConfig,
        *,
        max_ongoing: int,
        max_queued: int,
        report_s: float = 10.0,
        tick_s: float = 1.0,
        cohort: int = 8,
        policy: Policy = replica_queue_length_autoscaling_policy,
        seed: int = 1,
    ) -> None:
        self._engine, self._config = engine, config
        self._max_ongoing, self._max_queued = max_ongoing, max_queued
        self._report_s, self._tick_s, self._cohort = report_s, tick_s, cohort
        self._policy = _apply_autoscaling_config(policy)
        self._random = random.Random(seed)
        self._replicas = [Replica(ready_at=0.0) for _ in range(config.min_replicas)]
        self._target = config.min_replicas
        self._queue: deque[float] = deque()
        self._records: deque[tuple[float, int, int]] = deque()
        self._seen = self._seen_queued = 0.0
        self._state: dict[str, Any] = {}
        self._order = itertools.count()
        self._now = 0.0

    def run(self, load: Callable[[float], float], seconds: float, sample_s: float = 10.0) -> Trace:
        """Run a load, in pages a second at a time, and return what happened."""
        trace = Trace()
        due_record = due_report = due_sample = 0.0
        clock = SimpleNamespace(time=lambda: self._now)
        with mock.patch.object(autoscaling_policy, "time", clock):
            while self._now < seconds:
                self._arrive(load(self._now) * self._tick_s, trace)
                self._dispatch()
                for replica in self._replicas:
                    self._write(replica, trace)
                trace.replica_seconds += len(self._replicas) * self._tick_s
                self._replicas = [r for r in self._replicas if not (r.draining and r.pages == 0)]
                if self._now >= due_record:
                    self._record()
                    due_record += self._report_s / RECORDS_A_REPORT
                if self._now >= due_report:
                    self._report()
                    due_report += self._report_s
                self._decide()
                if self._now >= due_sample:
                    self._sample(trace, load(self._now))
                    due_sample += sample_s
                self._now += self._tick_s
        return trace

    def _arrive(self, mean: float, trace: Trace) -> None:
        """Let pages arrive, as a Poisson process of cohorts, given the mean number of pages."""
        for _ in range(poisson(self._random, mean / self._cohort)):
            trace.arrived += self._cohort
            if self._queued() >= self._max_queued:
                trace.refused += self._cohort
            else:
                self._queue.append(self._now)

    def _ready(self) -> list[Replica]:
        return [r for r in self._replicas if r.ready_at <= self._now and not r.draining]

    def _dispatch(self) -> None:
        """Give waiting pages to replicas: of two drawn, the one with fewer."""
        ready = self._ready()
        free = [r for r in ready if r.pages + self._cohort <= self._max_ongoing]
        while self._queue and free:
            first, second = self._random.choice(free), self._random.choice(free)
            chosen = first if first.pages <= second.pages else second
            chosen.waiting.append((self._queue.popleft(), self._engine.steps(self._random), self._cohort))
            chosen.pages += self._cohort
            if chosen.pages + self._cohort > self._max_ongoing:
                free.remove(chosen)

    def _write(self, replica: Replica, trace: Trace) -> None:
        """Let an engine work for a tick: read what waits, write what runs."""
        engine = self._engine
        left = self._tick_s - replica.debt
        while replica.waiting and replica.in_slots + self._cohort <= engine.slots and left > 0:
            arrived, steps, pages = replica.waiting.popleft()
            left -= engine.read_s * pages
            entry = (replica.written + steps, next(self._order), arrived, pages)
            heapq.heappush(replica.running, entry)
            replica.in_slots += pages
        replica.debt = max(-left, 0.0)
        if left > 0:
            replica.written += left / (engine.step_s + replica.in_slots * engine.step_s_a_page)
        while replica.running and replica.running[0][0] <= replica.written:
            _, _, arrived, pages = heapq.heappop(replica.running)
            replica.in_slots -= pages
            replica.pages -= pages
            trace.done += pages
            trace.latencies.append((self._now + self._tick_s - arrived, pages))

    def _under_way(self) -> int:
        return sum(r.pages for r in self._replicas if not r.draining) + self._queued()

    def _queued(self) -> int:
        return len(self._queue) * self._cohort

    def _record(self) -> None:
        self._records.append((self._now, self._under_way(), self._queued()))
        while self._records[0][0] < self._now - self._config.look_back_period_s:
            self._records.popleft()

    def _report(self) -> None:
        """Report the mean of the look-back period, as Serve's controller makes it of the notes."""
        self._seen = sum(record[1] for record in self._records) / len(self._records)
        self._seen_queued = sum(record[2] for record in self._records) / len(self._records)

    def _decide(self) -> None:
        """Let Serve's policy decide, and start or drain replicas."""
        ready, config = self._ready(), self._config
        context = AutoscalingContext(
            deployment_id=DeploymentID("Model", "dsocr"),
            deployment_name="Model",
            app_name="dsocr",
            current_num_replicas=len(ready),
            target_num_replicas=self._target,
            running_replicas=[],
            total_num_requests=self._seen,
            total_queued_requests=self._seen_queued,
            aggregated_metrics=None,
            raw_metrics=None,
            capacity_adjusted_min_replicas=config.min_replicas,
            capacity_adjusted_max_replicas=config.max_replicas,
            policy_state=dict(self._state),
            last_scale_up_time=None,
            last_scale_down_time=None,
            current_time=self._now,
            config=config,
        )
        wanted, self._state = self._policy(context)
        self._target = min(max(math.ceil(wanted), config.min_replicas), config.max_replicas)
        kept = [r for r in self._replicas if not r.draining]
        for _ in range(self._target - len(kept)):
            self._replicas.append(Replica(ready_at=self._now + self._engine.cold_start_s))
        # Serve stops those first that have not started yet.
        surplus = sorted(kept, key=lambda r: (r.ready_at <= self._now, r.pages))
        for replica in surplus[: max(len(kept) - self._target, 0)]:
            replica.draining = True

    def _sample(self, trace: Trace, offered: float) -> None:
        trace.times.append(self._now)
        trace.offered.append(offered)
        trace.running.append(len(self._ready()))
        trace.target.append(self._target)
        trace.under_way.append(self._under_way())
        trace.queued.append(self._queued())


def poisson(dice: random.Random, mean: float) -> int:
    """Draw a Poisson number; for large means, the normal distribution's nearest."""
    if mean > 50:
        return max(round(dice.gauss(mean, math.sqrt(mean))), 0)
    limit, product, count = math.exp(-mean), dice.random(), 0
    while product > limit:
        product *= dice.random()
        count += 1
    return count
