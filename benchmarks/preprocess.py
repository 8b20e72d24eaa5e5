"""Pages a second and core of preprocessing: drawing a page, our views of it, the reference's views.

    python -m benchmarks.preprocess [--rounds N] [--dpi N] [--processes N ...] [--out FOLDER] [FILE ...]

Without files it makes its own A4 pages: printed text in black, the same with a coloured chart, and a
coloured scan in JPEG. The reference's method is stated in NumPy: resize, cut, float32, normalise. Its
last step, to bfloat16, is left out, which is in its favour. Times are those of the processor, by turns,
so that other work on the machine falls on all steps alike and little. Then so many processes at once draw
and tile pages, to show whether each costs the same beside others; by the processor's time that holds on a
busy machine too, by the clock only on an idle one. The last line is JSON.
"""

import argparse
import io
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import PIL
import pymupdf
from PIL import Image, ImageOps

from benchmarks.final_result import hand_out
from benchmarks.plots import plot_preprocess
from deployments.preprocess.documents import Document
from deployments.preprocess.settings import DocumentLimits, ViewSettings
from deployments.preprocess.tiling import choose_grid, make_views
from deployments.types import Pixels

SEED = 20
LIMITS, VIEWS = DocumentLimits(), ViewSettings()
WORDS = ("the", "of", "page", "model", "reads", "tokens", "figure", "each", "grid", "scan", "vision", "line")


def text_page(coloured: bool) -> bytes:
    """A page of some 500 words and a chart, in grey or in colour."""
    rng = random.Random(SEED)
    document = pymupdf.open()
    page = document.new_page(width=595, height=842)
    text = " ".join(rng.choice(WORDS) for _ in range(480))
    page.insert_textbox(pymupdf.Rect(60, 60, 535, 560), text, fontsize=11, lineheight=1.4)
    for bar in range(8):
        height = rng.uniform(40, 190)
        fill = (rng.random(), rng.random(), rng.random()) if coloured else (0.3, 0.3, 0.3)
        page.draw_rect(pymupdf.Rect(80 + bar * 55, 780 - height, 120 + bar * 55, 780), color=None, fill=fill)
    return bytes(document.tobytes())


def scan() -> bytes:
    """The text page as a scanner at 200 dpi gives it: yellowish paper, noise, JPEG."""
    with Document.open(text_page(coloured=False), LIMITS) as document:
        pixels = document.render(0, 200).pixels.astype(np.int16)
    noise = np.random.default_rng(SEED).normal(0, 6, pixels.shape).astype(np.int16)
    paper = np.array([0, 6, 24], np.int16)
    buffer = io.BytesIO()
    Image.fromarray((pixels + noise - paper).clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def reference_views(image: Image.Image) -> tuple[Image.Image, list[Image.Image]]:
    """The global view and the tiles as the reference makes them, before they become tensors."""
    grid, side = choose_grid(*image.size, VIEWS), VIEWS.image_size
    tiles = []
    if grid.tiles:
        stretched = image.resize((grid.columns * side, grid.rows * side))
        for tile in range(grid.tiles):
            left, top = tile % grid.columns * side, tile // grid.columns * side
            tiles.append(stretched.crop((left, top, left + side, top + side)))
    return ImageOps.pad(image, (VIEWS.base_size, VIEWS.base_size), color=(127, 127, 127)), tiles


def as_tensor(image: Image.Image) -> npt.NDArray[np.float32]:
    """What `ToTensor` and `Normalize(0.5, 0.5)` do: channels first, contiguous, -1 to 1."""
    samples = np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1)).astype(np.float32)
    samples /= 255
    samples -= 0.5
    samples /= 0.5
    return samples


def reference(pixels: Pixels) -> list[npt.NDArray[np.float32]]:
    """All of the reference's work on a page: its global view, and its tiles stacked."""
    view, tiles = reference_views(Image.fromarray(pixels))
    return [as_tensor(view), *([np.stack([as_tensor(tile) for tile in tiles])] if tiles else [])]


def check(pixels: Pixels) -> None:
    """Stop unless what is compared is the same to the byte."""
    global_view, tiles, _ = make_views(pixels, VIEWS, crop=True)
    expected_view, expected = reference_views(Image.fromarray(pixels))
    pairs = zip([global_view, *tiles], [expected_view, *expected], strict=True)
    if not all(np.array_equal(ours, np.asarray(theirs)) for ours, theirs in pairs):
        raise SystemExit("our views differ from the reference's")


