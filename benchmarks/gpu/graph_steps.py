"""What is asked of the running graph, step by step. Each step fills in a dictionary as it goes."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from ray.serve.handle import DeploymentHandle

from benchmarks.gpu.asked_engine import engines, last_count, steps
from benchmarks.gpu.cores import engine_cores
from benchmarks.gpu.graph_client import Client, Outcome
from benchmarks.gpu.lengths import UnderWay, page_lengths, pages_under_way
from benchmarks.gpu.load import Answer, Load, closed_loop, figures
from benchmarks.gpu.spec import Phase
from benchmarks.gpu.watch import Watch

Found = dict[str, Any]

PAUSE_S = 0.5
"""Between a refusal and the next page."""


async def concurrent_pages(
    found: Found, client: Client, count: int, mean: float, longest: int, seed: int
) -> None:
    """Send pages all at once."""
    lengths = page_lengths(count, mean, seed, longest).tolist()
    ended: list[tuple[int, Outcome]] = []

    async def one(length: int) -> None:
        ended.append((length, await client.page(length)))

    began = time.time()
    try:
        await asyncio.gather(*(one(length) for length in lengths))
    finally:  # also of what had ended when the step was cut
        seconds = time.time() - began
        outcomes = [outcome for _, outcome in ended]
        answered = sum(outcome.answered for outcome in outcomes)
        found |= {
            "pages": count,
            "answered": answered,
            "of_the_length_asked": sum(outcome.tokens == length for length, outcome in ended),
            "outcomes": _counted(outcomes),
            "output_tokens": sum(outcome.tokens for outcome in outcomes),
            "longest_answer": max(lengths),
            "seconds": round(seconds, 2),
            "pages_per_s": round(answered / seconds, 2),
            "latency_s": _spread([outcome.done - outcome.sent for outcome in outcomes]),
        }


async def streams(found: Found, client: Client, count: int, tokens: int) -> None:
    """Have pages streamed, all at once."""
    outcomes = await asyncio.gather(*(client.stream(tokens) for _ in range(count)))
    times = [[moment for moment, _ in one.deltas] for one in outcomes if len(one.deltas) > 1]
    gaps = [later - sooner for each in times for sooner, later in pairwise(each)]
    found |= {
        "streams": count,
        "tokens_each": tokens,
        "outcomes": _counted(outcomes),
        "first_delta_s": _spread([one.deltas[0][0] - one.sent for one in outcomes if one.deltas]),
        "whole_s": _spread([one.done - one.sent for one in outcomes]),
        "deltas_each": _spread([len(one.deltas) for one in outcomes]),
        "deltas_per_s_each": _spread([(len(each) - 1) / (each[-1] - each[0]) for each in times]),
        "gap_s": _spread(gaps),
        "characters": sum(size for one in outcomes for _, size in one.deltas),
    }


async def leaving(
    found: Found, client: Client, model: DeploymentHandle[Any], out: Path, count: int, tokens: int
) -> None:
    """Leave streams at their first delta, all together, and see when the engine is rid of them."""
    begun, everyone = 0, asyncio.Event()

    async def arrived() -> None:
        nonlocal begun
        begun += 1
        if begun == count:
            everyone.set()
        await everyone.wait()

    leavers = [asyncio.create_task(client.stream(tokens, arrived)) for _ in range(count)]
    try:
        await asyncio.wait_for(everyone.wait(), 30)
    except TimeoutError:
        found["note"] = f"only {begun} of {count} streams began in 30 s"
        everyone.set()
    engine = engines(out)[-1]
    left = time.time()
    found["pages_under_way_before"] = (count_now := last_count(engine)) and count_now.pages
    found["engine_idle_after_s"], found["model_replica_idle_after_s"] = await asyncio.gather(
        _engine_idle(engine, left, 20), _replica_idle(model, left, 20)
    )
    found["outcomes"] = _counted(await asyncio.gather(*leavers))


async def _engine_idle(engine: Path, since: float, limit_s: float) -> float | None:
    """Return after how many seconds the engine had no page under way; None if never."""
    while time.time() < since + limit_s:
        now = await asyncio.to_thread(last_count, engine)
        if now is not None and now.time > since and now.pages == 0:
            return round(now.time - since, 2)
        await asyncio.sleep(0.02)
    return None


async def _replica_idle(model: DeploymentHandle[Any], since: float, limit_s: float) -> float | None:
    """The same, of what the Model replica says of itself."""
    while time.time() < since + limit_s:
        if await asyncio.to_thread(lambda: model.pages_under_way.remote().result(timeout_s=10)) == 0:
            return round(time.time() - since, 2)
        await asyncio.sleep(0.02)
    return None


async def kill(found: Found, client: Client, out: Path, count: int, tokens: int) -> None:
    """Kill the engine's core under pages, and see what becomes of them and when pages are read again.

    Args:
        found: filled in.
        client: of the service.
        out: where engines write their counts.
        count: of pages under way; every second one is a stream.
        tokens: of their answers.
    """
    core = engine_cores()[0]
    engine = engines(out)[-1]
    ways = [client.stream if number % 2 else client.page for number in range(count)]
    under_way = [asyncio.create_task(way(tokens)) for way in ways]
    limit = time.time() + 20
    while time.time() < limit:
        if (now := last_count(engine)) is not None and now.pages >= count:
            break
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    found |= {"in_flight": (now := last_count(engine)) and now.pages, "killed": core.name()}
    core.kill()
    killed = time.time()
    readiness: list[tuple[float, int]] = []
    found["readyz"] = readiness
    watching = asyncio.create_task(_watch_readiness(client, killed, readiness))
    try:
        found["probes"] = probes = []
        while True:
            probe = await client.page(16)
            probes.append((round(probe.sent - killed, 2), round(probe.done - killed, 2), _said(probe)))
            if probe.answered and len(engines(out)) > 1:
                break
            await asyncio.sleep(PAUSE_S)
        found["new_page_read_after_s"] = round(time.time() - killed, 1)
        outcomes = await asyncio.gather(*under_way)
        found["in_flight_pages"] = _counted(outcomes[::2])
        found["in_flight_streams"] = _counted(outcomes[1::2])
        found["in_flight_answered"] = sum(one.answered for one in outcomes)
        found["in_flight_ended_after_s"] = _spread([one.done - killed for one in outcomes])
        found["new_core"] = [process.pid for process in engine_cores()] != [core.pid]
    finally:
        watching.cancel()
        ended = [task.result() for task in under_way if task.done() and not task.cancelled()]
        found.setdefault("in_flight_so_far", _counted(ended))
        for task in under_way:
            task.cancel()
        not_ready = [moment for moment, status in readiness if status != 200]
        ready = [moment for moment, status in readiness if status == 200 and not_ready]
        found["readyz_failed_after_s"] = min(not_ready, default=None)
        found["readyz_well_after_s"] = min(
            (moment for moment in ready if moment > not_ready[0]), default=None
        )


async def _watch_readiness(client: Client, since: float, changes: list[tuple[float, int]]) -> None:
    """Note each change of what `/readyz` answers."""
    while True:
        status = await client.ready()
        if not changes or changes[-1][1] != status:
            changes.append((round(time.time() - since, 2), status))
        await asyncio.sleep(0.25)


class _Target:
    """The service as a target of load; see `benchmarks.gpu.load.Target`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def read(self, number: int, length: int, ngram_size: int) -> Answer:
        return await self._answer(await self._client.page(length))

    async def prime(self, page: UnderWay, ngram_size: int) -> int:
        return (await self._answer(await self._client.prime(page))).tokens

    async def _answer(self, outcome: Outcome) -> Answer:
        if not outcome.answered:
            await asyncio.sleep(PAUSE_S)
        return Answer(outcome.tokens, _said(outcome))


