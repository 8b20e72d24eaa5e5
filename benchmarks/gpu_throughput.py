"""Pages a second on one GPU: the engine alone, the Serve graph, the bulk job, and vLLM as it comes.

    python -m benchmarks.gpu_throughput                     every mode, in some twelve minutes
    python -m benchmarks.gpu_throughput --modes engine      one mode
    python -m benchmarks.gpu_throughput --sweep all         the engine, one setting changed at a time

Weights are random at full size, pages are real images, lengths of answers are
seeded. Each run has a process of its own, so that the GPU is free for the next one. Method and results:
`benchmarks/README.md`. The last line of the standard output is JSON.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu import plan, report
from benchmarks.gpu.model_folder import write_model_folder
from benchmarks.gpu.pages import make_pdf
from benchmarks.gpu.runner import Runner


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="model folder; by default one of full size is written")
    parser.add_argument(
        "--out", type=Path, default=Path("benchmarks/results/latest"), help="for results and logs"
    )
    parser.add_argument("--modes", default=",".join(plan.MODES), help=f"of {', '.join(plan.MODES)}")
    parser.add_argument("--means", default="1000", help="mean output tokens, one phase each, in mode engine")
    parser.add_argument(
        "--settle", type=float, help="seconds before the steady window, instead of the mode's own"
    )
    parser.add_argument(
        "--window", type=float, help="seconds of the steady window, instead of the mode's own"
    )
    parser.add_argument("--repeats", type=int, default=1, help="runs of each mode, from seed on")
    parser.add_argument("--no-drain", action="store_true", help="drop what is under way when the window ends")
    parser.add_argument(
        "--cold", action="store_true", help="begin with whole pages instead of half-written ones"
    )
    parser.add_argument("--no-breakdown", action="store_true", help="leave out the parts of a page's time")
    parser.add_argument(
        "--in-flight", type=float, default=1.25, help="pages under way, as a share of max_num_seqs"
    )
    parser.add_argument("--pages", type=int, default=32, help="distinct pages")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="engine setting; repeatable"
    )
    parser.add_argument(
        "--set-stock", action="append", default=[], metavar="KEY=VALUE", help="stock vLLM setting"
    )
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="what only one mode knows"
    )
    parser.add_argument(
        "--sweep", help="comma-separated groups or variants of benchmarks/gpu/plan.py, or all"
    )
    parser.add_argument(
        "--budget", type=float, default=900, help="seconds after which no further run is begun"
    )
    parser.add_argument("--commit", help="that is measured, where this is no checkout")
    parser.add_argument("--timeout", type=float, default=580, help="longest time of one run in seconds")
    return parser.parse_args()


def main() -> int:
    """Run what the command line asks for; the exit status is 1 if a run failed."""
    args = arguments()
    began = time.monotonic()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    model = args.model.resolve() if args.model else _random_model(out / "model")
    pdf = out / "pages.pdf"
    pdf.write_bytes(make_pdf(args.pages, args.seed))
    base = plan.Base(
        model=str(model),
        out=str(out),
        pages_pdf=str(pdf),
        distinct_pages=args.pages,
        in_flight=args.in_flight,
        primed=not args.cold,
        breakdown=not args.no_breakdown,
        seed=args.seed,
        drain=not args.no_drain,
        repeats=args.repeats,
        settle_s=args.settle,
        window_s=args.window,
        means=tuple(float(mean) for mean in args.means.split(",")),
        vllm=plan.pairs(args.set),
        stock=plan.pairs(args.set_stock),
        options=plan.pairs(args.option),
    )
    specs = plan.sweep(base, args.sweep) if args.sweep else plan.modes(base, args.modes.split(","))
    runner = Runner(out, began, args.budget, args.timeout, args.commit)
    results = [runner.run(spec) for spec in specs]
    summary = report.summary(results, runner.hardware)
    (out / "summary.json").write_text(json.dumps(summary, indent=1))
    report.print_tables(summary)
    print(json.dumps(summary, separators=(",", ":")))
    return 1 if any("error" in result for result in results) else 0


def _random_model(folder: Path) -> Path:
    """Write a model of full size with random weights, in a process of its own: it would keep GPU memory."""
    write_model_folder(folder)
    subprocess.run([sys.executable, "-m", "benchmarks.gpu.random_weights", str(folder)], check=True)  # noqa: S603 - our own module
    return folder


if __name__ == "__main__":
    sys.exit(main())
