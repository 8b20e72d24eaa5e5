"""What the Serve graph costs a page: latency, processor time and memory, with an engine that takes no time.

    python -m benchmarks.serve_load [--concurrent 1 8 64 256] [--pages N] [--rates 0.25 0.5 0.8]

A Ray and a Serve of its own, over HTTP on loopback; the client is this process. A request is an A4 page of
text as a PDF, drawn at 144 dpi, or such a document of `--book` pages. First so many requests are kept under
way at any time (closed loop); then requests of one page arrive at random at a share of the rate that this
reached, whether or not earlier ones are done (open loop, Poisson arrivals from a seed), each timed from its
planned arrival. Each closed loop is run `--rounds` times, all of them in turn; its row has the medians.

`graph_cpu_ms` is the processor time of all processes that a page goes through (proxy, replicas, raylet,
sandbox), less what they use idle in that time, less `stages_cpu_ms`: what the same page takes where there is
no graph, as `dsocr convert` has it: inspected, drawn in the sandbox, stood upright, and postprocessed, but
not read by an engine. That is measured in this process at the beginning and at the end. `empty` is an
application of Serve that does nothing in the same hops (`empty_serve`): no graph of these hops can cost less.
Memory is what all processes hold at most beyond what they held idle, over the requests under way. The last
line is JSON.
"""

import argparse
import asyncio
import os
import random
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import psutil
import pymupdf
import ray
from ray import serve

from benchmarks.empty_serve import ROUTE, empty_app
from benchmarks.final_result import hand_out
from benchmarks.instant_engine import InstantEngine
from benchmarks.plots import plot_serve_load
from benchmarks.ray_processes import Usage, usage
from benchmarks.waiting_engine import ANSWER
from deployments.model.engine import Engine
from deployments.postprocess.postprocessor import Postprocessor
from deployments.types import EngineInput, FinishReason, Generation, PageRequest
from serve_app.environment import prepare_ray
from serve_app.graph import build_app
from serve_app.server import start_serve
from serve_app.settings import HttpSettings, Settings, load_settings
from serve_app.sizing import Resources

SEED = 9
ELSEWHERE = {"controller", "gcs", "agents", "jobrunner", "other"}
"""Processes that no page goes through: what they use, they use at any load."""

IDLE_S = 10.0
STAGE_ROUNDS = 60
WORDS = ("harbour", "ship", "tide", "the", "of", "lamp", "quay", "bell", "and", "pilot", "fog", "channel")


@dataclass(frozen=True, slots=True)
class Load:
    """One kind of closed loop.

    Attributes:
        path: asked.
        document: sent.
        document_pages: of it.
        concurrent: requests under way at any time.
        requests: in all.
    """

    path: str
    document: bytes
    document_pages: int
    concurrent: int
    requests: int

    @property
    def pages(self) -> int:
        """Pages in all."""
        return self.requests * self.document_pages


class Memory(threading.Thread):
    """Notes the most memory that Ray's processes hold, once a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Look until stopped."""
        while not self._stop_asked.wait(1.0):
            self.most = max(self.most, usage().memory_bytes)

    def stop(self) -> int:
        """Look no more; returns the most that was seen."""
        self._stop_asked.set()
        self.join()
        return self.most


def pdf(pages: int) -> bytes:
    """Return A4 pages of some 450 words each."""
    rng = random.Random(SEED)
    document = pymupdf.open()
    for _ in range(pages):
        page = document.new_page(width=595, height=842)
        text = " ".join(rng.choice(WORDS) for _ in range(450))
        page.insert_textbox(pymupdf.Rect(60, 60, 535, 780), text, fontsize=11, lineheight=1.4)
    return bytes(document.tobytes())


def stages_ms(document: bytes, settings: Settings) -> float:
    """Return the processor milliseconds of the stages' own code for a document of one page, mean."""
    preparation = settings.preparation(EngineInput.PAGE)
    preprocessor, postprocessor = preparation.preprocessor(), Postprocessor()

    def rounds(count: int) -> None:
        for _ in range(count):
            preprocessor.inspect(document)
            page = preprocessor.prepare(document, 0, PageRequest())
            postprocessor.process(page, Generation(ANSWER, FinishReason.STOP, 1000, 1000))

    before = {child.pid for child in psutil.Process().children()}
    rounds(2)
    children = [child for child in psutil.Process().children() if child.pid not in before]

    def spent() -> float:
        times = [child.cpu_times() for child in children]
        return time.process_time() + sum(each.user + each.system for each in times)

    started = spent()
    rounds(STAGE_ROUNDS)
    taken = spent() - started
    preparation.close()
    return taken * 1e3 / STAGE_ROUNDS


