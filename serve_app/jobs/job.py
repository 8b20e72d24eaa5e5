"""A job in memory: a line about it, and what is under way for it."""

import asyncio
from dataclasses import dataclass, field

from serve_app.api.schemas import PageError
from serve_app.jobs.models import JobPages, JobRecord, JobState, JobStatus


@dataclass(slots=True, eq=False)
class Job:
    """A job that its runner owns.

    Attributes:
        record: as the folder has it.
        done: pages that were read.
        failed: pages that could not be.
        changed: set at the next change, by `tell`, and never again.
        reading: what brings it to its end.
        delivery: what tells its webhook.
        ending: held while its files are deleted.
        held_up: why it pauses.
        resumed_at: unix time at which this process took it up.
        ended_before: pages that had ended then.
    """

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

    def tell(self) -> None:
        """Wake those who wait for a change."""
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()

    def status(self, now: float, keep_s: float) -> JobStatus:
        """Return where the job stands.

        Args:
            now: unix time.
            keep_s: how long a job is kept after its end.
        """
        record = self.record
        seconds = 0.0 if record.started_at is None else (record.ended_at or now) - record.started_at
        status = JobStatus(
            id=record.id,
            object="job",
            state=record.state,
            pages=JobPages(total=record.total, done=self.done, failed=self.failed),
            created_at=record.created_at,
            seconds=round(max(seconds, 0.0), 3),
        )
        if record.started_at is not None:
            status.started_at = record.started_at
        if record.ended_at is not None:
            status.ended_at = record.ended_at
            status.expires_at = record.ended_at + keep_s
        if record.error is not None or self.held_up is not None:
            status.error = record.error or self.held_up
        if record.webhook is not None:
            status.webhook = record.webhook.state
        ended = self.done + self.failed - self.ended_before
        if record.state is JobState.RUNNING and ended > 0:
            left = record.total - self.done - self.failed
            status.seconds_left = round(left * (now - self.resumed_at) / ended, 1)
        return status
