"""`POST /v1/exports`: files in any format of pages that were read before, without reading them again."""

import asyncio

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from deployments.errors import InvalidRequest
from deployments.types import FinishReason, Generation, PageRequest
from serve_app.api import recognition
from serve_app.api.authentication import caller_of
from serve_app.api.disconnects import unless_disconnected
from serve_app.api.downloads import download
from serve_app.api.exports_openapi import EXPORTS_REQUEST, EXPORTS_RESPONSES
from serve_app.api.replies import ReplyWriter, collect
from serve_app.api.request_log import note
from serve_app.api.routes import Service, ServiceOf, place
from serve_app.api.schemas import ExportOptions, ExportRequest, dump
from serve_app.api.uploads import read_upload
from serve_app.formats import ResultFormat

router = APIRouter()

ROOM_BYTES = 16 * 2**20
"""For what was written, beside the document: a page's 8,192 tokens are some 30 kB at most."""


@router.post(
    "/v1/exports",
    summary="Make files of pages read before",
    dependencies=[Depends(place)],
    responses=EXPORTS_RESPONSES,
    openapi_extra=EXPORTS_REQUEST,
)
async def exports(request: Request, service: ServiceOf) -> Response:
    """Make a file of what a reply's `raw` says of a document's pages (ask for it with `include_raw`).

    No engine is asked. Send the same document, the same `dpi`, and each page's `raw`; the other fields are
    those of `/v1/ocr`, `format` above all.
    """
    deadline = asyncio.get_running_loop().time() + service.settings.request_timeout_s
    upload = await read_upload(
        request,
        service.settings,
        service.fetcher,
        deadline,
        form=ExportOptions,
        body=ExportRequest,
        room=ROOM_BYTES,
    )
    options = upload.options
    work = _reply(request, service, upload.document, options, upload.name, deadline)
    return await unless_disconnected(request.receive, work)


async def _reply(
    request: Request,
    service: Service,
    document: bytes,
    options: ExportOptions,
    name: str | None,
    deadline: float,
) -> Response:
    texts = {page.index: Generation(page.raw, FinishReason.STOP) for page in options.written}
    if len(texts) < len(options.written):
        raise InvalidRequest("A page is there twice; send each once.", "written")
    whole = options.model_copy(update={"pages": tuple(range(index, index + 1) for index in texts)})
    limit = service.settings.max_pages_per_request
    work = await recognition.begin(service.reader, document, whole, limit, deadline)
    note(request.scope, pages=len(work.pages), bytes=work.info.size_bytes, format=options.format)
    format_ = options.format or ResultFormat.JSON
    figures = bool(options.include_image_base64) or format_.has_figures
    request_ = PageRequest(options.task, options.prompt, options.crop, options.dpi)
    pages = service.reader.rebuild(
        work.held, texts, request_, figures=figures, caller=caller_of(request.scope)
    )
    events = recognition.ends(pages, work, deadline=deadline)
    if format_ is not ResultFormat.JSON:
        return await download(events, work, format_, name, service.printer, deadline)
    reply = await collect(events, ReplyWriter(options, service.model_name), work.info)
    return Response(dump(reply), media_type="application/json")
