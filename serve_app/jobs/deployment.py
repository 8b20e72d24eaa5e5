"""The runner of jobs as a Ray Serve deployment of one replica, and how others call it."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ray.serve.handle import DeploymentHandle

from deployments.errors import StageLost
from serve_app.graph_stages import GraphStages, ocr_errors
from serve_app.jobs.models import JobList, JobRecord, JobStatus, Progress
from serve_app.jobs.posting import PublicPost
from serve_app.jobs.runner import JobRunner
from serve_app.jobs.settings import JobSettings
from serve_app.jobs.store import JobStore
from serve_app.jobs.webhooks import Webhooks
from serve_app.jobs.work import JobWork
from serve_app.metrics import PageMetrics
from serve_app.page_reader import PageReader, ReadingSettings

T = TypeVar("T")


class JobRunnerDeployment:
    """Owns all jobs. Serve replaces a replica that died, and the next one goes on where it stopped.

    Args:
        settings: of jobs.
        reading: how pages are read; of these, jobs have a number of places of their own.
        places: most pages of all jobs under way.
        engine_places: pages that one engine writes at a time.
        preprocess: the stage.
        model: the stage.
        postprocess: the stage.
    """

    def __init__(
        self,
        settings: JobSettings,
        reading: ReadingSettings,
        places: int,
        engine_places: int,
        preprocess: DeploymentHandle[Any],
        model: DeploymentHandle[Any],
        postprocess: DeploymentHandle[Any],
    ) -> None:
        self._counts = PageMetrics("jobs", engine_places)
        reader = PageReader(
            GraphStages(preprocess, model, postprocess),
            reading.model_copy(update={"max_pages_in_flight": places}),
            self._counts,
        )
        store = JobStore(settings.directory)
        self._runner = JobRunner(JobWork(store, reader, settings, webhooks(settings), workers=places))
        self._runner.start()

    async def check_health(self) -> None:
        """Show Serve that this process answers, and keep its gauges alive."""
        self._counts.refresh()

    async def submit(self, record: JobRecord, document: bytes) -> JobStatus:
        """Store and queue a job."""
        return await self._runner.submit(record, document)

    async def record(self, id_: str, owner: str) -> JobRecord:
        """Return a job's record."""
        return await self._runner.record(id_, owner)

    async def status(self, id_: str, owner: str) -> JobStatus:
        """Return where a job stands."""
        return await self._runner.status(id_, owner)

    async def wait(self, id_: str, owner: str, seen: Progress | None, timeout_s: float) -> JobStatus:
        """Return where a job stands once that has changed, or after a while."""
        return await self._runner.wait(id_, owner, seen, timeout_s)

    async def newest(self, owner: str, after: str | None, limit: int) -> JobList:
        """Return jobs, newest first."""
        return await self._runner.newest(owner, after, limit)

    async def cancel(self, id_: str, owner: str) -> JobStatus:
        """Cancel an unfinished job, delete an ended one."""
        return await self._runner.cancel(id_, owner)

    async def __del__(self) -> None:
        await self._runner.close()


class GraphJobs:
    """The runner behind its deployment handle; see `serve_app.jobs.service.Jobs`.

    A call under which the replica died is made once more, to its successor. That is safe for each of
    them: a submission carries its id, and the runner takes no id twice.
    """

    def __init__(self, runner: DeploymentHandle[Any]) -> None:
        self._runner = runner

    async def submit(self, record: JobRecord, document: bytes) -> JobStatus:
        """Store and queue a job."""
        return await _twice(lambda: self._runner.submit.remote(record, document))

    async def record(self, id_: str, owner: str) -> JobRecord:
        """Return a job's record."""
        return await _twice(lambda: self._runner.record.remote(id_, owner))

    async def status(self, id_: str, owner: str) -> JobStatus:
        """Return where a job stands."""
        return await _twice(lambda: self._runner.status.remote(id_, owner))

    async def wait(self, id_: str, owner: str, seen: Progress | None, timeout_s: float) -> JobStatus:
        """Return where a job stands once that has changed, or after a while."""
        return await _twice(lambda: self._runner.wait.remote(id_, owner, seen, timeout_s))

    async def newest(self, owner: str, after: str | None, limit: int) -> JobList:
        """Return jobs, newest first."""
        return await _twice(lambda: self._runner.newest.remote(owner, after, limit))

    async def cancel(self, id_: str, owner: str) -> JobStatus:
        """Cancel an unfinished job, delete an ended one."""
        return await _twice(lambda: self._runner.cancel.remote(id_, owner))


def webhooks(settings: JobSettings) -> Webhooks:
    """Return what calls and checks webhooks."""
    return Webhooks(settings, PublicPost(private=settings.webhook_to_private_networks))


async def _twice(call: Callable[[], Awaitable[T]]) -> T:
    try:
        with ocr_errors():
            return await call()
    except StageLost:
        with ocr_errors():
            return await call()
