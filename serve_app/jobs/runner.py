"""The one process that owns all jobs.

One runner works on a folder of jobs at a time (`serve_app.jobs.lease` sees to it), and it alone
writes there. It keeps a line about each job in memory and everything else in the folder, so that a
runner that dies loses nothing: the next one reads the records, counts the pages that have a file and
goes on with the others. A page that was under way is read again; a page that has its file is not.

Alternatives were a lease for each job, with jobs spread over many runners, or a database. A runner
does no more than pass references and write files, and a graph reads some tens of pages a second: one
is enough, and one has no races to get wrong.
"""

import asyncio
import logging
import math
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from deployments.errors import EngineUnavailable, JobNotFound, OcrError, QueueFull
from serve_app.api.errors import internal_error, page_error
from serve_app.api.schemas import PageError
from serve_app.jobs.lease import Lease
from serve_app.jobs.models import JobList, JobPages, JobRecord, JobState, JobStatus, Progress
from serve_app.jobs.reading import PageSource, read_pages, settled
from serve_app.jobs.settings import JobSettings
from serve_app.jobs.store import JobStore
from serve_app.jobs.webhooks import Webhooks

logger = logging.getLogger(__name__)

DEFAULT_RETRY_S, MAX_RETRY_S = 30, 3600
"""What a client that is refused is told while no job's end can be foreseen, and at most."""


@dataclass(slots=True, eq=False)
class _Job:
    """A job in memory: a line about it, and what is under way for it."""

    record: JobRecord
    done: int = 0
    failed: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    reading: "asyncio.Task[None] | None" = None
    delivery: "asyncio.Task[None] | None" = None
    ending: asyncio.Lock = field(default_factory=asyncio.Lock)
    held_up: PageError | None = None
    resumed_at: float = 0.0
    ended_before: int = 0


