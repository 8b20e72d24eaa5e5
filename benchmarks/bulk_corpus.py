"""A real corpus on the real engine, undisturbed and with its processes killed: is every page there, once?

    python -m benchmarks.bulk_corpus SAMPLES --pages 300 --kills 6

The corpus is every PDF of the folder SAMPLES and generated ones, to `--pages` readable pages, with one
document in twenty broken: empty, cut short, locked, of no known type, or missing. `dsocr bulk` reads it with
the embedded engine; then again into another folder, while one of its driver, its engine's process and
Ray's raylet is killed with SIGKILL, in turn, at random moments. After the loss of a driver or raylet the same
command is run again. The last line is JSON: `missing`, `extra` and `twice` count pages of the output
against the manifest, `differing` the pages whose text, status or error is not that of the other run.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pymupdf

from serve_app.bulk.pages import page_id
from tests.bulk.processes import find, kill, wait_until

ACTOR = "ray::MapWorker(MapBatches(ReadGroups))"
VICTIMS = ("engine", "driver", "raylet")
PAGES_A_DOCUMENT = 4
MAX_AGAIN = 20
WORDS = ("harbour", "lamp", "tide", "forty", "ships", "noon", "green", "book", "fog", "bell", "quay", "pilot")


def text_pdf(rng: random.Random, pages: int) -> bytes:
    """Return a PDF with a title and a few lines on each page."""
    document = pymupdf.open()
    for _ in range(pages):
        page = document.new_page(width=420, height=595)
        page.insert_text((40, 60), " ".join(rng.choices(WORDS, k=3)).title(), fontsize=20)
        for line in range(4):
            page.insert_text((40, 110 + 24 * line), " ".join(rng.choices(WORDS, k=7)), fontsize=12)
    return bytes(document.tobytes())


def broken(rng: random.Random, number: int) -> bytes | None:
    """Return a document that can't be read, one kind after another; None stands for no file."""
    locked = pymupdf.open()
    locked.new_page()
    aes: Any = pymupdf.PDF_ENCRYPT_AES_256  # type: ignore[attr-defined]  # pymupdf makes its constants at import
    kinds: list[bytes | None] = [
        b"",
        text_pdf(rng, 1)[:200],
        locked.tobytes(encryption=aes, user_pw="secret"),
        b"no document at all",
        None,
    ]
    return kinds[number % len(kinds)]


def corpus(folder: Path, samples: Path, pages: int) -> tuple[Path, Counter[str]]:
    """Write the documents and their manifest; returns it, and the names of the rows that must come of it."""
    rng = random.Random(1)
    rows, expected = [], Counter[str]()
    count = 0
    for file in sorted(samples.glob("*.pdf")):
        with pymupdf.open(file) as document:
            found = document.page_count
        rows.append({"doc_id": file.name, "uri": str(file)})
        expected.update(page_id(file.name, page) for page in range(found))
        count += found
    while count < pages:
        name = f"generated-{len(rows):03d}"
        (folder / name).write_bytes(text_pdf(rng, PAGES_A_DOCUMENT))
        rows.append({"doc_id": name, "uri": str(folder / name)})
        expected.update(page_id(name, page) for page in range(PAGES_A_DOCUMENT))
        count += PAGES_A_DOCUMENT
    for number in range(max(len(rows) // 19, 1)):
        name = f"broken-{number:03d}"
        data = broken(rng, number)
        if data is not None:
            (folder / name).write_bytes(data)
        rows.insert(rng.randrange(len(rows)), {"doc_id": name, "uri": str(folder / name)})
        expected[f"{name}#"] += 1
    manifest = folder / "manifest.parquet"
    pq.write_table(pa.Table.from_pylist(rows), manifest)
    return manifest, expected


def start(manifest: Path, out: Path, dpi: int) -> subprocess.Popen[bytes]:
    """Start `dsocr bulk` with a Ray of its own."""
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "DSOCR_BULK__GROUP_PAGES": "8"}
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, "-m", "serve_app.bulk", str(manifest), "--out", str(out)]
    return subprocess.Popen(  # noqa: S603 - this interpreter, with words of ours
        [*command, "--engine", "embedded", "--dpi", str(dpi)], stdout=sys.stderr, env=environment
    )