def timed(steps: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median milliseconds of processor time of each step, taken by turns after one warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        for name, step in steps.items():
            started = time.thread_time()
            step()
            if turn:
                taken[name].append((time.thread_time() - started) * 1_000)
    return {name: statistics.median(values) for name, values in taken.items()}


def measure(data: bytes, dpi: int, rounds: int) -> dict[str, float]:
    """Time a document's first page."""

    def raster() -> Pixels:
        with Document.open(data, LIMITS) as document:
            return document.render(0, dpi).pixels

    pixels = raster()
    check(pixels)
    row = timed(
        {
            "raster_ms": raster,
            "ours_ms": lambda: make_views(pixels, VIEWS, crop=True),
            "reference_ms": lambda: reference(pixels),
        },
        rounds,
    )
    row["raster_pages_per_s"] = 1_000 / row["raster_ms"]
    row["ours_pages_per_s"] = 1_000 / row["ours_ms"]
    row["reference_pages_per_s"] = 1_000 / row["reference_ms"]
    row["ours_with_raster_pages_per_s"] = 1_000 / (row["ours_ms"] + row["raster_ms"])
    row["ratio"] = row["reference_ms"] / row["ours_ms"]
    return {"width": pixels.shape[1], "height": pixels.shape[0]} | row


def work(data: bytes, dpi: int, pages: int) -> tuple[float, float, float]:
    """Draw and tile a page so many times; returns when that began and ended, and its processor seconds."""
    cv2.setNumThreads(1)
    for turn in range(pages + 1):
        if turn == 1:  # the first is the warm-up
            began, used = time.time(), time.process_time()
        with Document.open(data, LIMITS) as document:
            make_views(document.render(0, dpi).pixels, VIEWS, crop=True)
    return began, time.time(), time.process_time() - used


def over_processes(data: bytes, dpi: int, processes: int, pages: int) -> dict[str, float]:
    """Return pages a second of so many processes at once, by the clock and by processor time."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        spans = pool.starmap(work, [(data, dpi, pages)] * processes, chunksize=1)
    wall = max(end for _, end, _ in spans) - min(began for began, _, _ in spans)
    cpu_ms = statistics.median(used for _, _, used in spans) * 1e3 / pages
    return {
        "processes": processes,
        "pages_per_s": round(processes * pages / wall, 2),
        "cpu_ms_per_page": round(cpu_ms, 2),
        "pages_per_cpu_s": round(processes * 1e3 / cpu_ms, 2),
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="their first pages are taken")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--dpi", type=int, default=144)
    parser.add_argument("--processes", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument(
        "--out", type=Path, default=None, help="folder for preprocess.json and preprocess.png"
    )
    options = parser.parse_args()
    cv2.setNumThreads(1)
    documents = {path.name: path.read_bytes() for path in options.files} or {
        "text": text_page(coloured=False),
        "text and colour": text_page(coloured=True),
        "scan": scan(),
    }
    print("pages a second and core (median ms of processor time)")
    print(
        f"{'page':24} {'pixels':>9} {'raster':>14} {'ours':>14} {'reference':>14} {'ratio':>6} {'in all':>7}"
    )
    rows: dict[str, dict[str, float]] = {}
    for name, data in documents.items():
        row = rows[name] = measure(data, options.dpi, options.rounds)
        cells = [f"{row[f'{step}_pages_per_s']:6.1f} ({row[f'{step}_ms']:5.1f})"
                 for step in ("raster", "ours", "reference")]  # fmt: skip
        size = f"{row['width']}x{row['height']}"
        total = row["ours_with_raster_pages_per_s"]
        print(f"{name[:24]:24} {size:>9} {' '.join(cells)} {row['ratio']:6.2f} {total:7.1f}")
    spread = []
    for processes in options.processes:
        row = over_processes(next(iter(documents.values())), options.dpi, processes, options.rounds)
        spread.append(row)
        print(f"{processes} processes: {row['pages_per_cpu_s']:.1f} pages/s by processor time "
              f"({row['cpu_ms_per_page']:.1f} ms a page), {row['pages_per_s']:.1f} by the clock")  # fmt: skip
    report = {
        "benchmark": "preprocess",
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "processes": spread,
        "seed": SEED,
        "rounds": options.rounds,
        "dpi": options.dpi,
        "pillow": PIL.__version__,
        "pymupdf": pymupdf.VersionBind,
        "pages": {name: {key: round(value, 2) for key, value in row.items()} for name, row in rows.items()},
    }
    hand_out(report, options.out, "preprocess", plot_preprocess)


if __name__ == "__main__":
    main()
