"""`dsocr jobs` against a service on this machine."""

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from deployments.errors import CorruptPage, InvalidRequest, JobNotFound, NoResult
from serve_app.cli import cli
from serve_app.formats import ResultFormat
from serve_app.jobs import client as client_module
from tests.fakes import FakeReader, make_app, serving
from tests.jobs.fakes import DOCUMENT, FakeSource, job_service, running

pytestmark = pytest.mark.anyio

Dsocr = Callable[..., "asyncio.Future[Result]"]


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
async def dsocr(tmp_path: Path, source: FakeSource, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Dsocr]:
    """Run `dsocr jobs` with arguments, in a thread, against the service that the fixture runs."""
    monkeypatch.setattr(client_module, "ASK_S", 0.01)
    folder = tmp_path / "jobs"
    async with running(folder, source) as runner:
        app = make_app(FakeReader(page_count=3), jobs=job_service(runner, folder))
        async with serving(app) as address:

            def run(verb: str, *arguments: object) -> "asyncio.Future[Result]":
                line = ["jobs", verb, *map(str, arguments), "--server", address]
                return asyncio.get_running_loop().run_in_executor(
                    None, partial(CliRunner().invoke, cli, line)
                )

            yield run


@pytest.fixture
def book(tmp_path: Path) -> Path:
    file = tmp_path / "book.pdf"
    file.write_bytes(DOCUMENT)
    return file


async def test_a_document_from_its_submission_to_its_files(dsocr: Dsocr, book: Path, tmp_path: Path) -> None:
    sent = await dsocr("submit", book, "--pages", "0,2")
    assert sent.exit_code == 0, sent.output
    id_ = sent.output.strip()
    waited = await dsocr("wait", id_)
    assert (waited.exit_code, "2/2 pages" in waited.output) == (0, True)
    shown = json.loads((await dsocr("show", id_)).output)
    assert (shown["state"], shown["pages"]["done"]) == ("done", 2)
    assert id_ in (await dsocr("list")).output
    written = await dsocr("result", id_, "-o", tmp_path / "book.md")
    assert written.exit_code == 0, written.output
    assert "<!-- page 3 -->" in (tmp_path / "book.md").read_text()
    await dsocr("result", id_, "--format", "zip", "-o", tmp_path / "book.zip")
    assert zipfile.is_zipfile(tmp_path / "book.zip")
    assert (await dsocr("cancel", id_)).exit_code == 0
    assert isinstance((await dsocr("show", id_)).exception, JobNotFound)


async def test_a_result_comes_in_every_format_of_the_interface(
    dsocr: Dsocr, book: Path, tmp_path: Path
) -> None:
    id_ = (await dsocr("submit", book, "--pages", "0", "--merge")).output.strip()
    await dsocr("wait", id_)
    for format_ in ResultFormat:
        if not format_.is_printed:
            written = await dsocr("result", id_, "--format", format_, "-o", tmp_path / f"x.{format_}")
            assert written.exit_code == 0, written.output
            assert (tmp_path / f"x.{format_}").stat().st_size
    help_ = (await dsocr("result", "--help")).output.replace("\n", "")
    assert all(format_.value in help_ for format_ in ResultFormat)


async def test_a_job_with_a_failed_page_or_cancelled_is_told_by_the_exit_code(
    dsocr: Dsocr, source: FakeSource, book: Path, tmp_path: Path
) -> None:
    source.errors = {1: [CorruptPage("torn")]}
    id_ = (await dsocr("submit", book)).output.strip()
    waited = await dsocr("wait", id_)
    assert (waited.exit_code, "1 failed" in waited.output) == (1, True)
    source.gate = asyncio.Semaphore(0)
    id_ = (await dsocr("submit", book)).output.strip()
    assert isinstance((await dsocr("result", id_, "-o", tmp_path / "early")).exception, NoResult)
    assert "cancelled" in (await dsocr("cancel", id_)).output
    assert (await dsocr("wait", id_)).exit_code == 1


async def test_what_is_wrong_is_said(dsocr: Dsocr, book: Path) -> None:
    assert isinstance((await dsocr("submit", book, "--pages", "x")).exception, InvalidRequest)
    assert isinstance(
        (await dsocr("submit", book, "--webhook", "https://example.com")).exception, InvalidRequest
    )
    assert isinstance((await dsocr("show", "job-0")).exception, JobNotFound)