async def throughput(
    found: Found, client: Client, out: Path, watch: Watch, phase: Phase, sequences: int, longest: int
) -> None:
    """Keep as many pages under way as the engine takes, beginning with half-written ones.

    Args:
        found: filled in.
        client: of the service.
        out: where engines write their counts.
        watch: of this process and all that it started.
        phase: the load.
        sequences: pages that the engine writes at a time; a quarter more are under way.
        longest: answer.
    """
    lengths = page_lengths(20_000, phase.mean_tokens, 1, longest).tolist()
    primers = pages_under_way(sequences, phase.mean_tokens, 1, longest)
    in_flight = sequences + sequences // 4
    load = await closed_loop(_Target(client), phase, in_flight, lengths, primers)
    stopped = time.time()
    engine = engines(out)[-1]
    answered = Load(load.began, load.window, [one for one in load.visits if one.tokens], load.reasons)
    found |= {
        "in_flight": in_flight,
        "settle_s": round(phase.settle_s, 1),
        "window_s": round(phase.window_s, 1),
    }
    found |= figures(answered, phase, lengths, steps(engine)) | watch.figures(load.window)
    found["engine_idle_after_all_left_s"] = await _engine_idle(engine, stopped, 5)


def _said(outcome: Outcome) -> str:
    return f"{outcome.status} {outcome.code}"


def _counted(outcomes: Sequence[Outcome]) -> dict[str, int]:
    return dict(Counter(map(_said, outcomes)))


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    """Return the middle, nearly the largest, and the largest."""
    if not values:
        return None
    ordered = sorted(values)
    at = {"p50": 0.5, "p95": 0.95}
    return {name: round(ordered[int(len(ordered) * share)], 3) for name, share in at.items()} | {
        "max": round(ordered[-1], 3)
    }
