"""How well pages are read: any engine, on pages whose text is known, beside others on the same pages.

    python -m benchmarks.quality                                    the generated set, all readers
    python -m benchmarks.quality --readers embedded http://127.0.0.1:8000
    python -m benchmarks.quality --pdfs paper.pdf folder            PDFs against their own text layer
    python -m benchmarks.quality --omnidocbench FOLDER              its OmniDocBench.json and images
    python -m benchmarks.quality --olmocr-bench FOLDER              its bench_data: *.jsonl and pdfs

It prints a table and, as the last line, JSON; `--out` gets `quality.json` and `quality.png`, `--report` an
HTML page with the worst pages. Every figure is a ratio of sums over pages, with a 95 % interval from a
bootstrap over pages. A reader that is not installed is named and left out. docs/quality.md says what each
score means.
"""

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.plots import plot_quality
from benchmarks.reading import olmocr_bench, omnidocbench, report, text_layer
from benchmarks.reading.drawn_pages import KINDS, SEED, generated
from benchmarks.reading.olmocr_bench import TestResult, run_tests
from benchmarks.reading.readers import READERS, Reader, ServerReader
from benchmarks.reading.scores import METRICS, PageScore, score_page, summarise
from benchmarks.reading.truth import TruthPage


def main() -> None:
    """Read every page with every reader, print and write what it came to."""
    options = _options()
    pages = generated(options.pages, options.seed) if options.kinds else []
    pages = [page for page in pages if page.kind in options.kinds]
    pages += [page for path in options.pdfs for page in text_layer.pages_of(path)]
    for folder in options.omnidocbench:
        pages += omnidocbench.pages_of(folder, options.limit)
    cases = [case for folder in options.olmocr_bench for case in olmocr_bench.cases_of(folder, options.limit)]
    readers, missing = _readers(options.readers)
    result: dict[str, Any] = {
        "benchmark": "quality",
        "seed": options.seed,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "pages": len(pages),
        "left_out": missing,
        "readers": {},
    }
    all_scores: dict[str, list[PageScore]] = {}
    for reader in readers:
        scores = [score for score in _read_all(reader, pages) if score is not None]
        all_scores[reader.name] = scores
        tests = run_tests(cases, reader)
        summary = summarise(scores)
        result["readers"][reader.name] = {
            "about": reader.about,
            "kinds": {
                kind: {metric: estimate.as_dict() for metric, estimate in found.items()}
                for kind, found in summary.items()
            },
            "olmocr_bench": olmocr_bench.summarise(tests),
        }
        _print(reader, summary, tests)
        reader.close()
        # After each reader: a long run that is cut short has not been for nothing.
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{options.name}.json").write_text(json.dumps(result, indent=1) + "\n")
    for name, why in missing.items():
        print(f"left out: {name}: {why}")
    plot_quality(result, options.out / f"{options.name}.png")
    if options.report:
        report.write(options.report, result, all_scores, worst=options.worst)
    print(json.dumps(result))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--readers", nargs="+", default=list(READERS), help="names or addresses of services")
    parser.add_argument("--pages", type=int, default=6, help="generated pages of each kind")
    parser.add_argument(
        "--kinds", nargs="*", default=None, help=f"of {', '.join(KINDS)}; none: no such pages"
    )
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--pdfs", nargs="*", type=Path, default=[], help="files, or folders of PDFs")
    parser.add_argument("--omnidocbench", nargs="*", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--olmocr-bench", nargs="*", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--limit", type=int, default=None, help="pages of each of these sets")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--name", default="quality", help="of the files in --out")
    parser.add_argument("--report", type=Path, default=None, help="write an HTML report there")
    parser.add_argument("--worst", type=int, default=12, help="pages shown in the report, of each reader")
    options = parser.parse_args()
    if options.kinds is None:
        others = options.pdfs or options.omnidocbench or options.olmocr_bench
        options.kinds = [] if others else list(KINDS)
    unknown = set(options.kinds) - set(KINDS)
    if unknown:
        parser.error(f"no such kind: {', '.join(sorted(unknown))}")
    return options


def _readers(names: list[str]) -> tuple[list[Reader], dict[str, str]]:
    """Return the readers that can run here, and why others can't."""
    readers: list[Reader] = []
    missing: dict[str, str] = {}
    for name in names:
        if name.startswith(("http://", "https://")):
            readers.append(ServerReader(name, os.environ.get("DSOCR_API_KEY")))
        elif name not in READERS:
            sys.exit(f"unknown reader {name}: one of {', '.join(READERS)}, or an address")
        else:
            try:
                readers.append(READERS[name]())
            except FileNotFoundError as error:
                missing[name] = str(error)
    return readers, missing


def _read_all(reader: Reader, pages: list[TruthPage]) -> list[PageScore | None]:
    """Read each page; the first twice, since its first reading pays for what is loaded late."""
    if pages:
        reader.read(pages[0])
    started = time.monotonic()
    scores = []
    for page in pages:
        answer = reader.read(page)
        scores.append(None if answer is None else score_page(page, answer))
    print(f"{reader.name}: {len(pages)} pages in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return scores


def _print(reader: Reader, summary: dict[str, Any], tests: list[TestResult]) -> None:
    shown = [metric for metric in METRICS if metric not in ("edit_distance", "failed", "seconds")]
    print(f"\n{reader.name}: {reader.about}")
    print(f"{'kind':26} {'pages':>5} " + " ".join(f"{metric[:10]:>10}" for metric in shown))
    for kind, found in summary.items():
        if not found:
            continue
        cells = [f"{found[metric].value:10.4f}" if metric in found else " " * 10 for metric in shown]
        print(f"{kind[:26]:26} {found['failed'].pages:5} " + " ".join(cells))
    for kind, counts in olmocr_bench.summarise(tests).items():
        print(
            f"olmOCR-bench {kind}: {counts['passed']} of {counts['run']} passed, {counts['not_run']} not run"
        )


if __name__ == "__main__":
    main()