class JobRunner:
    """Takes, reads, reports, cancels and forgets jobs.

    Args:
        store: the folder.
        source: reads pages, a bounded number at once.
        settings: of jobs.
        webhooks: tells others of a job's end.
        workers: most pages of one job under way.
        clock: unix time.
    """

    def __init__(
        self,
        store: JobStore,
        source: PageSource,
        settings: JobSettings,
        webhooks: Webhooks,
        workers: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._source = source
        self._settings = settings
        self._webhooks = webhooks
        self._workers = workers
        self._clock = clock
        self._jobs: dict[str, _Job] = {}
        self._arriving: set[str] = set()
        self._ready = asyncio.Event()
        self._hindrance: str | None = None
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin: claim the folder, go on with what is unfinished in it, take new jobs."""
        self._main = asyncio.create_task(self._own())

    async def close(self) -> None:
        """Stop all work, which another runner may go on with, and give the folder up."""
        if self._main is not None:
            self._main.cancel()
            await asyncio.gather(self._main, return_exceptions=True)

    async def submit(self, record: JobRecord, document: bytes) -> JobStatus:
        """Store a job and queue it. One that is known already is left as it is: a caller may ask again.

        Raises:
            QueueFull: too many jobs are unfinished.
            EngineUnavailable: the folder is not to be had now.
        """
        await self._owned()
        if record.id not in self._jobs:
            unfinished = sum(not job.record.state.ended for job in self._jobs.values())
            if unfinished + len(self._arriving) >= self._settings.max_unfinished:
                error = QueueFull(f"{unfinished} jobs are waiting or running already; try again later.")
                error.retry_after_s = self._retry_after_s()
                raise error
            self._arriving.add(record.id)
            try:
                await settled(asyncio.to_thread(self._store.create, record, document))
            except OSError as error:
                raise _no_storage(error) from error
            finally:
                self._arriving.discard(record.id)
            self._jobs[record.id] = _Job(record)
            self._fill()
        return self._status(self._jobs[record.id])

    async def record(self, id_: str, owner: str) -> JobRecord:
        """Return a job's record.

        Raises:
            JobNotFound: there is none of this owner.
        """
        await self._owned()
        return self._find(id_, owner).record

    async def status(self, id_: str, owner: str) -> JobStatus:
        """Return where a job stands.

        Raises:
            JobNotFound: there is none of this owner.
        """
        await self._owned()
        return self._status(self._find(id_, owner))

    async def wait(self, id_: str, owner: str, seen: Progress | None, timeout_s: float) -> JobStatus:
        """Return where a job stands, as soon as that is something else than was seen, or after a while.

        Args:
            id_: of the job.
            owner: that asks.
            seen: `JobStatus.progress` of the last answer.
            timeout_s: longest wait.

        Raises:
            JobNotFound: there is none of this owner, or it was deleted meanwhile.
        """
        await self._owned()
        try:
            async with asyncio.timeout(timeout_s):
                while (status := self._status(self._find(id_, owner))).progress == seen:
                    await self._find(id_, owner).changed.wait()
        except TimeoutError:
            pass
        return status

    async def newest(self, owner: str, after: str | None, limit: int) -> JobList:
        """Return jobs, newest first.

        Args:
            owner: whose.
            after: id after which the list goes on; the job itself may be gone by now.
            limit: most jobs to return.
        """
        await self._owned()
        ids = sorted(
            (
                id_
                for id_, job in self._jobs.items()
                if job.record.owner == owner and (after is None or id_ < after)
            ),
            reverse=True,
        )
        data = [self._status(self._jobs[id_]) for id_ in ids[:limit]]
        last_id = data[-1].id if data else None
        return JobList(object="list", data=data, has_more=len(ids) > limit, last_id=last_id)

    async def cancel(self, id_: str, owner: str) -> JobStatus:
        """Cancel an unfinished job, which stays listed as such without its pages; delete an ended one.

        Raises:
            JobNotFound: there is none of this owner.
        """
        await self._owned()
        job = self._find(id_, owner)
        try:
            if job.record.state.ended:
                await self._delete(job)
            else:
                await settled(self._cancel(job))
        except OSError as error:
            logger.warning("job %s could not be deleted: %s", id_, error)
            raise EngineUnavailable(
                "The job has stopped but could not be deleted; try again later."
            ) from error
        return self._status(job)

    async def _cancel(self, job: _Job) -> None:
        record = job.record
        async with job.ending:
            record.state, record.ended_at = JobState.CANCELLED, self._clock()
            await _stopped(job.reading)
            job.reading, job.done, job.failed = None, 0, 0
            self._changed(job)
            self._fill()
            await asyncio.to_thread(self._store.save, record)
            await asyncio.to_thread(self._store.delete_contents, record.id)

    async def _own(self) -> None:
        """Own the folder, again and again should it be lost."""
        while True:
            lease = Lease(self._store.files, self._settings.beat_s, self._settings.stale_s)
            try:
                await lease.acquire()
                await self._recover()
                self._hindrance = None
                self._ready.set()
                self._fill()
                logger.info("%d jobs found", len(self._jobs))
                await self._until_lost(lease)
                logger.warning("another runner took the jobs over, or their folder can't be reached")
            except OSError as error:
                logger.warning("the jobs can't be reached: %s", error)
                self._hindrance = _reason(error)
            finally:
                await self._let_go()
                await settled(_released(lease))
            await asyncio.sleep(self._settings.beat_s)

    async def _until_lost(self, lease: Lease) -> None:
        sweeper = asyncio.create_task(self._sweep())
        try:
            await lease.keep()
        finally:
            await _stopped(sweeper)

    async def _let_go(self) -> None:
        """Stop everything, without a word in the folder."""
        self._ready.clear()
        jobs, self._jobs = list(self._jobs.values()), {}
        for job in jobs:
            self._changed(job)
        await asyncio.gather(*(_stopped(task) for job in jobs for task in (job.reading, job.delivery)))

    async def _recover(self) -> None:
        """Read the folder, delete what never became a job, and go on with what is unfinished."""
        self._jobs = {job.record.id: job for job in await settled(asyncio.to_thread(self._found))}
        for job in self._jobs.values():
            if job.record.state is JobState.RUNNING:
                job.record.state = JobState.QUEUED  # in memory: it starts again as soon as there is room
            if job.record.webhook is not None and job.record.webhook.state == "pending":
                job.delivery = asyncio.create_task(self._deliver(job))

    def _found(self) -> "list[_Job]":
        jobs = []
        for id_ in self._store.ids():
            record = self._store.record(id_)
            if record is not None:
                job = _Job(record)
                ended = {} if record.state is JobState.CANCELLED else self._store.ended_pages(id_)
                job.done = sum(ended.values())
                job.failed = len(ended) - job.done
                jobs.append(job)
            elif self._store.is_abandoned(id_):
                self._store.delete(id_)
        return jobs

    def _fill(self) -> None:
        """Start queued jobs while there is room: first those of owners with the fewest running ones."""
        if not self._ready.is_set():
            return
        running = Counter(job.record.owner for job in self._jobs.values() if job.reading is not None)
        queued = [
            job for job in self._jobs.values() if job.reading is None and job.record.state is JobState.QUEUED
        ]
        while queued and running.total() < self._settings.max_running:
            job = min(queued, key=lambda job: (running[job.record.owner], job.record.id))
            queued.remove(job)
            running[job.record.owner] += 1
            job.reading = asyncio.create_task(self._run(job))

    async def _run(self, job: _Job) -> None:
        """Bring a job to its end; while its storage fails, as a full disk does, it pauses."""
        while (failure := await self._run_once(job)) is not None:
            message = f"The folder of jobs can't be used ({_reason(failure)}); the job goes on once it can."
            job.held_up = page_error(EngineUnavailable(message))
            self._changed(job)
            await asyncio.sleep(self._settings.storage_retry_s)
        job.held_up, job.reading = None, None
        self._fill()

    async def _run_once(self, job: _Job) -> OSError | None:
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

    async def _read(self, job: _Job) -> None:
        """Read the pages that have not ended.

        Raises:
            OcrError: no page could be read.
        """
        record = job.record
        job.resumed_at, job.ended_before = self._clock(), job.done + job.failed
        record.state = JobState.RUNNING
        record.started_at = record.started_at or job.resumed_at
        self._changed(job)
        await settled(asyncio.to_thread(self._store.save, record))
        ended = await asyncio.to_thread(self._store.ended_pages, record.id)
        job.held_up = None
        chosen = record.chosen()
        left = [index for index in chosen if index not in ended]

        def ended_one(read: bool) -> None:
            job.done += read
            job.failed += not read
            self._changed(job)

        if left:
            await read_pages(
                self._source, self._store, record, left, self._settings, self._workers, ended_one
            )
        if job.done == 0:
            first = await asyncio.to_thread(self._store.page, record.id, chosen[0], read=False)
            record.error = first.error
            raise OcrError("No page could be read.")

    async def _end(self, job: _Job, state: JobState, error: OcrError | None) -> None:
        record = job.record
        record.state, record.ended_at = state, self._clock()
        if error is not None and record.error is None:
            record.error = page_error(error)
        if record.webhook is not None:
            record.webhook.state = "pending"
        await settled(asyncio.to_thread(self._store.save, record))
        if record.webhook is not None:
            job.delivery = asyncio.create_task(self._deliver(job))
        self._changed(job)

    async def _deliver(self, job: _Job) -> None:
        """Tell the webhook that the job has ended."""
        webhook = job.record.webhook
        if webhook is None:
            return
        delivered = await self._webhooks.deliver(webhook.url, self._status(job))
        webhook.state = "delivered" if delivered else "failed"
        self._changed(job)
        try:
            await settled(asyncio.to_thread(self._store.save, job.record))
        except OSError:
            logger.exception("the webhook of job %s may be called again after a restart", job.record.id)
        job.delivery = None

    async def _sweep(self) -> None:
        """Delete ended jobs whose time is over, and the oldest where there are too many."""
        while True:
            ended = sorted(
                (job for job in self._jobs.values() if job.record.state.ended and job.reading is None),
                key=lambda job: job.record.ended_at or 0,
                reverse=True,
            )
            horizon = self._clock() - self._settings.keep_s
            for number, job in enumerate(ended):
                if number >= self._settings.max_kept or (job.record.ended_at or 0) <= horizon:
                    try:
                        await self._delete(job)
                    except OSError as error:
                        logger.warning("job %s could not be deleted: %s", job.record.id, error)
            await asyncio.sleep(self._settings.sweep_s)

    async def _delete(self, job: _Job) -> None:
        for task in (job.reading, job.delivery):
            await _stopped(task)
        async with job.ending:
            await settled(asyncio.to_thread(self._store.delete, job.record.id))
        self._jobs.pop(job.record.id, None)
        self._changed(job)

    async def _owned(self) -> None:
        """Return once the folder is ours.

        Raises:
            EngineUnavailable: it is not, for longer than taking it over from a dead runner takes.
        """
        try:
            async with asyncio.timeout(self._settings.patience_s):
                await self._ready.wait()
        except TimeoutError:
            why = f" ({self._hindrance})" if self._hindrance else ""
            raise EngineUnavailable(f"Jobs can't be reached now{why}; try again soon.") from None

    def _find(self, id_: str, owner: str) -> _Job:
        job = self._jobs.get(id_)
        if job is None or job.record.owner != owner:
            raise JobNotFound("There is no such job; it may have been deleted.")
        return job

    def _changed(self, job: _Job) -> None:
        """Wake those who wait for a change."""
        changed, job.changed = job.changed, asyncio.Event()
        changed.set()

    def _retry_after_s(self) -> int:
        """Return after how many seconds the first running job should end."""
        lefts = [self._status(job).seconds_left for job in self._jobs.values() if job.reading is not None]
        known = [left for left in lefts if left is not None]
        return min(max(1, math.ceil(min(known))), MAX_RETRY_S) if known else DEFAULT_RETRY_S

    def _status(self, job: _Job) -> JobStatus:
        record = job.record
        now = self._clock()
        seconds = 0.0 if record.started_at is None else (record.ended_at or now) - record.started_at
        status = JobStatus(
            id=record.id,
            object="job",
            state=record.state,
            pages=JobPages(total=record.total, done=job.done, failed=job.failed),
            created_at=record.created_at,
            seconds=round(max(seconds, 0.0), 3),
        )
        if record.started_at is not None:
            status.started_at = record.started_at
        if record.ended_at is not None:
            status.ended_at = record.ended_at
            status.expires_at = record.ended_at + self._settings.keep_s
        if record.error is not None or job.held_up is not None:
            status.error = record.error or job.held_up
        if record.webhook is not None:
            status.webhook = record.webhook.state
        ended = job.done + job.failed - job.ended_before
        if record.state is JobState.RUNNING and ended > 0:
            left = record.total - job.done - job.failed
            status.seconds_left = round(left * (now - job.resumed_at) / ended, 1)
        return status


def _reason(error: OSError) -> str:
    """Say why the storage failed, without its paths, which are nobody's business."""
    return os.strerror(error.errno) if error.errno else "no answer"


def _no_storage(error: OSError) -> EngineUnavailable:
    logger.warning("a job could not be stored: %s", error)
    return EngineUnavailable("The job could not be stored; try again later.")


async def _released(lease: Lease) -> None:
    try:
        await lease.release()
    except OSError as error:
        logger.warning("the claim on the jobs could not be given up: %s", error)


async def _stopped(task: "asyncio.Task[Any] | None") -> None:
    """Cancel a task and wait until it has freed what it held."""
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
