"""Where jobs are kept: S3 as well as a folder, and no more of them in memory than need be."""

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deployments.errors import CorruptPage
from deployments.types import Figure
from serve_app.api.schemas import PageError
from serve_app.formats import ResultFormat
from serve_app.jobs.models import JobState, StoredPage
from serve_app.jobs.results import result
from serve_app.jobs.store import JobStore
from serve_app.printing import Printer
from tests.fakes import page_result
from tests.jobs.fakes import DOCUMENT, FakeSource, ended, new_record, running
from tests.s3_server import s3_bucket

pytestmark = pytest.mark.anyio

NO_PDFS = Printer(1)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket on an S3 server of these tests' own."""
    with s3_bucket("jobs") as uri:
        yield uri


async def test_jobs_in_s3_outlive_their_runner(bucket: str) -> None:
    folder = f"{bucket}/some/prefix"
    source = FakeSource(errors={1: [CorruptPage("torn")]})
    record, cancelled = new_record(4), new_record(2)
    async with running(folder, source, stale_s=5) as runner:
        await runner.submit(record, DOCUMENT)
        assert (await ended(runner, record.id)).pages.done == 3
    other = FakeSource()
    async with running(folder, other, stale_s=5) as runner:
        status = await runner.status(record.id, "")
        assert (status.state, status.pages.done, status.pages.failed) == (JobState.DONE, 3, 1)
        assert other.read.total() == 0
        store = JobStore(folder)
        pieces = await result(store, record, ResultFormat.MARKDOWN, NO_PDFS)
        assert b"".join(pieces).count(b"<!-- page ") == 4
        await runner.submit(cancelled, DOCUMENT)
        await ended(runner, cancelled.id)
        for one in (record, cancelled):
            await runner.cancel(one.id, "")
        assert store.ids() == []
        assert (await runner.newest("", None, 10)).data == []


def test_a_page_comes_back_as_it_was_stored(tmp_path: Path) -> None:
    store = JobStore(str(tmp_path))
    read = page_result(7, confidence=0.5)
    read = replace(read, figures=(replace(read.figures[0], png=bytes(range(256))), read.figures[1]))
    failed = StoredPage(index=8, error=PageError(code="corrupt_page", message="torn \u2028 \x00 \U0001f4a5"))
    store.write_page("job", StoredPage(index=7, result=read))
    store.write_page("job", failed)
    assert store.ended_pages("job") == {7: True, 8: False}
    assert [page.result for page in store.pages("job", [8, 9, 7])] == [None, read]
    assert store.page("job", 8, read=False).error == failed.error


@pytest.mark.parametrize("format_", [ResultFormat.JSON, ResultFormat.MARKDOWN, ResultFormat.HTML])
async def test_a_result_takes_the_memory_of_few_pages(tmp_path: Path, format_: ResultFormat) -> None:
    """200 pages of 300 kB each, 60 MB of pictures, are written with less than a tenth of that."""
    store, record = JobStore(str(tmp_path)), new_record(200, include_image_base64=True)
    page = page_result(0)
    page = replace(page, figures=(Figure("img-0.png", page.figures[0].box, bytes(300_000)),))
    for index in range(200):
        store.write_page(record.id, StoredPage(index=index, result=replace(page, index=index)))
    tracemalloc.start()
    size = 0
    for piece in await result(store, record, format_, NO_PDFS):
        size += len(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > (60_000_000 if format_ is not ResultFormat.MARKDOWN else 20_000)
    assert peak < 6_000_000
