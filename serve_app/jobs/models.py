"""What is known of a job: as it is stored, and as users see it."""

import re
import secrets
import time
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from deployments.types import PageResult
from serve_app.api import page_ranges
from serve_app.api.schemas import OcrOptions, PageError

_ID = re.compile(r"job-[0-9a-f]{12}[0-9a-f]{32}")

MAX_URL_CHARS = 2_000

Progress = tuple[str, int, int, str | None]
"""What a user sees of a job's progress; see `JobStatus.progress`."""


class JobState(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the job."""
        return self in (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


def new_id(now: float | None = None) -> str:
    """Return an id that nobody can guess; later ids sort after earlier ones.

    48 bits of milliseconds, then 128 random ones.
    """
    milliseconds = int((time.time() if now is None else now) * 1000) & (2**48 - 1)
    return f"job-{milliseconds:012x}{secrets.token_hex(16)}"


def is_id(text: str) -> bool:
    """Whether a text has the form of an id."""
    return _ID.fullmatch(text) is not None


class Webhook(BaseModel):
    """An address that is told of the job's end, and how far that has come."""

    url: str
    state: Literal["waiting", "pending", "delivered", "failed"] = "waiting"


class JobRecord(BaseModel):
    """A job as its `job.json` has it; rewritten at each change of state, not for each page.

    Attributes:
        id: as `new_id` gave it; also the name of the job's folder.
        owner: name of the API key that sent it; empty where there are no keys.
        model: name that the reply carries.
        name: of the document, as the request says it; for results that are files.
        options: how the document is read.
        page_count: of the document.
        total: pages asked for.
        created_at: unix time, as the other times.
        error: why the job failed.
    """

    id: str
    owner: str
    model: str
    name: str | None = None
    options: OcrOptions
    media_type: str
    size_bytes: int
    page_count: int
    total: int
    created_at: float
    state: JobState = JobState.QUEUED
    started_at: float | None = None
    ended_at: float | None = None
    error: PageError | None = None
    webhook: Webhook | None = None

    def chosen(self) -> list[int]:
        """Return the numbers of the pages asked for, in that order."""
        return page_ranges.select(self.options.pages, self.page_count, self.total)


class StoredPage(BaseModel):
    """A page that ended: what was read, or why it could not be."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    index: int
    result: PageResult | None = None
    error: PageError | None = None
    retryable: bool = False


class JobPages(BaseModel):
    """Pages of a job; `done` were read, `failed` could not be."""

    total: int
    done: int = 0
    failed: int = 0


class JobStatus(BaseModel):
    """A job."""

    id: str
    object: Literal["job"] = "job"
    state: JobState
    pages: JobPages
    created_at: float = Field(description="Unix time, as the other times.")
    started_at: float | None = None
    ended_at: float | None = None
    expires_at: float | None = Field(None, description="When an ended job is deleted at the latest.")
    seconds: float = Field(description="From the job's start until now or its end.")
    seconds_left: float | None = Field(None, description="Estimated from the pages read so far.")
    error: PageError | None = Field(None, description="Why no page could be read.")
    webhook: Literal["waiting", "pending", "delivered", "failed"] | None = None

    @property
    def progress(self) -> Progress:
        """What must differ for the job to count as changed."""
        return (self.state.value, self.pages.done, self.pages.failed, self.webhook)


class JobList(BaseModel):
    """Jobs, newest first."""

    object: Literal["list"] = "list"
    data: list[JobStatus]
    has_more: bool
    last_id: str | None = Field(description="Send it as `after` to get the next ones.")
