"""`dsocr bulk` and `python -m serve_app.bulk`: a job, its interruptions and its exit code."""

from collections.abc import Callable
from typing import Any

import click

from deployments.model.engine import Engine
from deployments.types import PageRequest, Task
from serve_app.bulk.job import JobOptions, run_job
from serve_app.bulk.report import as_text
from serve_app.settings import Settings

INTERRUPTED = 130
"""What shells report for a program that SIGINT ended."""


def run_bulk(
    manifest: str,
    out: str,
    settings: Settings,
    options: dict[str, Any],
    *,
    strict: bool,
    create: Callable[[], Engine] | None = None,
) -> int:
    """Run a job and print its report.

    Args:
        manifest: path or URI.
        out: path or URI of the folder for the results.
        settings: the whole tree.
        options: `task`, `prompt`, `crop` and `dpi` of the pages, and what else `JobOptions` has.
        strict: whether failures count.
        create: as in `run_job`.

    Returns:
        The exit code: 0, with `strict` 1 if a page or document failed or ran away, or 130 if interrupted.

    Raises:
        OcrError: as `run_job`.
    """
    request = PageRequest(
        task=Task(options.pop("task")),
        prompt=options.pop("prompt"),
        crop=options.pop("crop"),
        dpi=options.pop("dpi"),
    )
    try:
        report = run_job(JobOptions(manifest, out, request, **options), settings, create)
    except KeyboardInterrupt:
        click.echo(
            f"dsocr: stopped; what was read is kept in {out}. Run the same command again to go on.", err=True
        )
        return INTERRUPTED
    click.echo(as_text(report), nl=False)
    pages, documents = report["pages"], report["documents"]
    whole = pages["ok"] == pages["total"] and documents["failed"] == 0
    return 0 if whole or not strict else 1
