"""What drawing in the sandbox costs a page, against drawing in this process.

    python -m benchmarks.sandbox FILE…

CPU time of both processes together, so that other work on the machine matters little; the median over
rounds that take turns. The last line on stdout is JSON.
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from deployments.preprocess.documents import Document
from deployments.preprocess.sandbox import Sandbox, SandboxedDocument
from deployments.preprocess.settings import DocumentLimits, SandboxSettings

DPI = 144
ROUNDS = 40
OPEN = Callable[[bytes], Document | SandboxedDocument]


def child_seconds(pid: int) -> float:
    """CPU time of a process: fields 14 and 15 of its stat file, in clock ticks (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def draw(opener: OPEN, data: bytes, rounds: int) -> int:
    """Open a file, draw a page and look at each of its memory pages, `rounds` times."""
    seen = 0
    for index in range(rounds):
        with opener(data) as document:
            page = document.render(index % document.info.page_count, DPI)
            seen += int(page.pixels.reshape(-1)[::4096].sum())
    return seen


def measure(file: Path) -> dict[str, float | str]:
    """Return milliseconds of a page, both ways."""
    data, limits = file.read_bytes(), DocumentLimits()
    sandbox = Sandbox(limits, SandboxSettings())
    here: list[float] = []
    there: list[float] = []
    draw(sandbox.open, data, 2)
    child = sandbox._child
    if child is None:
        raise SystemExit(f"{file} is not read in the sandbox")
    try:
        for _ in range(3):
            began = time.process_time()
            draw(partial(Document.open, limits=limits), data, ROUNDS)
            here.append(time.process_time() - began)
            began = time.process_time() + child_seconds(child.pid)
            draw(sandbox.open, data, ROUNDS)
            there.append(time.process_time() + child_seconds(child.pid) - began)
    finally:
        sandbox.close()
    per_page = [1000 * statistics.median(times) / ROUNDS for times in (here, there)]
    return {
        "file": file.name,
        "bytes": len(data),
        "in_process_ms": round(per_page[0], 2),
        "sandbox_ms": round(per_page[1], 2),
        "overhead_ms": round(per_page[1] - per_page[0], 2),
    }


def main() -> None:
    """Measure the files that the arguments name."""
    results = []
    for name in sys.argv[1:]:
        results.append(measure(Path(name)))
        print(results[-1])
    print(json.dumps({"dpi": DPI, "rounds": ROUNDS, "files": results}))


if __name__ == "__main__":
    main()
