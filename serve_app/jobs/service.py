"""Jobs as the HTTP interface asks for them, wherever their runner is."""

from typing import Protocol

from serve_app.jobs.models import JobList, JobRecord, JobStatus, Progress


class Jobs(Protocol):
    """What `serve_app.jobs.runner.JobRunner` offers; it raises errors of the `OcrError` tree alone."""

    async def submit(self, record: JobRecord, document: bytes) -> JobStatus:
        """Store and queue a job."""
        ...

    async def record(self, id_: str, owner: str) -> JobRecord:
        """Return a job's record."""
        ...

    async def status(self, id_: str, owner: str) -> JobStatus:
        """Return where a job stands."""
        ...

    async def wait(self, id_: str, owner: str, seen: Progress | None, timeout_s: float) -> JobStatus:
        """Return where a job stands once that has changed, or after a while."""
        ...

    async def newest(self, owner: str, after: str | None, limit: int) -> JobList:
        """Return jobs, newest first."""
        ...

    async def cancel(self, id_: str, owner: str) -> JobStatus:
        """Cancel an unfinished job, delete an ended one."""
        ...
