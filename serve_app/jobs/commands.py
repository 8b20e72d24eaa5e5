"""`dsocr jobs …`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from serve_app.settings import KEY_VARIABLE

ADDRESS = "http://127.0.0.1:8000"

_formats = click.Choice(["json", "markdown", "html", "zip", "pdf", "layout_pdf", "png", "csv", "xlsx"])


def _service(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which service."""
    command = click.option("--api-key", envvar=KEY_VARIABLE, help="Key for the service.")(command)
    return click.option("--server", default=ADDRESS, show_default=True, help="Address of the service.")(
        command
    )


def _reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how a document is read."""
    tasks = click.Choice(["markdown", "text", "table", "custom"])
    for option in (
        click.option("--dpi", type=click.IntRange(36, 600), default=144, help="Resolution of PDF pages."),
        click.option("--crop/--no-crop", default=True, help="Whether the model sees tiles beside the page."),
        click.option("--pages", help='Pages from 0, such as "0,2-4"; all by default.'),
        click.option("--prompt", help="Your own prompt; goes with --task custom."),
        click.option("--task", type=tasks, default="markdown", show_default=True),
    ):
        command = option(command)
    return command


@click.group()
def jobs() -> None:
    """Have a running service read long documents in the background."""


@jobs.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_reading
@click.option("--merge", is_flag=True, help="In its files, join what page breaks cut, drop running heads.")
@click.option("--webhook", help="An https address that is told of the job's end.")
@_service
def submit(file: Path, webhook: str | None, server: str, api_key: str | None, **options: Any) -> None:
    """Send a document and print the job's id."""
    from pydantic import ValidationError

    from serve_app.api.errors import invalid_request
    from serve_app.api.schemas import OcrOptions
    from serve_app.jobs.client import JobsClient

    try:
        given = OcrOptions.model_validate({key: value for key, value in options.items() if value is not None})
    except ValidationError as error:
        raise invalid_request(error) from None
    with JobsClient(server, api_key) as client:
        click.echo(client.submit(file, given, webhook).id)


@jobs.command("list")
@click.option("--after", help="The last id of the list before.")
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True)
@_service
def list_jobs(after: str | None, limit: int, server: str, api_key: str | None) -> None:
    """List jobs, newest first."""
    from serve_app.jobs.client import JobsClient, line

    with JobsClient(server, api_key) as client:
        found = client.newest(after, limit)
    for status in found.data:
        click.echo(line(status))
    if found.has_more:
        click.echo(f"… more with --after {found.last_id}", err=True)


@jobs.command()
@click.argument("id")
@_service
def show(id: str, server: str, api_key: str | None) -> None:  # noqa: A002 - the argument's name
    """Print where a job stands, as JSON."""
    from serve_app.jobs.client import JobsClient

    with JobsClient(server, api_key) as client:
        click.echo(client.show(id).model_dump_json(indent=2, exclude_none=True))


@jobs.command()
@click.argument("id")
@_service
def wait(id: str, server: str, api_key: str | None) -> None:  # noqa: A002 - the argument's name
    """Wait for a job's end; exit with 1 unless it is done with all pages."""
    from serve_app.jobs.client import JobsClient, line, wait_with_bar
    from serve_app.jobs.models import JobState

    with JobsClient(server, api_key) as client:
        status = wait_with_bar(client, id)
    click.echo(line(status))
    sys.exit(0 if status.state is JobState.DONE and not status.pages.failed else 1)


@jobs.command()
@click.argument("id")
@click.option("--format", "format_", type=_formats, default="markdown", show_default=True)
@click.option("-o", "--output", required=True, type=click.Path(dir_okay=False, path_type=Path))
@_service
def result(id: str, format_: str, output: Path, server: str, api_key: str | None) -> None:  # noqa: A002 - the argument's name
    """Write a job's result to a file."""
    from serve_app.formats import ResultFormat
    from serve_app.jobs.client import JobsClient

    with JobsClient(server, api_key) as client:
        client.result(id, ResultFormat(format_), output)


@jobs.command()
@click.argument("id")
@_service
def cancel(id: str, server: str, api_key: str | None) -> None:  # noqa: A002 - the argument's name
    """Cancel an unfinished job, or delete an ended one with its result."""
    from serve_app.jobs.client import JobsClient, line

    with JobsClient(server, api_key) as client:
        click.echo(line(client.cancel(id)))
