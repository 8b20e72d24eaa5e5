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
from collections import Counter

from deployments.errors import EngineUnavailable, JobNotFound, QueueFull
from serve_app.jobs.job import Job
from serve_app.jobs.lease import Lease
from serve_app.jobs.models import JobList, JobRecord, JobState, JobStatus, Progress
from serve_app.jobs.work import JobWork, reason
from serve_app.tasks import settled, stopped

logger = logging.getLogger(__name__)

DEFAULT_RETRY_S, MAX_RETRY_S = 30, 3600
"""What a client that is refused is told while no job's end can be foreseen, and at most."""


class JobRunner:
    """Takes, reads, reports, cancels and forgets jobs.

    Args:
        work: what is done for each, and where.
    """

    def __init__(self, work: JobWork) -> None:
        self._store = work.store
        self._settings = work.settings
        self._clock = work.clock
        self._work = work
        self._jobs: dict[str, Job] = {}
        self._arriving: set[str] = set()
        self._ready = asyncio.Event()
        self._hindrance: str | None = None
        self._main: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin: claim the folder, go on with what is unfinished in it, take new jobs."""
        self._main = asyncio.create_task(self._own())

    async def close(self) -> None:
        """Stop all work, which another runner may go on with, and give the folder up."""
        await stopped(self._main)

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
            self._jobs[record.id] = Job(record)
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

    async def _cancel(self, job: Job) -> None:
        record = job.record
        async with job.ending:
            record.state, record.ended_at = JobState.CANCELLED, self._clock()
            await stopped(job.reading)
            job.reading, job.done, job.failed = None, 0, 0
            job.tell()
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
                self._hindrance = reason(error)
            finally:
                await self._let_go()
                await settled(_released(lease))
            await asyncio.sleep(self._settings.beat_s)

    async def _until_lost(self, lease: Lease) -> None:
        sweeper = asyncio.create_task(self._sweep())
        try:
            await lease.keep()
        finally:
            await stopped(sweeper)

    async def _let_go(self) -> None:
        """Stop everything, without a word in the folder."""
        self._ready.clear()
        jobs, self._jobs = list(self._jobs.values()), {}
        for job in jobs:
            job.tell()
        await stopped(*(task for job in jobs for task in (job.reading, job.delivery)))

    async def _recover(self) -> None:
        """Read the folder, delete what never became a job, and go on with what is unfinished."""
        self._jobs = {job.record.id: job for job in await settled(asyncio.to_thread(self._found))}
        for job in self._jobs.values():
            if job.record.state is JobState.RUNNING:
                job.record.state = JobState.QUEUED  # in memory: it starts again as soon as there is room
            self._work.deliver(job)

    def _found(self) -> list[Job]:
        jobs = []
        for id_ in self._store.ids():
            record = self._store.record(id_)
            if record is not None:
                job = Job(record)
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

    async def _run(self, job: Job) -> None:
        await self._work.finish(job)
        job.reading = None
        self._fill()

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

    async def _delete(self, job: Job) -> None:
        await stopped(job.reading, job.delivery)
        async with job.ending:
            await settled(asyncio.to_thread(self._store.delete, job.record.id))
        self._jobs.pop(job.record.id, None)
        job.tell()

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

    def _find(self, id_: str, owner: str) -> Job:
        job = self._jobs.get(id_)
        if job is None or job.record.owner != owner:
            raise JobNotFound("There is no such job; it may have been deleted.")
        return job

    def _retry_after_s(self) -> int:
        """Return after how many seconds the first running job should end."""
        lefts = [self._status(job).seconds_left for job in self._jobs.values() if job.reading is not None]
        known = [left for left in lefts if left is not None]
        return min(max(1, math.ceil(min(known))), MAX_RETRY_S) if known else DEFAULT_RETRY_S

    def _status(self, job: Job) -> JobStatus:
        return job.status(self._clock(), self._settings.keep_s)


def _no_storage(error: OSError) -> EngineUnavailable:
    logger.warning("a job could not be stored: %s", error)
    return EngineUnavailable("The job could not be stored; try again later.")


async def _released(lease: Lease) -> None:
    try:
        await lease.release()
    except OSError as error:
        logger.warning("the claim on the jobs could not be given up: %s", error)
