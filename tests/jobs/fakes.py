"""A source of pages that a test steers, and what a test needs to make jobs."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deployments.errors import OcrError
from deployments.types import PageRequest
from serve_app.api.jobs import JobService
from serve_app.api.schemas import OcrOptions
from serve_app.jobs.models import JobRecord, JobStatus, Webhook, new_id
from serve_app.jobs.posting import PublicPost
from serve_app.jobs.runner import JobRunner
from serve_app.jobs.settings import JobSettings
from serve_app.jobs.store import JobStore
from serve_app.jobs.webhooks import Webhooks
from serve_app.jobs.work import JobWork
from serve_app.reading import PageDone, PageFailed
from tests.fakes import page_result

DOCUMENT = b"%PDF a document"
QUICK = {"beat_s": 0.02, "stale_s": 0.2, "max_wait_s": 0.01}


@dataclass
class FakeSource:
    """Reads pages at once, or as `gate` lets them through; `errors` gives a page's errors, first to last."""

    errors: dict[int, list[OcrError]] = field(default_factory=dict)
    gate: asyncio.Semaphore | None = None
    read: Counter[int] = field(default_factory=Counter)
    under_way: int = 0
    most_under_way: int = 0
    documents: list[bytes] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self, document: bytes) -> bytes:
        self.documents.append(document)
        return document

    async def read_page(
        self,
        document: Any,
        index: int,
        request: PageRequest,
        *,
        confidence: bool,
        figures: bool,
        caller: str,
    ) -> PageDone | PageFailed:
        assert request.keep_image
        assert figures
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        self.begun.set()
        try:
            if self.gate is not None:
                await self.gate.acquire()
        finally:
            self.under_way -= 1
        self.read[index] += 1
        if self.errors.get(index):
            return PageFailed(index, self.errors[index].pop(0))
        return PageDone(page_result(index, figures=True, confidence=0.5 if confidence else None))


class NoPost:
    """Sends nothing."""

    def check(self, url: str) -> None:
        pass

    async def __call__(self, url: str, headers: dict[str, str], body: bytes) -> int:
        return 200


def new_record(
    page_count: int = 3, *, owner: str = "", webhook: str | None = None, **options: Any
) -> JobRecord:
    return JobRecord(
        id=new_id(),
        owner=owner,
        model="fake-ocr",
        options=OcrOptions.model_validate(options),
        media_type="application/pdf",
        size_bytes=len(DOCUMENT),
        page_count=page_count,
        total=page_count,
        created_at=time.time(),
        webhook=None if webhook is None else Webhook(url=webhook),
    )


@asynccontextmanager
async def running(
    folder: Path | str,
    source: FakeSource,
    *,
    workers: int = 4,
    webhooks: Webhooks | None = None,
    **given: Any,
) -> AsyncIterator[JobRunner]:
    """A runner on a folder, closed at the end as a service that stops closes it."""
    settings = JobSettings.model_validate({"directory": str(folder), **QUICK, **given})
    store, hooks = JobStore(settings.directory), webhooks or Webhooks(settings, NoPost())
    runner = JobRunner(JobWork(store, source, settings, hooks, workers))
    runner.start()
    try:
        yield runner
    finally:
        await runner.close()


def job_service(runner: JobRunner, folder: Path, **given: Any) -> JobService:
    """What the routes of jobs stand on, over a runner on a folder."""
    settings = JobSettings.model_validate({"directory": str(folder), **given})
    webhooks = Webhooks(settings, PublicPost(private=settings.webhook_to_private_networks))
    return JobService(runner, JobStore(str(folder)), settings, webhooks)


async def finished(runner: JobRunner, record: JobRecord) -> JobStatus:
    """A new job, once it has ended."""
    await runner.submit(record, DOCUMENT)
    return await ended(runner, record.id, record.owner)


async def ended(runner: JobRunner, id_: str, owner: str = "") -> JobStatus:
    """The job once it has ended."""
    return await until(runner, id_, lambda status: status.state.ended, owner)


async def until(runner: JobRunner, id_: str, holds: Any, owner: str = "") -> JobStatus:
    """The job once something holds of it."""
    async with asyncio.timeout(20):
        status = await runner.status(id_, owner)
        while not holds(status):
            status = await runner.wait(id_, owner, status.progress, 20)
    return status


async def true(condition: Callable[[], bool]) -> None:
    """Return once a condition holds of what tells nobody that it changed, such as a folder."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a folder sets no event
            await asyncio.sleep(0.01)