@asynccontextmanager
async def client(address: str, most: int) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client with as many connections as requests may be under way."""
    limits = httpx.Limits(max_connections=most + 8, max_keepalive_connections=most + 8)
    async with httpx.AsyncClient(base_url=address, timeout=600, limits=limits) as http:
        yield http


async def ask(http: httpx.AsyncClient, path: str, document: bytes, pages: int) -> bool:
    """Send a document; whether all of it was read."""
    response = await http.post(path, files={"file": ("page.pdf", document)})
    return response.status_code == 200 and response.json()["usage_info"]["pages_processed"] == pages


async def closed_loop(address: str, load: Load) -> tuple[list[float], int]:
    """Keep so many requests under way; returns their seconds, and how many failed."""
    seconds: list[float] = []
    failed = 0
    left = iter(range(load.requests))

    async with client(address, load.concurrent) as http:

        async def worker() -> None:
            nonlocal failed
            for _ in left:
                started = time.perf_counter()
                read = await ask(http, load.path, load.document, load.document_pages)
                failed += not read  # not in one step: others count while this one waits
                seconds.append(time.perf_counter() - started)

        await asyncio.gather(*(worker() for _ in range(load.concurrent)))
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
            read = await ask(http, "/v1/ocr", document, 1)
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


def measured_loop(address: str, load: Load, idle: dict[str, float]) -> dict[str, Any]:
    """Run a closed loop and say what it cost a page."""
    memory, before, started = Memory(), usage(), time.perf_counter()
    memory.start()
    seconds, failed = asyncio.run(closed_loop(address, load))
    wall, after = time.perf_counter() - started, usage()
    most = memory.stop()
    used = {role: spent * 1e3 / load.pages for role, spent in after.since(before).items()}
    here = [role for role in used if role not in ELSEWHERE]
    resting = sum(idle.get(role, 0.0) for role in here) * wall * 1e3 / load.pages
    total = sum(used[role] for role in here)
    return {
        "failed": failed,
        "pages_per_s": round(load.pages / wall, 2),
        **percentiles(seconds),
        "cpu_ms_by_role": {role: round(value, 2) for role, value in sorted(used.items()) if value >= 0.005},
        "cpu_ms": round(total, 2),
        "idle_cpu_ms": round(resting, 2),
        "net_cpu_ms": round(total - resting, 2),
        "memory_mb_per_request": round((most - before.memory_bytes) / 2**20 / load.concurrent, 2),
    }


def median_row(load: Load, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the medians of the rounds of one closed loop."""
    roles = sorted({role for row in rows for role in row["cpu_ms_by_role"]})
    numbers = [name for name, value in rows[0].items() if isinstance(value, float)]
    return {
        "document_pages": load.document_pages,
        "concurrent": load.concurrent,
        "pages": load.pages,
        "rounds": len(rows),
        "failed": sum(row["failed"] for row in rows),
        **{name: round(statistics.median(row[name] for row in rows), 2) for name in numbers},
        "cpu_ms_by_role": {
            role: round(statistics.median(row["cpu_ms_by_role"].get(role, 0.0) for row in rows), 2)
            for role in roles
        },
    }


def idle_rates() -> dict[str, float]:
    """Return the processor seconds a second that Ray's processes use with nothing to do."""
    before: Usage = usage()
    time.sleep(IDLE_S)
    return {role: seconds / IDLE_S for role, seconds in usage().since(before).items()}


