"""The `dsocr` command."""

import os
import sys
from pathlib import Path
from typing import Any

import click

from deployments.errors import OcrError
from serve_app.settings import FILE_VARIABLE, Settings, load_settings


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="dsocr")
@click.option(
    "--settings",
    "settings_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help=f"YAML file of settings; the variable {FILE_VARIABLE} does the same.",
)
def cli(settings_file: Path | None) -> None:
    """Read documents: pictures and PDFs in, Markdown, boxes, figures and tables out."""
    if settings_file is not None:
        os.environ[FILE_VARIABLE] = str(settings_file)


@cli.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen on.")
@click.option("--engine", type=click.Choice(["auto", "embedded", "vllm"]), help="Engine to run.")
def serve(host: str | None, port: int | None, engine: str | None) -> None:
    """Serve the HTTP interface on this machine until interrupted."""
    from serve_app.server import run_server

    run_server(_settings(http={"host": host, "port": port}, model={"engine": engine}))


@cli.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the results."
)
@click.option(
    "--server", help="Address of a running service, e.g. http://127.0.0.1:8000; without it, in process."
)
@click.option(
    "--task",
    type=click.Choice(["markdown", "text", "table", "custom"]),
    default="markdown",
    show_default=True,
)
@click.option("--prompt", help="Your own prompt; goes with --task custom.")
@click.option("--pages", help='Pages from 0, such as "0,2-4"; all by default.')
@click.option("--crop/--no-crop", default=True, help="Whether the model sees tiles beside the whole page.")
@click.option(
    "--dpi", type=click.IntRange(36, 600), default=144, show_default=True, help="Resolution of PDF pages."
)
@click.option("--engine", type=click.Choice(["auto", "embedded", "vllm"]), help="Engine to run in process.")
def convert(
    files: tuple[Path, ...], out: Path, server: str | None, engine: str | None, **options: Any
) -> None:
    """Convert documents to Markdown: OUT/NAME/NAME.md, its figures and result.json."""
    from serve_app.convert import run_convert

    sys.exit(run_convert(files, out, server, _settings(model={"engine": engine}), options))


@cli.command()
def doctor() -> None:
    """Say what this machine has, which engine would run, and why not the other."""
    from serve_app.doctor import report

    click.echo(report(_settings()))


def _settings(**overrides: dict[str, Any]) -> Settings:
    """Load the settings, the command's options winning over the rest."""
    given = {part: {k: v for k, v in values.items() if v is not None} for part, values in overrides.items()}
    return load_settings({part: values for part, values in given.items() if values})


def main() -> None:
    """Run the command; an error of ours is one sentence, not a traceback."""
    try:
        cli(standalone_mode=True)
    except OcrError as error:
        click.echo(f"dsocr: {error}", err=True)
        sys.exit(2)
