"""An hour of steady load: does the memory of any process grow?

    python -m benchmarks.soak --minutes 60 --out benchmarks/results/soak.json

The whole service runs with an engine double that only waits, and gets a share of the load that it can
take, as single pages, streams, clients that leave, and jobs; every answer is compared with the right one.
What it can take is measured first, by a closed loop that keeps every place of the double taken. Beside it,
the memory of each process is noted. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from benchmarks.chaos import BackgroundLoad, conditions, end_in_order, is_unclear
from benchmarks.faults.load import Load, jobs_lost, pdf
from benchmarks.faults.memory import MemoryWatch
from benchmarks.faults.service import running_service

NODES, SLOTS, LATENCY_S = 1, 4, 2.0
JOB_EVERY_S = 30.0
TELL_S = 120.0
"""Between two writings of the figures so far."""


async def capacity(address: str, places: int, seconds: float) -> float:
    """Return the pages a second of a closed loop that has more under way than there are places."""
    document, ends = pdf(1, 200), []
    stop = time.monotonic() + seconds

    async def worker(client: httpx.AsyncClient) -> None:
        while time.monotonic() < stop:
            reply = await client.post("/v1/ocr", files={"file": ("page.pdf", document)}, data={"dpi": "72"})
            reply.raise_for_status()
            ends.append(time.monotonic())

    async with httpx.AsyncClient(base_url=address, timeout=120) as client:
        await asyncio.gather(*(worker(client) for _ in range(places + places // 2)))
    counted = [end for end in ends if stop - seconds * 0.75 <= end <= stop]
    return len(counted) / (seconds * 0.75)


def run_soak(minutes: float, share: float, warm_up_s: float, tell: Callable[[dict[str, Any]], None]) -> None:
    """Run the load and tell the figures, every few minutes and at the end.

    Args:
        minutes: of load.
        share: of the measured capacity.
        warm_up_s: in which memory may still rise.
        tell: is given the figures so far.
    """
    with running_service(NODES, SLOTS, LATENCY_S, patient=True) as service:
        measured = asyncio.run(capacity(service.address, round(service.capacity * LATENCY_S), 60))
        print(f"capacity {measured:.2f} pages/s of {service.capacity:.2f}", file=sys.stderr, flush=True)
        watch = MemoryWatch(interval_s=20)
        watch.start()
        load = BackgroundLoad(Load(service.address, measured * share, JOB_EVERY_S))
        began = time.monotonic()

        def figures() -> dict[str, Any]:
            tally = load.tally
            failures = tally.failures()
            return {
                "minutes": round((time.monotonic() - began) / 60, 1),
                "engine": f"double: {SLOTS} pages at once, {LATENCY_S} s each, 3 replicas",
                "capacity_pages_per_s": round(measured, 2),
                "load_share": share,
                "requests": len(tally.outcomes),
                "results": tally.results(),
                "failed": len(failures),
                "failed_unclearly": sum(is_unclear(failure.result) for failure in failures),
                "not_sent": tally.not_sent,
                "latency_s": tally.latency(),
                "memory_warm_up_s": warm_up_s,
                "memory": watch.report(warm_up_s),
            }

        while (left := began + minutes * 60 - time.monotonic()) > 0:
            time.sleep(min(left, TELL_S))
            tell(figures())
        watch.stop()
        load.end()
        tell({**figures(), "jobs": jobs_lost(service.address, load.tally.jobs, 300)})


def main() -> None:
    """Run the benchmark."""
    end_in_order()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--share", type=float, default=0.7)
    parser.add_argument("--warm-up", type=float, default=None, help="seconds; by default a sixth of the time")
    parser.add_argument("--out", type=Path, help="written every few minutes, so that an early end leaves it")
    arguments = parser.parse_args()
    warm_up_s = arguments.minutes * 10 if arguments.warm_up is None else arguments.warm_up
    before = conditions()
    result: dict[str, Any] = {}

    def tell(figures: dict[str, Any]) -> None:
        now = [round(load, 1) for load in os.getloadavg()]
        result.update({"benchmark": "soak", **before, "load_average_after": now, **figures})
        if arguments.out:
            arguments.out.write_text(json.dumps(result, indent=1) + "\n")

    run_soak(arguments.minutes, arguments.share, warm_up_s, tell)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
