"""`python -m tests.fuzz --cases 20000`: made-up requests and spoilt documents, more than the suite sends.

One case in eight is a request. The last line is JSON, which `--out` keeps; it ends with 1 if anything was
found.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

import click

from tests.fuzz.documents import fuzz_documents
from tests.fuzz.requests import fuzz_requests


def main() -> int:
    """Run, print what came out, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--out", type=Path, default=None, help="file for the result")
    options = parser.parse_args()
    requests = options.cases // 8
    click.echo(f"seed {options.seed}")
    began = time.monotonic()
    report = fuzz_documents(options.cases - requests, options.seed)
    documents_s, began = time.monotonic() - began, time.monotonic()
    for number, what in report.findings:
        click.echo(f"finding: document {options.seed}-{number}: {what}")
    outcomes = fuzz_requests(requests, options.seed)
    result = {
        "seed": options.seed,
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "documents": {
            "cases": report.outcomes.total(),
            "seconds": round(documents_s),
            "slowest_s": round(report.slowest[0], 1),
            "outcomes": dict(report.outcomes.most_common()),
            "findings": [f"document {options.seed}-{number}: {what}" for number, what in report.findings],
        },
        "requests": {
            "cases": outcomes.total(),
            "seconds": round(time.monotonic() - began),
            "outcomes": {f"{route} {status}": count for (route, status), count in sorted(outcomes.items())},
        },
    }
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    click.echo(json.dumps(result))
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