def pages_written(out: Path) -> int:
    """Count the rows of the job's part files."""
    return sum(pq.read_metadata(part).num_rows for part in (out / "_job" / "parts").glob("*.parquet"))


def undisturbed(manifest: Path, out: Path, dpi: int) -> dict[str, Any]:
    """Run the job until it ends by itself."""
    code, runs = ended(start(manifest, out, dpi), manifest, out, dpi)
    return {"runs": 1 + runs, "exit": code}


def ended(driver: subprocess.Popen[bytes], manifest: Path, out: Path, dpi: int) -> tuple[int, int]:
    """Wait for a driver; where Ray did not start, as on a machine at full load, run the command again.

    Returns:
        The exit code, and how often it was run again.
    """
    for again in range(MAX_AGAIN):
        if driver.wait() == 0:
            return 0, again
        driver = start(manifest, out, dpi)
    return driver.wait(), MAX_AGAIN


def with_kills(manifest: Path, out: Path, dpi: int, pages: int, kills: int, seed: int) -> dict[str, Any]:
    """Run the job, killing a process at each of some random counts of pages, until it ends by itself."""
    moments = sorted(random.Random(seed).sample(range(4, int(pages * 0.9)), kills))
    done: list[dict[str, Any]] = []
    driver, runs = start(manifest, out, dpi), 1
    for number, moment in enumerate(moments):
        while pages_written(out) < moment and driver.poll() != 0:
            time.sleep(0.2)
            if driver.poll() not in (None, 0):
                driver, runs = start(manifest, out, dpi), runs + 1
        if driver.poll() is not None:
            break
        victim = VICTIMS[number % len(VICTIMS)]
        below = {"engine": partial(find, driver.pid, ACTOR), "raylet": partial(find, driver.pid, "raylet")}
        kill(driver.pid if victim == "driver" else wait_until(below[victim]))
        done.append({"killed": victim, "pages_written": pages_written(out)})
        if victim != "engine":
            driver.wait()
            driver, runs = start(manifest, out, dpi), runs + 1
    code, again = ended(driver, manifest, out, dpi)
    return {"runs": runs + again, "exit": code, "kills": done}


def rows_of(out: Path) -> list[dict[str, Any]]:
    """Return the rows of the output's pages."""
    columns = ["page_id", "status", "markdown", "error_code"]
    return [
        row
        for part in sorted((out / "pages").glob("*"))
        for row in pq.read_table(part, columns=columns).to_pylist()
    ]


def account(rows: list[dict[str, Any]], expected: Counter[str]) -> dict[str, Any]:
    """Compare the rows of an output with those that must be there."""
    found = Counter(row["page_id"] for row in rows)
    return {
        "rows": len(rows),
        "status": dict(Counter(row["status"] for row in rows)),
        "failures": dict(Counter(row["error_code"] for row in rows if row["error_code"])),
        "missing": (expected - found).total(),
        "extra": len(found.keys() - expected.keys()),
        "twice": sum(count > 1 for count in found.values()),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("samples", type=Path)
    parser.add_argument("--pages", type=int, default=300)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--dpi", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest, expected = corpus(folder, arguments.samples, arguments.pages)
        result: dict[str, Any] = {"benchmark": "bulk_corpus", "documents": len({*map(_document, expected)})}
        result |= {"expected_rows": expected.total(), "dpi": arguments.dpi, "cpus": os.cpu_count()}
        rows = {}
        for part in ("undisturbed", "killed"):
            began, out = time.time(), folder / part
            if part == "undisturbed":
                how = undisturbed(manifest, out, arguments.dpi)
            else:
                how = with_kills(
                    manifest, out, arguments.dpi, expected.total(), arguments.kills, arguments.seed
                )
            rows[part] = {row["page_id"]: row for row in rows_of(out)}
            result[part] = {
                **how,
                **account(rows_of(out), expected),
                "seconds": round(time.time() - began),
                "load": round(os.getloadavg()[2], 1),
            }
            print(json.dumps(result), file=sys.stderr)
        names = rows["undisturbed"].keys() | rows["killed"].keys()
        result["differing"] = sum(rows["undisturbed"].get(name) != rows["killed"].get(name) for name in names)
    print(json.dumps(result))


def _document(row: str) -> str:
    return row.rpartition("#")[0]


if __name__ == "__main__":
    main()
