"""The `dsocr` command."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from deployments.errors import OcrError
from serve_app.environment import prepare_ray
from serve_app.jobs.commands import jobs
from serve_app.settings import FILE_VARIABLE, KEY_VARIABLE, Settings, load_settings

engine_option = click.option(
    "--engine", type=click.Choice(["auto", "embedded", "vllm"]), help="Engine to run."
)

merge_option = click.option(
    "--merge",
    is_flag=True,
    help="In html and zip files, join what page breaks cut, drop running heads.",
)

_MERGE_ALONE = "--merge is about the files of --export html and --export zip: ask for one."

CommandT = TypeVar("CommandT", bound=Callable[..., None])


def reading_options(command: CommandT) -> CommandT:
    """Add the options that say how pages are read: task, prompt, crop, dpi and engine."""
    for option in (
        engine_option,
        click.option(
            "--dpi",
            type=click.IntRange(36, 600),
            default=144,
            show_default=True,
            help="Resolution of PDF pages.",
        ),
        click.option(
            "--crop/--no-crop", default=True, help="Whether the model sees tiles beside the whole page."
        ),
        click.option("--prompt", help="Your own prompt; goes with --task custom."),
        click.option(
            "--task",
            type=click.Choice(["markdown", "text", "table", "custom"]),
            default="markdown",
            show_default=True,
        ),
    ):
        command = option(command)
    return command


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
@engine_option
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
@click.option("--pages", help='Pages from 0, such as "0,2-4"; all by default.')
@reading_options
@click.option(
    "--export",
    "exports",
    multiple=True,
    type=click.Choice(["html", "zip", "pdf", "layout_pdf", "png", "csv", "xlsx"]),
    help="Another file of each document; may be given several times. pdf is searchable.",
)
@merge_option
@click.option("--api-key", envvar=KEY_VARIABLE, help="Key for the service.")
def convert(
    files: tuple[Path, ...],
    out: Path,
    server: str | None,
    engine: str | None,
    api_key: str | None,
    exports: tuple[str, ...],
    **options: Any,
) -> None:
    """Convert documents to Markdown: OUT/NAME/NAME.md, its figures and result.json."""
    from serve_app.convert import run_convert
    from serve_app.formats import ResultFormat

    if server is not None and engine is not None:
        raise click.UsageError("--engine is for converting here: a service (--server) has its own engine.")
    if options["merge"] and not {"html", "zip"}.intersection(exports):
        raise click.UsageError(_MERGE_ALONE)
    settings = _settings(model={"engine": engine})
    formats = [ResultFormat(each) for each in dict.fromkeys(exports)]
    sys.exit(run_convert(files, out, server, settings, options, api_key, formats))


@cli.command()
@click.argument("sources", nargs=-1, required=True)
@click.option("-o", "--output", required=True, help="Parquet file to write.")
def manifest(sources: tuple[str, ...], output: str) -> None:
    """List documents for a bulk job: files, folders, patterns with wildcards, s3://… and gs://…."""
    from serve_app.bulk.manifest import write_manifest

    click.echo(f"{write_manifest(sources, output):,} documents in {output}")


@cli.command()
@click.argument("manifest")
@click.option("--out", required=True, help="Folder for the results: a path, s3://… or gs://….")
@reading_options
@click.option("--images", is_flag=True, help="Cut figures out, into OUT/images.")
@click.option("--markdown", is_flag=True, help="Write a Markdown file a document, into OUT/markdown.")
@click.option(
    "--export",
    "exports",
    multiple=True,
    type=click.Choice(["html", "zip", "pdf", "layout_pdf", "csv", "xlsx"]),
    help="Write a file a document in this format, into OUT/FORMAT; may be given several times.",
)
@merge_option
@click.option("--gpu-hour-price", type=click.FloatRange(min=0), help="Price of a GPU hour, for the report.")
@click.option("--retry-failed", is_flag=True, help="Read again what failed or ran away, and nothing else.")
@click.option("--strict", is_flag=True, help="Exit with 1 if any page failed or ran away.")
@click.option(
    "--overwrite", is_flag=True, help="Delete first what another job left in OUT, or this one once finished."
)
def bulk(manifest: str, out: str, engine: str | None, strict: bool, **options: Any) -> None:
    """Convert every document of a Parquet MANIFEST; run it again to go on after an interruption."""
    from serve_app.bulk.command import run_bulk

    if options["merge"] and not {"html", "zip"}.intersection(options["exports"]):
        raise click.UsageError(_MERGE_ALONE)
    sys.exit(run_bulk(manifest, out, _settings(model={"engine": engine}), options, strict=strict))


@cli.command()
@click.option("--server", help="Address of a running service, to say what its bottleneck is now.")
@click.option("--api-key", envvar=KEY_VARIABLE, help="Key for the service.")
@click.option(
    "--seconds",
    type=click.FloatRange(min=1, max=600),
    default=20,
    show_default=True,
    help="How long to watch the service.",
)
def doctor(server: str | None, api_key: str | None, seconds: float) -> None:
    """Say what this machine has, which engine would run, and why not the other.

    With --server say how a running service fares instead, and which stage holds it up.
    """
    if server is not None:
        from serve_app.server_doctor import examine

        for sentence in examine(server, api_key, seconds):
            click.echo(sentence)
        return
    from serve_app.doctor import report

    click.echo(report(_settings()))


@cli.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Check a FILE for `serve deploy`: Serve itself passes over keys that it does not know."""
    from serve_app.serve_config import check_serve_config

    check_serve_config(file)
    click.echo(f"{file} has no unknown keys.")


@cli.command()
@click.option("--grace", type=click.FloatRange(min=0), default=140, show_default=True, help="Seconds.")
def drain(grace: float) -> None:
    """Take this machine of a cluster out of service, and wait until it has answered what it has."""
    from serve_app.draining import drain_this_machine

    left = drain_this_machine(grace)
    click.echo("drained" if left == 0 else f"{left} replicas are left after {grace:g} s")
    sys.exit(1 if left else 0)


@cli.group()
def keys() -> None:
    """Make and revoke API keys."""


@keys.command("new")
@click.argument("name")
def keys_new(name: str) -> None:
    """Make a key for NAME and print it; it is kept nowhere and can't be shown again."""
    from serve_app import api_keys

    click.echo(api_keys.new(_settings().api.keys_path, name))


@keys.command("list")
def keys_list() -> None:
    """Print the names of the keys."""
    from serve_app import api_keys

    for name in api_keys.load(_settings().api.keys_path):
        click.echo(name)


@keys.command("revoke")
@click.argument("name")
def keys_revoke(name: str) -> None:
    """Revoke the key of NAME; services that run stop taking it within seconds."""
    from serve_app import api_keys

    api_keys.revoke(_settings().api.keys_path, name)


cli.add_command(jobs)


def _settings(**overrides: dict[str, Any]) -> Settings:
    """Load the settings, the command's options winning over the rest."""
    given = {part: {k: v for k, v in values.items() if v is not None} for part, values in overrides.items()}
    return load_settings({part: values for part, values in given.items() if values})


def main(arguments: list[str] | None = None) -> None:
    """Run the command; an error of ours is one sentence, not a traceback."""
    prepare_ray()
    try:
        cli(arguments, standalone_mode=True)
    except OcrError as error:
        click.echo(f"dsocr: {error}", err=True)
        sys.exit(2)
    except OSError as error:  # a folder that can't be made, a disk that is full
        click.echo(f"dsocr: {error}", err=True)
        sys.exit(2)
