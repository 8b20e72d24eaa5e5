"""`python -m tests.fuzz --cases 20000`: made-up requests and spoilt documents, more than the suite sends.

One case in eight is a request. It ends with 1 if anything was found.
"""

import argparse
import json
import sys
import time

import click

from tests.fuzz.documents import fuzz_documents
from tests.fuzz.requests import fuzz_requests


def main() -> int:
    """Run, print what came out, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    requests = options.cases // 8
    click.echo(f"seed {options.seed}")
    began = time.monotonic()
    report = fuzz_documents(options.cases - requests, options.seed)
    click.echo(f"documents: {time.monotonic() - began:.0f} s, the slowest {report.slowest[0]:.1f} s")
    click.echo(json.dumps(dict(report.outcomes.most_common())))
    for number, what in report.findings:
        click.echo(f"finding: document {options.seed}-{number}: {what}")
    began = time.monotonic()
    outcomes = fuzz_requests(requests, options.seed)
    click.echo(f"requests: {outcomes.total()} in {time.monotonic() - began:.0f} s")
    for (route, status), count in sorted(outcomes.items()):
        click.echo(f"  {route} {status}: {count}")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
