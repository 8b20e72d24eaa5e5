"""One run of the whole Ray Serve graph on a GPU: does it start, answer, stream, let go, recover and end?

    python -m benchmarks.gpu_graph_check --model FOLDER --out FOLDER --budget 300

The model has random weights and its real size, answers have set lengths, and pages go over HTTP. What
each step found is written to `graph_check.json` in the output folder as soon as the step ends, also if
it failed or was cut short; the steps after it run all the same. SIGTERM cuts the step that is running
and goes on to the last, which shuts everything down.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import psutil
import ray
from ray import serve
from ray.serve.config import HTTPOptions

from benchmarks.gpu import graph_steps
from benchmarks.gpu.asked_engine import AskedEngine
from benchmarks.gpu.graph import free_port
from benchmarks.gpu.graph_client import Client
from benchmarks.gpu.journal import PROMPT_TOKENS
from benchmarks.gpu.pages import make_pdf, single_pages
from benchmarks.gpu.runner import hardware
from benchmarks.gpu.settings import application_settings
from benchmarks.gpu.spec import Phase, Spec
from benchmarks.gpu.watch import Watch, first_gpu
from serve_app.cluster import cluster_resources
from serve_app.graph import APP_NAME, build_app

STORE_BYTES = 24 * 10**9
"""1,280 pages of 13.8 MB under way are 17.7 GB."""

STOP_S = 18
"""Kept for the last step."""

LEAST_LOAD_S = 20
"""A shorter time under load says nothing."""


class Check:
    """See the module.

    Args:
        options: of the command line.
        began: `time.monotonic()` when the budget began to count.
    """

    def __init__(self, options: argparse.Namespace, began: float) -> None:
        self._options, self._began = options, began
        self._out: Path = options.out
        self._gpu = first_gpu()
        self._watch = Watch(os.getpid())
        self._ready: Client | None = None
        self._step: asyncio.Task[None] | None = None
        self.found: dict[str, Any] = {
            **hardware(self._gpu, options.commit),
            "gpu_memory_gb": self._memory_gb(),
        }
        self._spec = Spec(
            name="graph_check",
            mode="graph",
            model=str(options.model),
            out=str(options.out),
            pages_pdf="",
            vllm={"max_num_seqs": options.sequences, **options.vllm},
            options={"settings": options.settings, "patch_size": options.patch_size},
        )
        self._settings = application_settings(self._spec)
        self._longest = self._settings.model.vllm.max_model_len - PROMPT_TOKENS - 20

    async def run(self) -> None:
        """Take the steps, in the order of the command line."""
        o = self._options
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._cut)
        await self._take("start", self._start, o.start_limit)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._cut)  # Ray has its own
        limits = {"pages": 100, "streams": 60, "leaving": 60, "kill": 300, "throughput": 300}
        for name in o.steps.split(","):
            if self._ready is None:
                self.found[name] = {"error": "skipped: the graph did not start"}
            elif self._left() < 5:
                self.found[name] = {"error": "skipped: no time was left"}
            else:
                await self._take(name, getattr(self, f"_{name}"), min(limits[name], self._left()))
        await self._take("stop", self._stop, 60)

    async def _take(self, name: str, work: Any, limit_s: float) -> None:
        """Run a step within a limit and write down what it found, or how it failed."""
        found = self.found.setdefault(name, {})
        began = time.monotonic()
        print(f"{began - self._began:6.1f} s {name} …", file=sys.stderr, flush=True)
        self._step = asyncio.ensure_future(work(found))
        try:
            await asyncio.wait_for(self._step, limit_s)
        except TimeoutError:
            found["error"] = f"cut after {limit_s:.0f} s"
        except asyncio.CancelledError:
            found["error"] = "cut by a signal"
        except Exception as error:  # every step is independent; the failure is part of the result
            traceback.print_exc()
            found["error"] = f"{type(error).__name__}: {error}"[:2_000]
        found["at_s"] = round(began - self._began, 1)
        found["took_s"] = round(time.monotonic() - began, 1)
        self._write()
        print(json.dumps({name: found}), file=sys.stderr, flush=True)

    async def _start(self, found: dict[str, Any]) -> None:
        """Start Ray and the graph, and read a first page."""
        o = self._options
        shared = shutil.disk_usage("/dev/shm").free  # noqa: S108 - Ray's place
        machine = psutil.virtual_memory().total
        store = int(min(shared * 0.8, machine * 0.7, STORE_BYTES))
        found |= {"shared_memory_gb": round(shared / 1e9, 1), "machine_gb": round(machine / 1e9, 1)}
        found["object_store_gb"] = round(store / 1e9, 1)
        began = time.monotonic()
        arguments = {"num_gpus": 1, "object_store_memory": store, "include_dashboard": False, **o.ray}
        await asyncio.to_thread(ray.init, "local", **arguments)
        found["ray_s"] = round(time.monotonic() - began, 1)
        create = AskedEngine(self._settings.model.vllm, str(self._out))
        port = free_port()
        await asyncio.to_thread(serve.start, http_options=HTTPOptions(host="127.0.0.1", port=port))
        app = build_app(self._settings, cluster_resources(), create)
        pdf = asyncio.create_task(asyncio.to_thread(make_pdf, o.distinct_pages, 1))
        self._write()
        await asyncio.to_thread(serve.run, app, name=APP_NAME, route_prefix="/")
        found["ready_s"] = round(time.monotonic() - began, 1)
        path = self._out / "pages.pdf"
        path.write_bytes(await pdf)
        client = Client(
            f"http://127.0.0.1:{port}", single_pages(path, o.distinct_pages), o.sequences * 3 // 2 + 64
        )
        found["readyz"] = await client.ready()
        for attempt in ("first_page", "second_page"):
            outcome = await client.page(32)
            found[f"{attempt}_s"] = round(outcome.done - outcome.sent, 2)
            found[attempt] = f"{outcome.status} {outcome.code}"
        found["gpu_memory_gb"] = self._memory_gb()
        self._ready = client

    @property
    def _client(self) -> Client:
        """The client of a graph that has started; no other step is taken."""
        if self._ready is None:
            raise RuntimeError("the graph did not start")
        return self._ready

    async def _pages(self, found: dict[str, Any]) -> None:
        o = self._options
        await graph_steps.concurrent_pages(found, self._client, o.pages, o.mean_tokens, o.longest, seed=1)

    async def _streams(self, found: dict[str, Any]) -> None:
        await graph_steps.streams(found, self._client, self._options.streams, self._options.stream_tokens)

    async def _leaving(self, found: dict[str, Any]) -> None:
        model = serve.get_deployment_handle("Model", APP_NAME)
        await graph_steps.leaving(found, self._client, model, self._out, self._options.streams, self._longest)

    async def _kill(self, found: dict[str, Any]) -> None:
        await graph_steps.kill(found, self._client, self._out, self._options.streams, self._longest)

    async def _throughput(self, found: dict[str, Any]) -> None:
        o = self._options
        seconds = self._left() - 2
        if seconds < LEAST_LOAD_S:
            found["error"] = f"skipped: {max(seconds, 0):.0f} s were left"
            return
        settle = min(o.settle, seconds * 0.55)
        window = min(o.window, seconds - settle)
        phase = Phase("load", o.mean_tokens, settle, window, drain=False)
        await graph_steps.throughput(
            found, self._client, self._out, self._watch, phase, o.sequences, self._longest
        )

    async def _stop(self, found: dict[str, Any]) -> None:
        """Shut the graph and Ray down, and see what is left of them."""
        found["gpu_memory_gb_before"] = self._memory_gb()
        if self._ready is not None:
            await self._ready.close()
        began = time.monotonic()
        if ray.is_initialized():
            await _within(30, asyncio.to_thread(serve.shutdown), found, "serve")
            found["serve_shutdown_s"] = round(time.monotonic() - began, 1)
            found["gpu_memory_gb_after_serve"] = self._memory_gb()
            await _within(15, asyncio.to_thread(ray.shutdown), found, "ray")
        found["shutdown_s"] = round(time.monotonic() - began, 1)
        while left := self._watch.still_running():
            if time.monotonic() - began > 45:
                break
            await asyncio.sleep(0.2)
        found["all_ended_s"] = round(time.monotonic() - began, 1)
        found["processes_left"] = left
        found["gpu_memory_gb_after"] = self._memory_gb()

    def close(self) -> None:
        """End what is left."""
        self._watch.stop()
        self._watch.kill_what_is_left()

    def _cut(self) -> None:
        if self._step is not None:
            self._step.cancel()
        self._options.budget = 0

    def _left(self) -> float:
        """Seconds for the steps before the last."""
        return float(self._options.budget - STOP_S - (time.monotonic() - self._began))

    def _memory_gb(self) -> float | None:
        return None if self._gpu is None else round(self._gpu.sample().used_bytes / 1e9, 2)

    def _write(self) -> None:
        part = self._out / "graph_check.part"
        part.write_text(json.dumps(self.found, indent=1))
        part.replace(self._out / "graph_check.json")


async def _within(limit_s: float, work: Awaitable[None], found: dict[str, Any], name: str) -> None:
    try:
        await asyncio.wait_for(work, limit_s)
    except TimeoutError:
        found[f"{name}_error"] = f"its shutdown took more than {limit_s:.0f} s"


def main() -> None:
    """Run the command."""
    began = time.monotonic()
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    for old in options.out.glob("engine-*.jsonl"):
        old.unlink()
    root = str(Path(__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")  # a machine whose memory grows looks full
    check = Check(options, began)
    asyncio.run(check.run())
    check.close()
    print(json.dumps(check.found), flush=True)
    os._exit(0)  # a thread that a limit left behind must not hold the command up


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--model", type=Path, required=True, help="folder with a configuration and a tokenizer"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--budget", type=float, default=300, help="seconds in all")
    parser.add_argument("--commit", help="that is measured, where git can't say")
    parser.add_argument(
        "--steps", default="pages,streams,leaving,kill,throughput", help="between start and stop"
    )
    parser.add_argument("--sequences", type=int, default=1_024, help="max_num_seqs")
    parser.add_argument("--pages", type=int, default=200, help="sent at once")
    parser.add_argument("--mean-tokens", type=float, default=1_000)
    parser.add_argument("--longest", type=int, default=2_000, help="answer of the pages sent at once")
    parser.add_argument("--streams", type=int, default=20)
    parser.add_argument("--stream-tokens", type=int, default=500)
    parser.add_argument("--settle", type=float, default=30, help="seconds of load before the window")
    parser.add_argument("--window", type=float, default=60, help="seconds at most")
    parser.add_argument("--distinct-pages", type=int, default=16)
    parser.add_argument("--start-limit", type=float, default=190, help="seconds for the start")
    parser.add_argument("--vllm", type=json.loads, default={}, help="JSON: settings of the engine")
    parser.add_argument("--settings", type=json.loads, default={}, help="JSON: settings of the application")
    parser.add_argument("--ray", type=json.loads, default={}, help="JSON: arguments of ray.init")
    parser.add_argument("--patch-size", type=int, default=16, help="of the model's vision tower")
    return parser.parse_args()


if __name__ == "__main__":
    main()
