"""What the bulk pipeline itself costs: many pages, read by an engine double that only waits.

    python -m benchmarks.bulk --pages 20000 --slots 64 --latency 1.0

Everything but the engine is the product: a manifest of generated PDFs, fetching, drawing, the ladder,
postprocessing, part files, the final tables. The double takes a fixed time for each page and has as many
places as `--slots`. Progress goes to standard error; the last line is JSON:

- `driver_ms_per_page`: CPU time of the driver process, from the first page to the last;
- `ray_ms_per_page`: CPU time of Ray's own processes on this machine (raylet, GCS) in that time;
- `engine_busy`: share of the double's places that had a page, from when all were first taken until fewer
  pages are left than places;
- `driver_rss_mb`, `all_rss_mb`: memory of the driver, and of it with all processes of Ray, at tenths of
  the job: flat if nothing piles up.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pymupdf

from benchmarks.instant_engine import ANSWER
from benchmarks.plots import plot_bulk
from deployments.types import (
    EngineInput,
    FinishReason,
    Generation,
    GenerationOptions,
    PageRequest,
    PreparedPage,
)
from serve_app.bulk.job import JobOptions, run_job
from serve_app.settings import load_settings


class WaitingEngine:
    """Takes `latency` seconds for a page, `slots` pages at a time; notes when it was busy."""

    name: ClassVar[str] = "waiting"
    takes: ClassVar[EngineInput] = EngineInput.PAGE

    def __init__(self, slots: int, latency: float, log: str) -> None:
        self.model, self.revision = "waiting", None
        self._slots = asyncio.Semaphore(slots)
        self._latency = latency
        self._log = Path(log)

    async def generate(
        self, page: PreparedPage, options: GenerationOptions
    ) -> AsyncGenerator[str | Generation, None]:
        """Wait, then write the same for every page."""
        async with self._slots:
            began = time.time()
            await asyncio.sleep(self._latency)
            with self._log.open("a") as log:
                log.write(f"{began:.4f} {time.time():.4f}\n")
        yield Generation(ANSWER, FinishReason.STOP, 1000, 1000, seconds=self._latency)

    async def check_health(self) -> None:
        """Always well."""

    async def close(self) -> None:
        """Nothing to free."""


class Sampler(threading.Thread):
    """Notes CPU seconds and memory of this process and of Ray's, once a second."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, float, float, float, float]] = []
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Take samples until stopped."""
        while not self._stop_asked.wait(1):
            self.samples.append((time.time(), time.process_time(), *family()))

    def stop(self) -> None:
        """Take no more samples."""
        self._stop_asked.set()
        self.join()

    def at(self, moment: float) -> tuple[float, float, float, float, float]:
        """Return the sample nearest to a time."""
        return min(self.samples, key=lambda sample: abs(sample[0] - moment))


def family() -> tuple[float, float, float]:
    """Return CPU seconds of Ray's own processes, and RSS in MB of this process and of it with all below."""
    parents, cpu, rss = {}, {}, {}
    page, tick = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().partition("(")[2].rpartition(")")
            shared = int((folder / "statm").read_text().split()[2])
        except (OSError, ValueError):
            continue
        fields = rest.split()
        pid = int(folder.name)
        parents[pid] = int(fields[1])
        cpu[pid] = (name, (int(fields[11]) + int(fields[12])) / tick)
        rss[pid] = (int(fields[21]) - shared) * page / 2**20
    mine = {os.getpid()}
    grown = True
    while grown:
        below = {pid for pid, parent in parents.items() if parent in mine} - mine
        mine |= below
        grown = bool(below)
    ray_cpu = sum(
        seconds for pid, (name, seconds) in cpu.items() if pid in mine and name in ("raylet", "gcs_server")
    )
    return ray_cpu, rss[os.getpid()], sum(rss[pid] for pid in mine)


def corpus(folder: Path, pages: int) -> Path:
    """Make two PDFs and a manifest that names them often: half the pages in long documents, half in short."""
    sizes = {"long.pdf": 100, "short.pdf": 5}
    for name, count in sizes.items():
        document = pymupdf.open()
        for number in range(count):
            document.new_page(width=200, height=280).insert_text((20, 50), f"page {number}")
        document.save(folder / name)
    rows = [
        {"doc_id": f"{name}-{number:05d}", "uri": str(folder / name)}
        for name, count in sizes.items()
        for number in range(max(pages // 2 // count, 1))
    ]
    target = folder / "manifest.parquet"
    pq.write_table(pa.Table.from_pylist(rows), target)
    return target


def busy_share(log: Path, slots: int) -> tuple[float, float, float]:
    """Return the share of places in use in the steady time, and when the first and the last page began."""
    spans = sorted(tuple(map(float, line.split())) for line in log.read_text().splitlines())
    first, last = spans[slots - 1][0], spans[-slots][0]
    used = sum(max(min(end, last) - max(begin, first), 0) for begin, end in spans)
    return used / (slots * (last - first)), spans[0][0], spans[-1][0]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", type=int, default=20_000)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--out", type=Path, default=None, help="folder for bulk.json and bulk.png")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log = folder / "engine.log"
        manifest = corpus(folder, arguments.pages)
        settings = load_settings(
            {
                "model": {"engine": "embedded"},
                "bulk": {"pages_in_flight": arguments.slots + arguments.slots // 4, "progress_s": 10},
            }
        )
        sampler = Sampler()
        sampler.start()
        began = time.time()
        create = partial(WaitingEngine, arguments.slots, arguments.latency, str(log))
        report = run_job(
            JobOptions(str(manifest), str(folder / "out"), PageRequest(dpi=36)), settings, create
        )
        seconds = time.time() - began
        sampler.stop()
        busy, first, last = busy_share(log, arguments.slots)
        start, end = sampler.at(first), sampler.at(last)
        pages = report["pages"]["total"]
        tenths = [sampler.at(first + (last - first) * tenth / 10) for tenth in range(11)]
        result = {
            "benchmark": "bulk",
            "pages": pages,
            "ok": report["pages"]["ok"],
            "slots": arguments.slots,
            "latency_s": arguments.latency,
            "seconds": round(seconds, 1),
            "reading_seconds": round(last - first, 1),
            "pages_per_second": round(pages / (last - first), 2),
            "engine_busy": round(busy, 4),
            "driver_ms_per_page": round((end[1] - start[1]) / pages * 1e3, 3),
            "ray_ms_per_page": round((end[2] - start[2]) / pages * 1e3, 3),
            "driver_rss_mb": [round(sample[3]) for sample in tenths],
            "all_rss_mb": [round(sample[4]) for sample in tenths],
        }
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "bulk.json").write_text(json.dumps(result, indent=1) + "\n")
        plot_bulk(result, arguments.out / "bulk.png")
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
