"""The routes of jobs."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.responses import Response, StreamingResponse

from deployments.errors import (
    EngineUnavailable,
    InvalidRequest,
    JobNotFound,
    NoResult,
    QueueFull,
    StageLost,
)
from serve_app.api import jobs_openapi, page_ranges, recognition
from serve_app.api.authentication import caller_of
from serve_app.api.disconnects import unless_disconnected
from serve_app.api.downloads import FAILED_HEADER
from serve_app.api.request_log import note
from serve_app.api.routes import ServiceOf, place
from serve_app.api.schemas import JobOptions, JobRequest, OcrOptions, dump
from serve_app.api.streaming import HEARTBEAT, EventStream, server_sent_event
from serve_app.api.uploads import read_upload
from serve_app.formats import ResultFormat, accepted, disposition
from serve_app.jobs.models import JobList, JobRecord, JobState, JobStatus, Webhook, new_id
from serve_app.jobs.results import result
from serve_app.jobs.service import Jobs
from serve_app.jobs.settings import JobSettings
from serve_app.jobs.store import JobStore
from serve_app.jobs.webhooks import Webhooks

router = APIRouter(prefix="/v1/jobs")

EVENT_INTERVAL_S = 0.25
"""Between two events of a job whose pages end faster than anybody can look."""

_NO_STREAM = "A job has no stream of text; follow its progress at /v1/jobs/{id}/events."
_Id = Annotated[str, Field(max_length=100)]


@dataclass(slots=True)
class JobService:
    """What these routes stand on.

    Attributes:
        jobs: the runner.
        store: where results are read.
        settings: of jobs.
        webhooks: checks addresses.
        streams: progress streams under way.
    """

    jobs: Jobs
    store: JobStore
    settings: JobSettings
    webhooks: Webhooks
    streams: int = field(default=0)


def job_service(request: Request) -> JobService:
    """Return what `create_app` put there."""
    found: JobService = request.app.state.jobs
    return found


def owner_of(request: Request) -> str:
    """Return whose jobs a request sees: those sent with the same API key, or all those without one."""
    return caller_of(request.scope)


JobsOf = Annotated[JobService, Depends(job_service)]
OwnerOf = Annotated[str, Depends(owner_of)]


@router.post(
    "",
    status_code=202,
    summary="Read a document in the background",
    dependencies=[Depends(place)],
    response_model=JobStatus,
    responses=jobs_openapi.SUBMIT_RESPONSES,
    openapi_extra=jobs_openapi.SUBMIT_REQUEST,
)
async def submit(request: Request, service: ServiceOf, jobs: JobsOf, owner: OwnerOf) -> Response:
    """Take a document of up to thousands of pages, and answer at once with the job's id.

    The body is that of `/v1/ocr`, with `webhook` beside it. Pages are stored as they are read; the result
    can be had from `/v1/jobs/{id}/result` until the job expires.
    """
    deadline = asyncio.get_running_loop().time() + service.settings.request_timeout_s
    upload = await read_upload(
        request, service.settings, service.fetcher, deadline, form=JobOptions, body=JobRequest
    )
    if upload.options.stream:
        raise InvalidRequest(_NO_STREAM, "stream")
    webhook = upload.options.webhook
    if webhook is not None:
        jobs.webhooks.check(webhook)
    # What is kept is how to read: neither the document in JSON, which may be large, nor the webhook.
    given = upload.options.model_dump(exclude_unset=True, exclude={"document", "webhook"})
    options = OcrOptions.model_validate(given)
    work = recognition.begin(service.reader, upload.document, options, jobs.settings.max_pages, deadline)
    begun = await unless_disconnected(request.receive, work)
    record = JobRecord(
        id=new_id(),
        owner=owner,
        model=service.model_name,
        name=upload.name,
        options=options,
        media_type=begun.info.media_type,
        size_bytes=begun.info.size_bytes,
        page_count=begun.info.page_count,
        total=len(begun.pages),
        created_at=time.time(),
        webhook=None if webhook is None else Webhook(url=webhook),
    )
    status = await jobs.jobs.submit(record, upload.document)
    note(request.scope, job=status.id, pages=record.total, bytes=record.size_bytes)
    return Response(
        dump(status),
        status_code=202,
        media_type="application/json",
        headers={"Location": f"/v1/jobs/{status.id}"},
    )


@router.get("", summary="The jobs", response_model_exclude_unset=True, responses=jobs_openapi.LIST_RESPONSES)
async def list_jobs(
    jobs: JobsOf,
    owner: OwnerOf,
    after: Annotated[str | None, Query(max_length=100, description="The last id of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> JobList:
    """List jobs, newest first."""
    return await jobs.jobs.newest(owner, after, limit)


@router.get(
    "/{id}",
    summary="Where a job stands",
    response_model_exclude_unset=True,
    responses=jobs_openapi.STATUS_RESPONSES,
)
async def show(id: _Id, jobs: JobsOf, owner: OwnerOf) -> JobStatus:  # noqa: A002 - the route's name
    """Return the job's state and how far it is."""
    return await jobs.jobs.status(id, owner)


