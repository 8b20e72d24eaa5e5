"""`dsocr convert`: documents to folders of Markdown, figures and results."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError
from tqdm import tqdm

from deployments.errors import DocumentTooLarge, OcrError
from deployments.preprocess.prompts import prompt_for
from serve_app.api.errors import invalid_request
from serve_app.api.schemas import OcrOptions, OcrPage, StreamDone, StreamStart
from serve_app.client import ServiceClient
from serve_app.converter import Converter
from serve_app.document_folder import DocumentFolder, folder_names
from serve_app.formats import ResultFormat
from serve_app.settings import Settings

CONCURRENT_DOCUMENTS = 4
"""Documents under way at once: one-page files keep an engine busy, and their bytes stay few."""


@dataclass(slots=True)
class ConversionReport:
    """What became of the files.

    Attributes:
        converted: files written, the incomplete ones included.
        incomplete: files written without some of their pages.
        failed: files of which nothing was written.
        pages: pages read.
    """

    converted: int = 0
    incomplete: int = 0
    failed: int = 0
    pages: int = 0

    @property
    def exit_code(self) -> int:
        """Return 1 if anything is missing."""
        return 1 if self.failed or self.incomplete else 0

    def __str__(self) -> str:
        parts = [f"{self.converted} converted ({self.pages} pages)"]
        if self.incomplete:
            parts.append(f"{self.incomplete} of them without some pages")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join(parts)


async def convert(
    files: Sequence[Path],
    out: Path,
    converter: Converter,
    options: OcrOptions,
    *,
    max_bytes: int,
    concurrency: int = CONCURRENT_DOCUMENTS,
    progress: bool | None = None,
    formats: Sequence[ResultFormat] = (),
) -> ConversionReport:
    """Convert files, several at once; one that fails leaves the others whole.

    Args:
        files: to convert; one named twice is converted once.
        out: folder to which a folder for each file is added.
        converter: that reads them.
        options: how to read them.
        max_bytes: larger files are not opened.
        concurrency: files under way at once.
        progress: whether to draw a bar over pages; None draws it on a terminal.
        formats: more files to make of each document; the options must ask for `raw`.

    Raises:
        OSError: the output folder can't be made.
    """
    await asyncio.to_thread(out.mkdir, parents=True, exist_ok=True)
    report = ConversionReport()
    waiting = iter(folder_names(files).items())
    with tqdm(total=0, unit="page", disable=None if progress is None else not progress) as bar:
        run = _Run(out, converter, options, max_bytes, report, bar, formats)
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(run.work(waiting))
    return report


@dataclass(frozen=True, slots=True)
class _Run:
    """What the files of one call share."""

    out: Path
    converter: Converter
    options: OcrOptions
    max_bytes: int
    report: ConversionReport
    bar: "tqdm[Any]"
    formats: Sequence[ResultFormat] = ()

    async def work(self, waiting: Iterator[tuple[Path, str]]) -> None:
        """Convert files until none waits."""
        for file, name in waiting:
            try:
                missing = await self._one(file, name)
            except (OcrError, OSError) as error:
                self.report.failed += 1
                self._say(f"{file}: {error}")
            else:
                self.report.converted += 1
                self.report.incomplete += missing > 0

    async def _one(self, file: Path, name: str) -> int:
        """Convert a file and return how many of its pages could not be read."""
        document = await asyncio.to_thread(_contents, file, self.max_bytes)
        missing = 0
        start: StreamStart | None = None
        with DocumentFolder(self.out, name) as folder:
            async with aclosing(self.converter.read(document, self.options)) as parts:
                async for part in parts:
                    match part:
                        case StreamStart():
                            start = part
                            self.bar.total = (self.bar.total or 0) + len(part.pages)
                            self.bar.refresh()
                        case OcrPage():
                            self.bar.update()
                            if part.error is not None:
                                missing += 1
                                where = f"page {part.index + 1} (--pages {part.index})"
                                self._say(f"{file}: {where}: {part.error.message}")
                            await asyncio.to_thread(folder.add, part)
                        case StreamDone() if start is not None:
                            self.report.pages += part.usage_info.pages_processed
                            await self._export(document, folder)
                            await asyncio.to_thread(folder.finish, start, part)
        return missing

    async def _export(self, document: bytes, folder: DocumentFolder) -> None:
        """Add the files that are asked for."""
        written = folder.written()
        for format_ in self.formats:
            parts = [written]
            if format_ is ResultFormat.PNG and len(written) > 1:
                parts = [{index: raw} for index, raw in written.items()]
            for part in parts:
                content = await self.converter.export(document, self.options, part, format_)
                ending = format_.ending if part is written else f"_{min(part) + 1}{format_.ending}"
                await asyncio.to_thread(folder.add_file, ending, content)

    def _say(self, line: str) -> None:
        """Write a line to standard error, above the bar."""
        with self.bar.external_write_mode(file=sys.stderr):
            click.echo(line, err=True)


def _contents(file: Path, max_bytes: int) -> bytes:
    size = file.stat().st_size
    if size > max_bytes:
        raise DocumentTooLarge(f"The file has {size} bytes; at most {max_bytes} are allowed.")
    return file.read_bytes()


def run_convert(
    files: Sequence[Path],
    out: Path,
    server: str | None,
    settings: Settings,
    options: dict[str, Any],
    api_key: str | None = None,
    formats: Sequence[ResultFormat] = (),
) -> int:
    """Convert files as the command was told, and return its exit code.

    Args:
        files: to convert.
        out: folder for the results.
        server: address of a running service; None converts in this process.
        settings: the whole tree.
        options: fields of `OcrOptions`; None leaves the default.
        api_key: for the service.
        formats: more files to make of each document.

    Raises:
        InvalidRequest: an option is wrong.
        ConfigurationError: the engine can't run here.
    """
    given = {name: value for name, value in options.items() if value is not None}
    try:
        asked = OcrOptions.model_validate(
            {**given, "include_image_base64": True, "include_raw": bool(formats)}
        )
        prompt_for(asked.task, asked.prompt)  # what is wrong with it is wrong for every file
    except ValidationError as error:
        raise invalid_request(error) from error
    try:
        report = asyncio.run(_until_stopped(_run(files, out, server, settings, asked, api_key, formats)))
    except asyncio.CancelledError:
        click.echo("dsocr: stopped; the documents that are finished stay", err=True)
        return 128 + signal.SIGTERM
    click.echo(f"dsocr: {report}", err=True)
    return report.exit_code


async def _until_stopped(work: Coroutine[Any, Any, ConversionReport]) -> ConversionReport:
    """Do work that SIGTERM cancels, as Ctrl-C does without this, so that nothing half done is left."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await task


async def _run(
    files: Sequence[Path],
    out: Path,
    server: str | None,
    settings: Settings,
    options: OcrOptions,
    api_key: str | None,
    formats: Sequence[ResultFormat],
) -> ConversionReport:
    converter: Converter
    if server is None:
        # with --server the engines' libraries, which take seconds to load, are not wanted
        from serve_app.local_converter import local_converter

        converter = local_converter(settings)
    else:
        converter = ServiceClient(server, api_key=api_key)
    try:
        max_bytes = settings.limits.max_bytes
        return await convert(files, out, converter, options, max_bytes=max_bytes, formats=formats)
    finally:
        await converter.close()
