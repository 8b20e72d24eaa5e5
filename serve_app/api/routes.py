"""The routes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from deployments.errors import InvalidRequest
from serve_app.api import openapi, recognition
from serve_app.api.admission import Admission
from serve_app.api.authentication import caller_of
from serve_app.api.caller_limits import CallerLimits
from serve_app.api.disconnects import unless_disconnected
from serve_app.api.downloads import download
from serve_app.api.replies import ReplyWriter, collect
from serve_app.api.request_log import note
from serve_app.api.schemas import (
    Health,
    ModelCard,
    ModelList,
    OcrOptions,
    OcrReply,
    OcrRequest,
    Readiness,
    dump,
)
from serve_app.api.settings import ApiSettings
from serve_app.api.status import ServiceStatus
from serve_app.api.streaming import EventStream, stream_events
from serve_app.api.uploads import Upload, read_upload
from serve_app.fetching import Fetcher
from serve_app.formats import ResultFormat, accepted
from serve_app.printing import Printer
from serve_app.reading import Reader

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes stand on, one for each application.

    Attributes:
        reader: reads documents.
        settings: of the interface.
        status: of what stands behind it.
        admission: of documents.
        limits: of callers.
        fetcher: of documents at addresses.
        printer: makes files of documents' own pages.
        began: unix time.
    """

    reader: Reader[Any]
    settings: ApiSettings
    status: ServiceStatus
    admission: Admission
    limits: CallerLimits
    fetcher: Fetcher
    printer: Printer
    began: int

    @property
    def model_name(self) -> str:
        """The model's name in replies."""
        return self.settings.model_name or self.status.model


async def service(request: Request) -> Service:
    """Return what `create_app` put there; a function that is not async would get a thread for it."""
    found: Service = request.app.state.service
    return found


ServiceOf = Annotated[Service, Depends(service)]


async def place(request: Request, service: ServiceOf) -> AsyncIterator[None]:
    """Hold a place until the reply has been sent.

    Raises:
        QueueFull: none is free.
        RateLimited: the caller has taken its share.
    """
    async with service.admission.place(), service.limits.place(caller_of(request.scope)):
        yield


@router.post(
    "/v1/ocr",
    summary="Read a document",
    dependencies=[Depends(place)],
    response_model=OcrReply,
    response_model_exclude_unset=True,
    responses=openapi.OCR_RESPONSES,
    openapi_extra=openapi.OCR_REQUEST,
)
async def ocr(request: Request, service: ServiceOf) -> Response:
    """Read a PDF or a picture: Markdown, blocks with boxes, figures and tables of each page.

    A page that can't be read carries an `error` and leaves the others whole; the status is 200 as soon
    as one page succeeded. With `stream` the reply is server-sent events: `start`, then for each page
    `page.delta` as text comes and `page.done` or `page.error`, and at the end `done` or `error`.

    With `format`, or by the header Accept, the reply is a file instead: Markdown, a web page, a zip file
    with figures and tables, or a searchable PDF. Its header `X-Pages-Failed` names pages that could not be
    read.
    """
    deadline = asyncio.get_running_loop().time() + service.settings.request_timeout_s
    upload = await read_upload(
        request, service.settings, service.fetcher, deadline, form=OcrOptions, body=OcrRequest
    )
    upload = replace(upload, options=_with_format(upload.options, request.headers.get("accept", "")))
    return await unless_disconnected(request.receive, _reply(request, service, upload, deadline))


def _with_format(options: OcrOptions, accept: str) -> OcrOptions:
    """Return options that say the reply's format.

    Raises:
        InvalidRequest: a stream of files is asked for.
    """
    if options.stream and options.format not in (None, ResultFormat.JSON):
        raise InvalidRequest(
            "A stream has no other format than its events; leave out format or stream.", "format"
        )
    if options.stream or options.format is not None:
        return options
    return options.model_copy(update={"format": accepted(accept)})


async def _reply(request: Request, service: Service, upload: Upload[OcrOptions], deadline: float) -> Response:
    options = upload.options
    work = await recognition.begin(
        service.reader, upload.document, options, service.settings.max_pages_per_request, deadline
    )
    note(
        request.scope,
        pages=len(work.pages),
        bytes=work.info.size_bytes,
        task=options.task,
        stream=options.stream,
    )
    writer = ReplyWriter(options, service.model_name)
    events = recognition.events(
        service.reader, work, stream=options.stream, deadline=deadline, caller=caller_of(request.scope)
    )
    if options.stream:
        return EventStream(stream_events(events, work, writer, service.settings))
    if options.format not in (None, ResultFormat.JSON):
        return await download(events, work, options.format, upload.name, service.printer, deadline)
    reply = await collect(events, writer, work.info)
    note(request.scope, pages_read=writer.pages_read)
    return Response(dump(reply), media_type="application/json")


@router.get("/healthz", summary="Whether the process answers", responses=openapi.HEALTH_RESPONSES)
async def healthz() -> Health:
    """Answer, whatever the state of the engine."""
    return Health()


@router.get("/readyz", summary="Whether pages can be read", responses=openapi.READY_RESPONSES)
async def readyz(service: ServiceOf) -> Readiness:
    """Answer 200 once an engine is ready, else 503."""
    await service.status.check_ready()
    return Readiness(engine=service.status.engine, model=service.model_name)


@router.get("/v1/models", summary="The models", responses=openapi.MODELS_RESPONSES)
async def models(service: ServiceOf) -> ModelList:
    """List the one model that runs, as OpenAI's clients expect it."""
    return ModelList(data=[ModelCard(id=service.model_name, created=service.began)])
