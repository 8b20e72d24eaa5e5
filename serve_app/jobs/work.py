"""Bringing one job to its end: its pages, its record and its webhook."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass

from deployments.errors import EngineUnavailable, OcrError
from serve_app.api.errors import internal_error, page_error
from serve_app.jobs.job import Job
from serve_app.jobs.models import JobState, Webhook
from serve_app.jobs.reading import PageSource, read_pages
from serve_app.jobs.settings import JobSettings
from serve_app.jobs.store import JobStore
from serve_app.jobs.webhooks import Webhooks
from serve_app.tasks import settled

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class JobWork:
    """What is done for each job.

    Attributes:
        store: the folder.
        source: reads pages, a bounded number at once.
        settings: of jobs.
        webhooks: tells others of a job's end.
        workers: most pages of one job under way.
        clock: unix time.
    """

    store: JobStore
    source: PageSource
    settings: JobSettings
    webhooks: Webhooks
    workers: int
    clock: Callable[[], float] = time.time

    async def finish(self, job: Job) -> None:
        """Bring a job to its end; while its storage fails, as a full disk does, it pauses."""
        while (failure := await self._try(job)) is not None:
            message = f"The folder of jobs can't be used ({reason(failure)}); the job goes on once it can."
            job.held_up = page_error(EngineUnavailable(message))
            job.tell()
            await asyncio.sleep(self.settings.storage_retry_s)
        job.held_up = None

    async def _try(self, job: Job) -> OSError | None:
        """Bring a job to its end, or return why it can't be stored for now."""
        state, error = JobState.DONE, None
        try:
            await self._read(job)
        except OcrError as fault:
            state, error = JobState.FAILED, fault
        except FileNotFoundError:
            logger.exception("files of job %s are gone", job.record.id)
            state, error = JobState.FAILED, OcrError("Files of the job are gone; send it anew.")
        except OSError as failure:
            logger.exception("job %s pauses, for its storage fails", job.record.id)
            return failure
        except Exception:
            logger.exception("job %s failed through an internal error", job.record.id)
            state, error = JobState.FAILED, internal_error()
        try:
            await self._end(job, state, error)
        except OSError as failure:
            logger.exception("the end of job %s could not be stored", job.record.id)
            job.record.state, job.record.ended_at = JobState.RUNNING, None
            return failure
        return None

    async def _read(self, job: Job) -> None:
        """Read the pages that have not ended.

        Raises:
            OcrError: no page could be read.
        """
        record = job.record
        job.resumed_at, job.ended_before = self.clock(), job.done + job.failed
        record.state = JobState.RUNNING
        record.started_at = record.started_at or job.resumed_at
        job.tell()
        await settled(asyncio.to_thread(self.store.save, record))
        ended = await asyncio.to_thread(self.store.ended_pages, record.id)
        job.held_up = None
        chosen = record.chosen()
        left = [index for index in chosen if index not in ended]

        def ended_one(read: bool) -> None:
            job.done += read
            job.failed += not read
            job.tell()

        if left:
            await read_pages(self.source, self.store, record, left, self.settings, self.workers, ended_one)
        if job.done == 0:
            first = await asyncio.to_thread(self.store.page, record.id, chosen[0], read=False)
            record.error = first.error
            raise OcrError("No page could be read.")

    async def _end(self, job: Job, state: JobState, error: OcrError | None) -> None:
        record = job.record
        record.state, record.ended_at = state, self.clock()
        if error is not None and record.error is None:
            record.error = page_error(error)
        if record.webhook is not None:
            record.webhook.state = "pending"
        await settled(asyncio.to_thread(self.store.save, record))
        self.deliver(job)
        job.tell()

    def deliver(self, job: Job) -> None:
        """Begin to tell the webhook that the job has ended, if it has one that is not told yet."""
        webhook = job.record.webhook
        if webhook is not None and webhook.state == "pending":
            job.delivery = asyncio.create_task(self._deliver(job, webhook))

    async def _deliver(self, job: Job, webhook: Webhook) -> None:
        status = job.status(self.clock(), self.settings.keep_s)
        webhook.state = "delivered" if await self.webhooks.deliver(webhook.url, status) else "failed"
        job.tell()
        try:
            await settled(asyncio.to_thread(self.store.save, job.record))
        except OSError:
            logger.exception("the webhook of job %s may be called again after a restart", job.record.id)
        job.delivery = None


def reason(error: OSError) -> str:
    """Say why the storage failed, without its paths, which are nobody's business."""
    return os.strerror(error.errno) if error.errno else "no answer"