def start() -> str:
    """Start Ray and Serve; returns Serve's address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    os.environ["RAY_AUTH_MODE"] = "disabled"
    # What the controller does is the same however much is read; at ten looks a second it would slow all down.
    os.environ["RAY_SERVE_CONTROL_LOOP_INTERVAL_S"] = "2"
    ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False)
    start_serve(HttpSettings(port=port))
    return f"http://127.0.0.1:{port}"


def deploy(
    folder: str,
    create: Callable[[], Engine] = InstantEngine,
    model_places: int | None = None,
    preprocess_places: int | None = None,
    **given: dict[str, Any],
) -> Settings:
    """Deploy the graph, of one replica each; called again, it replaces the graph.

    Args:
        folder: for jobs.
        create: makes the engine double.
        model_places: pages that the Model replica takes at once.
        preprocess_places: calls that the Preprocess replica takes at once; None is the product's own number.
        given: other settings.
    """
    one: dict[str, int | None] = {"min_replicas": 1, "max_replicas": 1}
    scaling = dict.fromkeys(("ingress", "preprocess", "model", "postprocess"), one)
    scaling["model"] = {**one, "max_ongoing_requests": model_places}
    scaling["preprocess"] = {**one, "max_ongoing_requests": preprocess_places}
    settings = load_settings({"jobs": {"directory": folder}, "scaling": scaling, **given})
    serve.run(build_app(settings, Resources(cpus=4, gpus=0), create), name="dsocr")
    return settings


def closed_loops(
    address: str, loads: list[Load], rounds: int, idle: dict[str, float]
) -> list[dict[str, Any]]:
    """Run closed loops in turn, again and again, and print and return the medians of each."""
    rows: list[list[dict[str, Any]]] = [[] for _ in loads]
    for _ in range(rounds):
        for load, found in zip(loads, rows, strict=True):
            found.append(measured_loop(address, load, idle))
    print(f"{'':>6} {'pages':>5} {'under way':>9} {'pages/s':>8} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8} "
          f"{'cpu ms':>8} {'net ms':>8} {'MB/req':>8}")  # fmt: skip
    result = []
    for load, found in zip(loads, rows, strict=True):
        row = median_row(load, found)
        result.append(row)
        print(f"{'empty' if load.path == ROUTE else '':>6} {load.document_pages:5} {load.concurrent:9} "
              f"{row['pages_per_s']:8.1f} {row['p50_ms']:8.0f} {row['p95_ms']:8.0f} {row['p99_ms']:8.0f} "
              f"{row['cpu_ms']:8.1f} {row['net_cpu_ms']:8.1f} {row['memory_mb_per_request']:8.1f}",
              flush=True)  # fmt: skip
    return result


def arrivals(address: str, document: bytes, rates: list[tuple[float, float]], pages: int) -> list[Any]:
    """Run open loops at rates, each with its share of the best; print and return a row for each."""
    rows = []
    for rate, share in rates:
        seconds, failed = asyncio.run(open_loop(address, document, rate, pages))
        row = {"rate": round(rate, 2), "share": share, "failed": failed, **percentiles(seconds)}
        rows.append(row)
        times = ", ".join(f"{cut[:3]} {row[cut]:.0f} ms" for cut in ("p50_ms", "p95_ms", "p99_ms"))
        print(f"arrivals at {rate:.1f}/s: {times}, {failed} failed", flush=True)
    return rows


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--concurrent", type=int, nargs="+", default=[1, 8, 64, 256])
    parser.add_argument(
        "--pages", type=int, default=200, help="of each loop, but at least twice as many as under way"
    )
    parser.add_argument("--book", type=int, default=20, help="pages of the long document; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=3, help="of each closed loop")
    parser.add_argument(
        "--rates", type=float, nargs="*", default=[0.25, 0.5, 0.8], help="shares of the best rate"
    )
    parser.add_argument("--preprocess-places", type=int, help="calls that Preprocess takes at once")
    parser.add_argument("--out", type=Path, default=None)
    parser.add_argument("--name", default="serve_load")
    options = parser.parse_args()
    prepare_ray()
    page = pdf(1)
    loads = [
        Load(path, page, 1, concurrent, max(options.pages, 2 * concurrent))
        for concurrent in options.concurrent
        for path in ("/v1/ocr", ROUTE)
    ]
    if options.book:
        loads.append(
            Load("/v1/ocr", pdf(options.book), options.book, 1, max(options.pages // options.book, 2))
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            address = start()
            admitted = max(2 * max(options.concurrent), options.pages)  # what is refused would cost less
            settings = deploy(
                folder,
                preprocess_places=options.preprocess_places,
                api={"max_concurrent_requests": admitted},
            )
            serve.run(empty_app(), name="empty", route_prefix=ROUTE)
            stages = stages_ms(page, settings)
            for load in loads:
                warm_up = replace(load, concurrent=2, requests=max(6 // load.document_pages, 1))
                asyncio.run(closed_loop(address, warm_up))
            idle = idle_rates()
            rows = closed_loops(address, loads, options.rounds, idle)
            graph = [row for row, load in zip(rows, loads, strict=True) if load.path != ROUTE]
            empty = [row for row, load in zip(rows, loads, strict=True) if load.path == ROUTE]
            best = max(row["pages_per_s"] for row in graph if row["document_pages"] == 1)
            rates = [(share * best, share) for share in options.rates]
            random_arrivals = arrivals(address, page, rates, options.pages)
            stages = statistics.mean((stages, stages_ms(page, settings)))
        finally:
            serve.shutdown()
            ray.shutdown()
    for row in graph:
        row["graph_cpu_ms"] = round(row["net_cpu_ms"] - stages, 2)
        print(f"{row['document_pages']} page(s), {row['concurrent']} under way: the graph adds "
              f"{row['graph_cpu_ms']:.1f} ms to the stages' {stages:.1f} ms")  # fmt: skip
    result = {
        "benchmark": "serve_load",
        "seed": SEED,
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "ray": ray.__version__,
        "stages_cpu_ms": round(stages, 2),
        "idle_cpu_ms_per_s": {role: round(value * 1e3, 2) for role, value in idle.items()},
        "closed_loop": graph,
        "empty": empty,
        "open_loop": random_arrivals,
    }
    hand_out(result, options.out, options.name, plot_serve_load)


if __name__ == "__main__":
    main()
