"""The Serve graph with more to do than it can: requests at twice its capacity, 200 streams, jobs cancelled.

    python -m benchmarks.serve_overload --out benchmarks/results/serve_overload.json

A Ray and a Serve of its own on loopback, the graph as it is shipped, over an engine double that only waits
(`benchmarks/typing_engine.py`); the client is this process.

- Overload: requests of one page arrive at random (Poisson, from a seed), first at 0.8, then at twice the
  pages a second that the double reads. The ingress lets in twice as many requests as the double has places.
  Latency is of those that were answered with 200, by quarters of the time; memory is each process's own.
- Jobs: from `DELETE /v1/jobs/{id}` until the model has no page of the job any more.
- Streams: so many at once; each is silent until all are there, then all are written at once.

The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import random
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import ray
from ray import serve

from benchmarks.faults.load import pdf, refusal
from benchmarks.faults.memory import MemoryWatch
from benchmarks.serve_load import SEED, client, deploy, percentiles, start
from benchmarks.typing_engine import PIECES, TypingEngine
from benchmarks.waiting_engine import ANSWER
from serve_app.environment import prepare_ray

QUARTERS = 4
HEARTBEAT_S = 2.0
STALL_S = 600.0
"""On a busy machine the first stream may wait long for the last one."""

JOB_PAGES = 40
OURS = ("ray::ServeReplica:", "ray::ProxyActor", "load generator")
"""Processes whose memory a request passes through."""


class Answer(NamedTuple):
    """How a request ended; seconds are from its planned arrival."""

    planned: float
    seconds: float
    result: str
    retry_after: str


async def offered(address: str, rate: float, seconds: float) -> list[Answer]:
    """Send requests of one page at random moments, and wait for all answers."""
    rng = random.Random(SEED)
    document, answers = pdf(1, 200), []
    moments = [rng.expovariate(rate)]
    while moments[-1] < seconds:
        moments.append(moments[-1] + rng.expovariate(rate))
    async with client(address, len(moments)) as http:
        began = time.perf_counter()

        async def one(moment: float) -> None:
            await asyncio.sleep(max(0.0, began + moment - time.perf_counter()))
            try:
                reply = await http.post("/v1/ocr", files={"file": ("a.pdf", document)}, data={"dpi": "72"})
                result = "ok" if reply.status_code == 200 else refusal(reply)
                retry = reply.headers.get("retry-after", "")
            except httpx.HTTPError as error:
                result, retry = f"connection {type(error).__name__}", ""
            answers.append(Answer(moment, time.perf_counter() - began - moment, result, retry))

        await asyncio.gather(*(one(moment) for moment in moments))
    return answers


def of_load(answers: list[Answer], share: float, seconds: float) -> dict[str, Any]:
    """Say what became of the requests of one load."""
    quarters = []
    for number in range(QUARTERS):
        low, high = (seconds * each / QUARTERS for each in (number, number + 1))
        taken = [each.seconds for each in answers if each.result == "ok" and low <= each.planned < high]
        quarters.append({"answered": len(taken), **(percentiles(taken) if taken else {})})
    refused = [each for each in answers if each.result.startswith("429")]
    return {
        "share": share,
        "seconds": seconds,
        "requests": len(answers),
        "results": dict(Counter(each.result for each in answers)),
        "answered": percentiles([each.seconds for each in answers if each.result == "ok"]),
        "by_quarter": quarters,
        "refused": percentiles([each.seconds for each in refused]) if refused else {},
        "retry_after_s": dict(Counter(each.retry_after for each in refused)),
    }


def overload(address: str, capacity: float, seconds: float) -> dict[str, Any]:
    """Offer less, then twice as much as the graph can take."""
    loads = []
    asyncio.run(offered(address, capacity * 0.8, min(seconds, 20)))  # not counted: everything starts
    for share in (0.8, 2.0):
        watch = MemoryWatch(interval_s=seconds / 40)
        watch.start()
        answers = asyncio.run(offered(address, capacity * share, seconds))
        watch.stop()
        loads.append(of_load(answers, share, seconds))
        loads[-1]["memory"] = [row for row in watch.report(seconds / 10) if row["process"].startswith(OURS)]
        print(json.dumps(loads[-1]["answered"] | loads[-1]["results"]), flush=True)
    return {"capacity_pages_per_s": capacity, "loads": loads}


def cancelled_jobs(address: str, times: int) -> list[float]:
    """Cancel jobs in the middle; return the seconds until the model had none of their pages."""
    model = serve.get_deployment_handle("Model", "dsocr")
    taken = []
    with httpx.Client(base_url=address, timeout=120) as http:
        for _ in range(times):
            sent = http.post("/v1/jobs", files={"file": ("job.pdf", pdf(JOB_PAGES, 200))}, data={"dpi": "72"})
            sent.raise_for_status()
            while model.pages_under_way.remote().result() == 0:
                time.sleep(0.05)
            began = time.perf_counter()
            http.delete(f"/v1/jobs/{sent.json()['id']}").raise_for_status()
            while model.pages_under_way.remote().result() > 0:
                time.sleep(0.01)
            taken.append(round(time.perf_counter() - began, 3))
    print(f"jobs cancelled: {taken} s", flush=True)
    return taken


class Streams:
    """Reads many streams at once, and notes what came when."""

    def __init__(self) -> None:
        self.open = self.most_open = 0
        self.ended: Counter[str] = Counter()
        self.deltas: list[int] = []
        self.heartbeats: list[int] = []
        self.gaps: list[float] = []

    async def read(self, http: httpx.AsyncClient, document: bytes) -> None:
        """Read one stream to its end."""
        deltas = heartbeats = 0
        text, event, result, longest = "", "", "broke off", 0.0
        files, data = {"file": ("a.pdf", document)}, {"dpi": "72", "stream": "true"}
        async with http.stream("POST", "/v1/ocr", files=files, data=data) as reply:
            if reply.status_code != 200:
                self.ended[str(reply.status_code)] += 1
                return
            self.open += 1
            self.most_open = max(self.most_open, self.open)
            last = time.perf_counter()
            async for line in reply.aiter_lines():
                longest, last = max(longest, time.perf_counter() - last), time.perf_counter()
                heartbeats += line.startswith(":")
                if line.startswith("event: "):
                    event = line.removeprefix("event: ")
                elif line.startswith("data: ") and event == "page.delta":
                    deltas += 1
                    text += json.loads(line.removeprefix("data: "))["text"]
                elif line.startswith("data: ") and event == "done":
                    result = "whole" if text == ANSWER else "wrong"
            self.open -= 1
        self.ended[result] += 1
        self.deltas.append(deltas)
        self.heartbeats.append(heartbeats)
        self.gaps.append(longest)


def many_streams(address: str, count: int) -> dict[str, Any]:
    """Read so many streams at once."""
    streams, document = Streams(), pdf(1, 200)

    async def run() -> None:
        async with client(address, count) as http:
            await asyncio.gather(*(streams.read(http, document) for _ in range(count)))

    began = time.perf_counter()
    asyncio.run(run())
    result = {
        "streams": count,
        "seconds": round(time.perf_counter() - began, 1),
        "ended": dict(streams.ended),
        "most_open_at_once": streams.most_open,
        "pieces_written_each": PIECES,
        "deltas_each": {"least": min(streams.deltas), "most": max(streams.deltas)},
        "heartbeats_each": {"least": min(streams.heartbeats), "most": max(streams.heartbeats)},
        "heartbeat_s": HEARTBEAT_S,
        "longest_silence": percentiles(streams.gaps),
    }
    print(json.dumps(result), flush=True)
    return result


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--slots", type=int, default=8, help="pages that the double reads at once")
    parser.add_argument("--latency", type=float, default=2.0, help="its seconds for a page")
    parser.add_argument("--seconds", type=float, default=120, help="of each load")
    parser.add_argument("--jobs", type=int, default=5)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--out", type=Path, default=None)
    options = parser.parse_args()
    prepare_ray()
    load = [round(os.getloadavg()[0])]
    with tempfile.TemporaryDirectory() as folder:
        try:
            address = start()
            engine = partial(TypingEngine, options.slots, options.latency)
            deploy(folder, engine, 2 * options.slots, api={"max_concurrent_requests": 2 * options.slots})
            loaded = overload(address, options.slots / options.latency, options.seconds)
            jobs = cancelled_jobs(address, options.jobs)
            deploy(
                folder,
                partial(TypingEngine, options.streams, options.latency),
                options.streams,
                api={"max_concurrent_requests": options.streams, "heartbeat_s": HEARTBEAT_S},
                model={"stall_timeout_s": STALL_S},
            )
            streams = many_streams(address, options.streams)
        finally:
            serve.shutdown()
            ray.shutdown()
    load.append(round(os.getloadavg()[0]))
    result = {
        "benchmark": "serve_overload",
        "seed": SEED,
        "machine": f"{os.cpu_count()} cores, load {load[0]} before and {load[1]} after",
        "ray": ray.__version__,
        "engine": f"double: {options.slots} pages at once, {options.latency} s each",
        "overload": loaded,
        "job_delete_to_free_s": jobs,
        "streams": streams,
    }
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
