"""What a job came to: `report.json` for programs, `report.txt` for people."""

import json
from typing import Any

from serve_app.bulk.outputs import Tally
from serve_app.bulk.rows import FAILED, OK, PARTIAL, RUNAWAY, STAGES
from serve_app.bulk.store import Store

DAY_S = 86_400


def make_report(
    tally: Tally, read: int, runs: list[dict[str, Any]], gpu_hour_price: float | None
) -> dict[str, Any]:
    """Return the report as data.

    Speed and cost count every page that any run read and all the time of all runs, starting up included.

    Args:
        tally: of the output.
        read: pages that runs read, those read twice counted twice.
        runs: as `record.all_runs` gives them.
        gpu_hour_price: what one GPU costs an hour, in any currency.
    """
    pages = tally.pages.total()
    seconds = sum(run["seconds"] for run in runs)
    gpu_hours = sum(run["seconds"] * run["gpus"] for run in runs) / 3600
    speed = read / seconds if seconds else 0.0
    written = tally.pages[OK] + tally.pages[RUNAWAY]
    cost = None
    if gpu_hour_price is not None and gpu_hours and read:
        cost = gpu_hours * gpu_hour_price / read * 1e6
    return {
        "documents": {
            "total": tally.documents.total(),
            **{status: tally.documents[status] for status in (OK, PARTIAL, FAILED)},
        },
        "pages": {"total": pages, **{status: tally.pages[status] for status in (OK, RUNAWAY, FAILED)}},
        "failures": dict(sorted(tally.errors.items())),
        "finish_reasons": dict(sorted(tally.finish_reasons.items())),
        "attempts": dict(sorted(tally.attempts.items())),
        "runaway_rate": tally.pages[RUNAWAY] / written if written else 0.0,
        "retried_rate": 1 - tally.attempts["1"] / written if written else 0.0,
        "prompt_tokens_per_page": tally.tokens["prompt"] / written if written else 0.0,
        "output_tokens_per_page": tally.tokens["output"] / written if written else 0.0,
        "stage_seconds": {stage: tally.seconds[stage] for stage in STAGES},
        "runs": len(runs),
        "pages_read": read,
        "seconds": seconds,
        "pages_per_second": speed,
        "pages_per_day": speed * DAY_S,
        "gpu_hours": gpu_hours,
        "gpu_hour_price": gpu_hour_price,
        "cost_per_million_pages": cost,
    }


def as_text(report: dict[str, Any]) -> str:
    """Return the report as a few lines."""
    documents, pages = report["documents"], report["pages"]
    stages = ", ".join(f"{stage} {seconds:,.1f}" for stage, seconds in report["stage_seconds"].items())
    lines = [
        f"documents  {documents['total']:,}: {documents['ok']:,} whole, {documents['partial']:,} in part, "
        f"{documents['failed']:,} not",
        f"pages      {pages['total']:,}: {pages['ok']:,} read, {pages['runaway']:,} ran away, "
        f"{pages['failed']:,} failed",
        f"speed      {report['pages_per_second']:,.2f} pages/s, {report['pages_per_day']:,.0f} a day "
        f"({report['pages_read']:,} pages in {report['seconds']:,.0f} s, {report['runs']} run(s))",
        f"tokens     {report['prompt_tokens_per_page']:,.0f} in and "
        f"{report['output_tokens_per_page']:,.0f} out a page",
        f"retried    {report['retried_rate']:.2%} of pages; {report['runaway_rate']:.2%} ran away to the end",
        f"seconds    {stages}",
    ]
    if report["cost_per_million_pages"] is not None:
        lines.append(
            f"cost       {report['cost_per_million_pages']:,.2f} a million pages, "
            f"at {report['gpu_hour_price']:g} a GPU hour"
        )
    lines += [f"failure    {code}: {count:,}" for code, count in report["failures"].items()]
    return "\n".join(lines) + "\n"


def write_report(store: Store, report: dict[str, Any]) -> None:
    """Write both; `report.json` last, as the sign that all else is there."""
    store.write("report.txt", as_text(report).encode())
    store.write("report.json", json.dumps(report, indent=1).encode())
