"""Pages a second of the embedded engine over the processor's cores.

    python -m benchmarks.embedded [--threads N ...] [--pages N] [--rounds N] [--out FOLDER] [FILE ...]

Without files it reads the quality benchmark's prose, columns and tables. Each engine has so many threads
and as many pages under way; the engines take turns, round by round, so that other work on the machine falls
on all alike. Drawing the pages is not counted. By the clock the figures hold on an idle machine only; by
processor time they say what a page costs while others are read beside it. The last line is JSON.
"""

import argparse
import asyncio
import os
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.final_result import hand_out
from benchmarks.plots import plot_embedded
from benchmarks.reading.drawn_pages import SEED, generated
from deployments.model.embedded.engine import EmbeddedEngine
from deployments.model.embedded.settings import EmbeddedSettings
from deployments.model.engine import read_page
from deployments.preprocess.documents import inspect
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.settings import DocumentLimits, ViewSettings
from deployments.types import EngineInput, GenerationOptions, PageRequest, PreparedPage

OF_EACH_KIND = ("prose", "columns", "ruled tables")


def prepared(files: list[Path], pages: int, dpi: int) -> list[PreparedPage]:
    """Return so many pages, drawn; those of the files, or generated ones, again and again."""
    preprocessor = Preprocessor(DocumentLimits(), ViewSettings(), EngineInput.PAGE, None)
    sources = [
        (data, number)
        for data in (path.read_bytes() for path in files)
        for number in range(inspect(data, DocumentLimits()).page_count)
    ] or [(page.document, page.index) for page in generated(2, SEED) if page.kind in OF_EACH_KIND]
    request = PageRequest(dpi=dpi)
    drawn = [preprocessor.prepare(data, number, request) for data, number in sources[:pages]]
    return [drawn[number % len(drawn)] for number in range(pages)]


async def read_all(engine: EmbeddedEngine, pages: list[PreparedPage], under_way: int) -> tuple[float, float]:
    """Read every page, so many at once; returns seconds by the clock and of the processor."""
    places = asyncio.Semaphore(under_way)

    async def read(page: PreparedPage) -> None:
        async with places:
            await read_page(engine, page, GenerationOptions(stream=False))

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(read(page) for page in pages))
    return time.perf_counter() - began, time.process_time() - used


async def measure(pages: list[PreparedPage], threads: list[int], rounds: int) -> list[dict[str, float]]:
    """Return a row for each number of threads, medians over the rounds."""
    engines = [EmbeddedEngine(EmbeddedSettings(max_concurrent_pages=count), count) for count in threads]
    times: list[list[tuple[float, float]]] = [[] for _ in engines]
    for engine in engines:
        await read_all(engine, pages[:1], 1)
    for _ in range(rounds):
        for engine, count, found in zip(engines, threads, times, strict=True):
            found.append(await read_all(engine, pages, count))
    for engine in engines:
        await engine.close()
    return [
        {
            "threads": count,
            "pages_per_s": round(len(pages) / statistics.median(wall for wall, _ in found), 3),
            "cpu_s_per_page": round(statistics.median(used for _, used in found) / len(pages), 3),
        }
        for count, found in zip(threads, times, strict=True)
    ]


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="PDFs or pictures")
    parser.add_argument("--threads", type=int, nargs="+", default=sorted({1, os.cpu_count() or 1}))
    parser.add_argument("--pages", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dpi", type=int, default=144)
    parser.add_argument("--out", type=Path, default=None, help="folder for embedded.json and embedded.png")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    pages = prepared(options.files, options.pages, options.dpi)
    rows = asyncio.run(measure(pages, options.threads, options.rounds))
    for row in rows:
        print(
            f"{row['threads']} threads: {row['pages_per_s']:.2f} pages/s, "
            f"{row['cpu_s_per_page']:.2f} s of the processor a page"
        )
    report: dict[str, Any] = {
        "benchmark": "embedded",
        "machine": f"{os.cpu_count()} cores, load {load:.1f}",
        "files": [path.name for path in options.files] or f"{', '.join(OF_EACH_KIND)}, seed {SEED}",
        "pages": len(pages),
        "rounds": options.rounds,
        "dpi": options.dpi,
        "rows": rows,
    }
    hand_out(report, options.out, "embedded", plot_embedded)


if __name__ == "__main__":
    main()
