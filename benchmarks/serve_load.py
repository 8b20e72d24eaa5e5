"""What the Serve graph costs a page: latency, processor time and memory, with an engine that takes no time.

    python -m benchmarks.serve_load [--concurrent 1 8 64 256] [--pages N] [--rates 0.25 0.5 0.8]

A Ray and a Serve of its own, over HTTP on loopback; the client is this process. Each request is one A4 page
of text as a PDF, drawn at 144 dpi. First so many requests are kept under way at any time (closed loop); then
requests arrive at random at a share of the rate that this reached, whether or not earlier ones are done (open
loop, Poisson arrivals from a seed), each timed from its planned arrival.

`graph_cpu_ms` is the processor time of all of Ray's processes a page, less what Ray uses idle in that time,
less `stages_cpu_ms`: what the stages' own code takes in this process for the same page. Memory is what all
processes hold at most beyond what they held idle, over the requests under way. The last line is JSON.
"""

import argparse
import asyncio
import json
import os
import random
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pymupdf
import ray
from ray import serve
from ray.serve.config import HTTPOptions

from benchmarks.instant_engine import InstantEngine
from benchmarks.plots import plot_serve_load
from benchmarks.ray_processes import Usage, usage
from benchmarks.waiting_engine import ANSWER
from deployments.model.engine import Engine
from deployments.postprocess.postprocessor import Postprocessor
from deployments.preprocess.preprocessor import Preprocessor
from deployments.types import EngineInput, FinishReason, Generation, PageRequest
from serve_app.graph import build_app
from serve_app.settings import Settings, load_settings
from serve_app.sizing import Resources

SEED = 9
IDLE_S = 5.0
WORDS = ("harbour", "ship", "tide", "the", "of", "lamp", "quay", "bell", "and", "pilot", "fog", "channel")


class Memory(threading.Thread):
    """Notes the most memory that Ray's processes hold, four times a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stop_asked.wait(0.25):
            self.most = max(self.most, usage().memory_bytes)

    def stop(self) -> int:
        """Look no more; returns the most that was seen."""
        self._stop_asked.set()
        self.join()
        return self.most


def page_pdf() -> bytes:
    """Return an A4 page of some 450 words."""
    rng = random.Random(SEED)
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    text = " ".join(rng.choice(WORDS) for _ in range(450))
    page.insert_textbox(pymupdf.Rect(60, 60, 535, 780), text, fontsize=11, lineheight=1.4)
    return bytes(document.tobytes())


def stages_ms(document: bytes, settings: Settings, rounds: int = 15) -> float:
    """Return the processor milliseconds of the stages' own code for a page, median."""
    preprocessor = Preprocessor(settings.limits, settings.views, EngineInput.PAGE, None)
    postprocessor = Postprocessor()
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        preprocessor.inspect(document)
        page = preprocessor.prepare(document, 0, PageRequest())
        postprocessor.process(page, Generation(ANSWER, FinishReason.STOP, 1000, 1000))
        taken.append((time.process_time() - started) * 1e3)
    return statistics.median(taken[2:])


@asynccontextmanager
async def client(address: str, most: int) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client with as many connections as requests may be under way."""
    limits = httpx.Limits(max_connections=most + 8, max_keepalive_connections=most + 8)
    async with httpx.AsyncClient(base_url=address, timeout=600, limits=limits) as http:
        yield http


async def ask(http: httpx.AsyncClient, document: bytes) -> bool:
    """Send a page; whether it was read."""
    response = await http.post("/v1/ocr", files={"file": ("page.pdf", document)})
    return response.status_code == 200 and response.json()["usage_info"]["pages_processed"] == 1


async def closed_loop(address: str, document: bytes, concurrent: int, pages: int) -> tuple[list[float], int]:
    """Keep so many requests under way; returns their seconds, and how many failed."""
    seconds: list[float] = []
    failed = 0
    left = iter(range(pages))

    async with client(address, concurrent) as http:

        async def worker() -> None:
            nonlocal failed
            for _ in left:
                started = time.perf_counter()
                read = await ask(http, document)
                failed += not read  # not in one step: others count while this one waits
                seconds.append(time.perf_counter() - started)

        await asyncio.gather(*(worker() for _ in range(concurrent)))
    return seconds, failed


async def open_loop(address: str, document: bytes, rate: float, pages: int) -> tuple[list[float], int]:
    """Send requests at random moments; returns seconds from the planned moment, and failures."""
    rng = random.Random(SEED)
    seconds: list[float] = []
    failed = 0
    async with client(address, pages) as http:
        began = time.perf_counter()

        async def one(moment: float) -> None:
            nonlocal failed
            await asyncio.sleep(max(0.0, began + moment - time.perf_counter()))
            read = await ask(http, document)
            failed += not read
            seconds.append(time.perf_counter() - began - moment)

        moment = 0.0
        tasks = []
        for _ in range(pages):
            moment += rng.expovariate(rate)
            tasks.append(asyncio.create_task(one(moment)))
        await asyncio.gather(*tasks)
    return seconds, failed


def percentiles(seconds: list[float]) -> dict[str, float]:
    """Return the median and the 95th and 99th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive") if len(seconds) > 1 else seconds * 99
    return {name: round(cuts[cut] * 1e3, 1) for name, cut in (("p50_ms", 49), ("p95_ms", 94), ("p99_ms", 98))}


