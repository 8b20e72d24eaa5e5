"""`python -m tests.fuzz --cases 20000`: made-up requests and spoilt documents, more than the suite sends.

One case in eight is a request. With `--address` all cases are documents, sent to a service that runs. The
last line is JSON, which `--out` keeps; it ends with 1 if anything was found.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import click

from tests.fuzz.documents import fuzz_documents
from tests.fuzz.requests import fuzz_requests
from tests.fuzz.service import fuzz_service


def main() -> int:
    """Run, print what came out, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--out", type=Path, default=None, help="file for the result")
    parser.add_argument("--address", help="of a service that runs")
    options = parser.parse_args()
    click.echo(f"seed {options.seed}")
    result: dict[str, Any] = {
        "seed": options.seed,
        "machine": f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}",
    }
    if options.address is None:
        result |= in_this_process(options.cases, options.seed)
    else:
        outcomes = fuzz_service(options.address, options.cases, options.seed)
        result["service"] = {"cases": outcomes.total(), "outcomes": dict(outcomes.most_common())}
    if options.out is not None:
        options.out.write_text(json.dumps(result, indent=1) + "\n")
    click.echo(json.dumps(result))
    return 1 if result.get("documents", {}).get("findings") else 0


def in_this_process(cases: int, seed: int) -> dict[str, Any]:
    """Read documents and send requests without a service; returns what came out."""
    requests = cases // 8
    began = time.monotonic()
    report = fuzz_documents(cases - requests, seed)
    documents_s, began = time.monotonic() - began, time.monotonic()
    findings = [f"document {seed}-{number}: {what}" for number, what in report.findings]
    for finding in findings:
        click.echo(f"finding: {finding}")
    outcomes = fuzz_requests(requests, seed)
    return {
        "documents": {
            "cases": report.outcomes.total(),
            "seconds": round(documents_s),
            "slowest_s": round(report.slowest[0], 1),
            "outcomes": dict(report.outcomes.most_common()),
            "findings": findings,
        },
        "requests": {
            "cases": outcomes.total(),
            "seconds": round(time.monotonic() - began),
            "outcomes": {f"{route} {status}": count for (route, status), count in sorted(outcomes.items())},
        },
    }


if __name__ == "__main__":
    sys.exit(main())
