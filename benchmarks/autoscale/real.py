"""The Model deployment on a real Serve, over an engine double with an H200's curve, time compressed.

The double sleeps for its cold start and then writes as `EngineTimes` says, on a real clock. The load goes
through a deployment handle, as the ingress sends it; the cluster has several nodes with logical GPUs.
"""

import asyncio
import heapq
import itertools
import logging
import os
import random
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from functools import partial
from typing import Any, ClassVar

import ray
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve._private.common import ReplicaState
from ray.serve.config import AutoscalingConfig

from benchmarks.autoscale.engines import EngineTimes
from benchmarks.autoscale.simulation import Trace, poisson
from benchmarks.patient_ray import started
from deployments.model.deployment import ModelDeployment
from deployments.types import EngineInput, FinishReason, Generation, GenerationOptions, PreparedPage

TICK_S = 0.05
REPORT_S = 1.0


class CurveEngine:
    """Writes pages side by side, the slower the more there are.

    Args:
        times: of the engine.
        cold_start_s: that making it takes.
    """

    name: ClassVar[str] = "curve"
    takes: ClassVar[EngineInput] = EngineInput.PAGE

    def __init__(self, times: EngineTimes, cold_start_s: float) -> None:
        time.sleep(cold_start_s)
        self.model, self.revision = "curve", None
        self._times = times
        self._random = random.Random()
        self._slots = asyncio.Semaphore(times.slots)
        self._pages: list[tuple[float, int, asyncio.Event]] = []
        self._order = itertools.count()
        self._written = self._debt = 0.0
        self._work: asyncio.Task[None] | None = None

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        """Wait until the page is written."""
        async with self._slots:
            end = asyncio.Event()
            self._debt += self._times.read_s
            due = self._written + self._times.steps(self._random)
            heapq.heappush(self._pages, (due, next(self._order), end))
            if self._work is None or self._work.done():
                self._work = asyncio.create_task(self._write())
            await end.wait()
        yield Generation("", FinishReason.STOP, 1000, 1000)

    async def _write(self) -> None:
        last = time.monotonic()
        while self._pages:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            left = now - last - self._debt
            last, self._debt = now, max(-left, 0.0)
            if left > 0:
                step = self._times.step_s + len(self._pages) * self._times.step_s_a_page
                self._written += left / step
            while self._pages and self._pages[0][0] <= self._written:
                heapq.heappop(self._pages)[2].set()

    async def check_health(self) -> None:
        """Always well."""

    async def close(self) -> None:
        """Nothing to free."""


def run_real(
    times: EngineTimes,
    config: AutoscalingConfig,
    load: Callable[[float], float],
    seconds: float,
    *,
    nodes: int,
    replicas_a_node: int,
    max_ongoing: int,
    max_queued: int,
    sleep_s: float,
) -> tuple[Trace, float]:
    """Run a load on a real Serve; returns what happened, and the median cold start that was seen.

    Args:
        times: of the engine double.
        config: of the autoscaler.
        load: pages a second at a time.
        seconds: to run.
        nodes: logical ones beside the head.
        replicas_a_node: for which each has room.
        max_ongoing: pages that a replica takes at once.
        max_queued: pages that wait at the caller.
        sleep_s: of the cold start, that which the double itself takes.
    """
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_SERVE_HANDLE_AUTOSCALING_METRIC_PUSH_INTERVAL_S"] = str(REPORT_S)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="dsocr-", ignore_cleanup_errors=True) as name:
        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 100 * 2**20}
        cluster = started(lambda: Cluster(initialize_head=True, head_node_args={**head, "temp_dir": name}))
        try:
            room = {"num_cpus": 4, "num_gpus": replicas_a_node}
            for _ in range(nodes):
                started(lambda: cluster.add_node(**room, object_store_memory=100 * 2**20))
            ray.init(address=cluster.address, log_to_driver=False, logging_level=logging.WARNING)
            try:
                deployment = serve.deployment(
                    name="Model",
                    max_ongoing_requests=max_ongoing,
                    max_queued_requests=max_queued,
                    graceful_shutdown_timeout_s=60,
                    graceful_shutdown_wait_loop_s=0.5,
                    logging_config={"log_level": "WARNING"},
                    ray_actor_options={"num_cpus": 0.1, "num_gpus": 1},
                    autoscaling_config=config,
                )(ModelDeployment)
                application = deployment.bind(partial(CurveEngine, times, sleep_s), 600.0)
                handle = serve.run(application, name="dsocr", route_prefix=None)
                return asyncio.run(_drive(handle, load, seconds))
            finally:
                serve.shutdown()
                ray.shutdown()
        finally:
            cluster.shutdown()


async def _drive(handle: Any, load: Callable[[float], float], seconds: float) -> tuple[Trace, float]:
    trace, dice = Trace(), random.Random(1)
    page = PreparedPage(0, 10, 10, None, "prompt")
    began = time.monotonic()
    pages: set[asyncio.Task[None]] = set()
    starting: list[float] = []
    cold: list[float] = []

    async def one() -> None:
        sent = time.monotonic()
        try:
            await handle.read.remote(page, GenerationOptions())
        except serve.exceptions.BackPressureError:
            trace.refused += 1
            return
        trace.done += 1
        trace.latencies.append((time.monotonic() - sent, 1))

    async def sample() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(1)
            status = (await asyncio.to_thread(serve.status)).applications["dsocr"].deployments["Model"]
            running = status.replica_states.get(ReplicaState.RUNNING, 0)
            young = status.replica_states.get(ReplicaState.STARTING, 0)
            every = sum(status.replica_states.values())
            now = time.monotonic()
            seen = trace.running[-1] if trace.running else running
            begun = max(running - seen, 0)
            cold.extend(now - since for since in starting[:begun])
            del starting[:begun]
            starting.extend([now] * max(young - len(starting), 0))
            del starting[young:]
            trace.replica_seconds += every * (now - last)
            last = now
            trace.times.append(now - began)
            trace.offered.append(load(now - began))
            trace.running.append(running)
            trace.target.append(running + young)
            trace.under_way.append(len(pages))
            trace.queued.append(0)

    sampling = asyncio.create_task(sample())
    last = began
    while (now := time.monotonic()) - began < seconds:
        for _ in range(poisson(dice, load(now - began) * (now - last))):
            trace.arrived += 1
            task = asyncio.create_task(one())
            pages.add(task)
            task.add_done_callback(pages.discard)
        last = now
        await asyncio.sleep(TICK_S)
    sampling.cancel()
    for task in pages:
        task.cancel()
    await asyncio.gather(*pages, sampling, return_exceptions=True)
    return trace, statistics.median(cold) if cold else 0.0