def measured_loop(
    address: str, document: bytes, concurrent: int, pages: int, idle: dict[str, float], stages: float
) -> dict[str, Any]:
    """Run a closed loop and say what it cost a page."""
    memory, before, started = Memory(), usage(), time.perf_counter()
    memory.start()
    seconds, failed = asyncio.run(closed_loop(address, document, concurrent, pages))
    wall, after = time.perf_counter() - started, usage()
    most = memory.stop()
    used = {role: spent * 1e3 / pages for role, spent in after.since(before).items()}
    resting = sum(idle.values()) * wall * 1e3 / pages
    total = sum(used.values())
    return {
        "concurrent": concurrent,
        "pages": pages,
        "failed": failed,
        "pages_per_s": round(pages / wall, 2),
        **percentiles(seconds),
        "cpu_ms_by_role": {role: round(value, 2) for role, value in sorted(used.items()) if value >= 0.005},
        "cpu_ms": round(total, 2),
        "idle_cpu_ms": round(resting, 2),
        "graph_cpu_ms": round(total - resting - stages, 2),
        "memory_mb_per_page": round((most - before.memory_bytes) / 2**20 / concurrent, 2),
    }


def idle_rates() -> dict[str, float]:
    """Return the processor seconds a second that Ray's processes use with nothing to do."""
    before: Usage = usage()
    time.sleep(IDLE_S)
    return {role: seconds / IDLE_S for role, seconds in usage().since(before).items()}


def start_serve() -> str:
    """Start Ray and Serve; returns Serve's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
    return f"http://127.0.0.1:{port}"


def deploy(
    folder: str,
    create: Callable[[], Engine] = InstantEngine,
    model_places: int | None = None,
    **given: dict[str, Any],
) -> Settings:
    """Deploy the graph, of one replica each; called again, it replaces the graph.

    Args:
        folder: for jobs.
        create: makes the engine double.
        model_places: pages that the Model replica takes at once.
        given: other settings.
    """
    one = {"min_replicas": 1, "max_replicas": 1}
    scaling = dict.fromkeys(("ingress", "preprocess", "model", "postprocess"), one)
    scaling["model"] = {**one, "max_ongoing_requests": model_places}
    settings = load_settings({"jobs": {"directory": folder}, "scaling": scaling, **given})
    serve.run(build_app(settings, Resources(cpus=4, gpus=0), create), name="dsocr")
    return settings


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument(
        "--pages", type=int, default=200, help="of each loop, but at least twice as many as under way"
    )
    parser.add_argument(
        "--rates", type=float, nargs="*", default=[0.25, 0.5, 0.8], help="shares of the best rate"
    )
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--name", default="serve_load")
    options = parser.parse_args()
    document = page_pdf()
    with tempfile.TemporaryDirectory() as folder:
        try:
            address, settings = start_serve(), deploy(folder)
            stages = stages_ms(document, settings)
            asyncio.run(closed_loop(address, document, 4, 16))
            idle = idle_rates()
            loops = []
            print(f"{'under way':>9} {'pages/s':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} {'cpu ms':>8} "
                  f"{'graph ms':>8} {'MB/page':>8}")  # fmt: skip
            for concurrent in options.concurrent:
                pages = max(options.pages, 2 * concurrent)
                row = measured_loop(address, document, concurrent, pages, idle, stages)
                loops.append(row)
                print(f"{concurrent:9} {row['pages_per_s']:8.1f} {row['p50_ms']:8.0f} {row['p95_ms']:8.0f} "
                      f"{row['p99_ms']:8.0f} {row['cpu_ms']:8.1f} {row['graph_cpu_ms']:8.1f} "
                      f"{row['memory_mb_per_page']:8.1f}", flush=True)  # fmt: skip
            best = max(row["pages_per_s"] for row in loops)
            arrivals = []
            for share in options.rates:
                seconds, failed = asyncio.run(open_loop(address, document, share * best, options.pages))
                row = {
                    "rate": round(share * best, 2),
                    "share": share,
                    "failed": failed,
                    **percentiles(seconds),
                }
                arrivals.append(row)
                times = ", ".join(f"{cut[:3]} {row[cut]:.0f} ms" for cut in ("p50_ms", "p95_ms", "p99_ms"))
                print(f"arrivals at {row['rate']:.1f}/s: {times}, {failed} failed", flush=True)
        finally:
            serve.shutdown()
            ray.shutdown()
    result = {
        "benchmark": "serve_load",
        "seed": SEED,
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "ray": ray.__version__,
        "stages_cpu_ms": round(stages, 2),
        "idle_cpu_ms_per_s": {role: round(value * 1e3, 2) for role, value in idle.items()},
        "closed_loop": loops,
        "open_loop": arrivals,
    }
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{options.name}.json").write_text(json.dumps(result, indent=1) + "\n")
        plot_serve_load(result, options.out / f"{options.name}.png")
    print(json.dumps(result))


if __name__ == "__main__":
    main()