@router.delete(
    "/{id}",
    summary="Cancel a job, or delete an ended one",
    response_model_exclude_unset=True,
    responses=jobs_openapi.DELETE_RESPONSES,
)
async def cancel(id: _Id, jobs: JobsOf, owner: OwnerOf) -> JobStatus:  # noqa: A002 - the route's name
    """Cancel an unfinished job, or delete an ended one with its result.

    A cancelled job's work ends and its pages and document are deleted; it stays listed as cancelled.
    """
    return await jobs.jobs.cancel(id, owner)


@router.get(
    "/{id}/events",
    summary="A job's progress as it happens",
    status_code=200,
    response_class=StreamingResponse,
    responses=jobs_openapi.EVENTS_RESPONSES,
)
async def events(
    id: _Id,  # noqa: A002 - the route's name
    service: ServiceOf,
    jobs: JobsOf,
    owner: OwnerOf,
) -> Response:
    """Send `progress` whenever pages end, and `end` once the job has ended, as server-sent events."""
    if jobs.streams >= jobs.settings.max_event_streams:
        raise QueueFull("Too many progress streams are open; ask for /v1/jobs/{id} now and then instead.")
    first = await jobs.jobs.status(id, owner)
    return EventStream(_progress(jobs, owner, first, service.settings.heartbeat_s))


async def _progress(
    jobs: JobService, owner: str, status: JobStatus, heartbeat_s: float
) -> AsyncGenerator[str, None]:
    """Yield a job's events until it ends; while its runner is replaced, go on with the next one."""
    jobs.streams += 1
    try:
        yield _event(status)
        while not status.state.ended:
            await asyncio.sleep(EVENT_INTERVAL_S)
            seen = status.progress
            try:
                status = await jobs.jobs.wait(status.id, owner, seen, heartbeat_s)
            except JobNotFound:
                return
            except (EngineUnavailable, StageLost):
                yield HEARTBEAT
                continue
            yield HEARTBEAT if status.progress == seen else _event(status)
    finally:
        jobs.streams -= 1


def _event(status: JobStatus) -> str:
    return server_sent_event("end" if status.state.ended else "progress", status)


@router.get(
    "/{id}/result",
    summary="What a job has read",
    status_code=200,
    response_class=StreamingResponse,
    responses=jobs_openapi.RESULT_RESPONSES,
)
async def job_result(
    id: _Id,  # noqa: A002 - the route's name
    jobs: JobsOf,
    owner: OwnerOf,
    request: Request,
    service: ServiceOf,
    format: ResultFormat | None = None,  # noqa: A002 - the parameter's name
) -> Response:
    """Return the pages of a job that is done.

    They come as the reply of `/v1/ocr` (`json`), as one text (`markdown`) or web page (`html`), with figures
    and tables as files (`zip`), or as a searchable PDF (`pdf`). Without `format` the job's own counts, then
    the header Accept. The header `X-Pages-Failed` of a file has the numbers of pages that could not be read.
    """
    record = await jobs.jobs.record(id, owner)
    match record.state:
        case JobState.QUEUED | JobState.RUNNING:
            raise NoResult("The job has not ended; ask for its result once its state is 'done'.")
        case JobState.CANCELLED:
            raise NoResult("The job was cancelled; it has no result.")
        case JobState.FAILED if record.error is not None:
            raise NoResult(f"The job failed: {record.error.message}")
    chosen = format or record.options.format or accepted(request.headers.get("accept", ""))
    pieces = await result(jobs.store, record, chosen, service.printer)
    headers = {"X-Content-Type-Options": "nosniff"}
    if chosen is not ResultFormat.JSON:
        headers["Content-Disposition"] = disposition(record.name, chosen)
        ended = await asyncio.to_thread(jobs.store.ended_pages, record.id)
        if failed := [index for index, read in ended.items() if not read]:
            headers[FAILED_HEADER] = page_ranges.in_a_header(failed)
    return StreamingResponse(pieces, media_type=chosen.media_type, headers=headers)
