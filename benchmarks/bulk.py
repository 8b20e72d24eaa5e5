"""What the bulk pipeline itself costs: many pages, read by an engine double that only waits.

    python -m benchmarks.bulk --pages 20000 --slots 64 --latency 1.0
    python -m benchmarks.bulk --corpus book --object-store-mb 200 --slots 16 --latency 0.2

Everything but the engine is the product: a manifest of generated PDFs, fetching, drawing, the ladder,
postprocessing, part files, the final tables. The double takes a fixed time for each page and has as many
places as `--slots`. The corpus `many` has half its pages in documents of 100 and half in documents of 5,
all small; `book` is one PDF of 5,000 pages of A4 and 200 documents of a page and 2.5 MB each, which together
are many times larger than the object store that `--object-store-mb` gives. Progress goes to standard error;
the last line is JSON:

- `driver_ms_per_page`: CPU time of the driver process, from the first page to the last;
- `ray_ms_per_page`: CPU time of Ray's own processes on this machine (raylet, GCS) in that time;
- `engine_busy`: share of the double's places that had a page, from when all were first taken until fewer
  pages are left than places;
- `driver_mb`, `all_mb`, `largest_worker_mb`: memory of the driver, of it with all processes of Ray, and of
  the largest worker, at tenths of the job: flat if nothing piles up;
- `spilled_mb`, `spilled_objects`, `fallback_mb`: by Ray's own statistics of its object store;
- `load`: the machine's load average over the last 15 minutes, at the start and the end.
"""

import argparse
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pymupdf
import ray
from ray._private.internal_api import get_memory_info_reply, get_state_from_address

from benchmarks.final_result import hand_out
from benchmarks.plots import plot_bulk
from benchmarks.process_watch import Sampler
from benchmarks.waiting_engine import WaitingEngine, busy_share
from deployments.types import PageRequest
from serve_app.bulk.job import RESIDENT_WORKERS, JobOptions, run_job
from serve_app.settings import load_settings

BOOK_PAGES = 5_000
HEAVY_DOCUMENTS, HEAVY_BYTES = 200, 2_500_000


def write_pdf(target: Path, pages: int, width: int, height: int, attached: int = 0) -> None:
    """Write a PDF with a line on each page, and so many random bytes that nothing shows."""
    document = pymupdf.open()
    for number in range(pages):
        document.new_page(width=width, height=height).insert_text((20, 50), f"page {number}")
    if attached:
        document.embfile_add("noise", os.urandom(attached))
    document.save(target)


def many(folder: Path, pages: int) -> list[dict[str, str]]:
    """Make two PDFs, and return a manifest that names them often."""
    sizes = {"long.pdf": 100, "short.pdf": 5}
    for name, count in sizes.items():
        write_pdf(folder / name, count, 200, 280)
    return [
        {"doc_id": f"{name}-{number:05d}", "uri": str(folder / name)}
        for name, count in sizes.items()
        for number in range(max(pages // 2 // count, 1))
    ]


def book(folder: Path) -> list[dict[str, str]]:
    """Make one long PDF and many heavy ones."""
    write_pdf(folder / "book.pdf", BOOK_PAGES, 595, 842)
    write_pdf(folder / "heavy.pdf", 1, 595, 842, HEAVY_BYTES)
    heavy = {"uri": str(folder / "heavy.pdf")}
    return [
        {"doc_id": "book", "uri": str(folder / "book.pdf")},
        *({"doc_id": f"heavy-{number:03d}", **heavy} for number in range(HEAVY_DOCUMENTS)),
    ]


def object_store() -> dict[str, float]:
    """Return what Ray's object stores did since they started."""
    address = ray.get_runtime_context().gcs_address
    stats = get_memory_info_reply(get_state_from_address(address)).store_stats
    return {
        "object_store_mb": round(stats.object_store_bytes_avail / 2**20),
        "spilled_mb": round(stats.spilled_bytes_total / 2**20),
        "spilled_objects": stats.spilled_objects_total,
        "fallback_mb": round(stats.object_store_bytes_fallback / 2**20),
        "created_mb": round(stats.cumulative_created_bytes / 2**20),
    }


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run one job and return its figures."""
    log = folder / "engine.log"
    rows = book(folder) if arguments.corpus == "book" else many(folder, arguments.pages)
    pq.write_table(pa.Table.from_pylist(rows), folder / "manifest.parquet")
    slots = arguments.slots
    settings = load_settings(
        {
            "model": {"engine": "embedded"},
            "limits": {"max_pages": BOOK_PAGES},
            "bulk": {"pages_in_flight": slots + slots // 4, "progress_s": 10},
        }
    )
    sampler = Sampler()
    sampler.start()
    began, load = time.time(), os.getloadavg()[2]
    create = partial(WaitingEngine, slots, arguments.latency, str(log))
    options = JobOptions(
        str(folder / "manifest.parquet"), str(folder / "out"), PageRequest(dpi=arguments.dpi)
    )
    report = run_job(options, settings, create)
    seconds = time.time() - began
    sampler.stop()
    busy, first, last = busy_share(log, slots)
    start, end = sampler.at(first), sampler.at(last)
    pages = report["pages"]["total"]
    tenths = sampler.tenths(first, last)
    return {
        "benchmark": "bulk",
        "corpus": arguments.corpus,
        "documents": report["documents"]["total"],
        "pages": pages,
        "ok": report["pages"]["ok"],
        "dpi": arguments.dpi,
        "slots": slots,
        "latency_s": arguments.latency,
        "seconds": round(seconds, 1),
        "reading_seconds": round(last - first, 1),
        "pages_per_second": round(pages / (last - first), 2),
        "engine_busy": round(busy, 4),
        "driver_ms_per_page": round((end.driver_cpu - start.driver_cpu) / pages * 1e3, 3),
        "ray_ms_per_page": round((end.ray_cpu - start.ray_cpu) / pages * 1e3, 3),
        "driver_mb": [round(sample.driver_mb) for sample in tenths],
        "all_mb": [round(sample.all_mb) for sample in tenths],
        "largest_worker_mb": [round(sample.largest_worker_mb) for sample in tenths],
        "cpus": os.cpu_count(),
        "load": [round(load, 1), round(os.getloadavg()[2], 1)],
        **object_store(),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", choices=["many", "book"], default="many")
    parser.add_argument("--pages", type=int, default=20_000, help="of the corpus `many`")
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--dpi", type=int, default=36)
    parser.add_argument("--object-store-mb", type=int, help="by default Ray's own share of the memory")
    parser.add_argument("--out", type=Path, default=None, help="folder for bulk.json and bulk.png")
    arguments = parser.parse_args()
    store = arguments.object_store_mb
    # As a job does that starts Ray itself.
    os.environ.setdefault("RAY_num_workers_soft_limit", str(RESIDENT_WORKERS))
    ray.init("local", include_dashboard=False, object_store_memory=store and store * 2**20)
    with tempfile.TemporaryDirectory() as name:
        result = measure(arguments, Path(name))
    ray.shutdown()
    hand_out(result, arguments.out, "bulk", plot_bulk)


if __name__ == "__main__":
    main()
