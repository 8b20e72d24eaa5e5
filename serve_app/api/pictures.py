"""`POST /v1/pages`: a document's pages to look at, before or without reading them."""

import asyncio
import base64
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from deployments.errors import OcrError, ProcessingTimeout
from deployments.types import DocumentInfo, PagePicture
from serve_app.api import page_ranges
from serve_app.api.authentication import caller_of
from serve_app.api.disconnects import unless_disconnected
from serve_app.api.errors import error_reply, page_error
from serve_app.api.exports_openapi import PICTURES_REQUEST, PICTURES_RESPONSES
from serve_app.api.replies import DEFAULT_DPI
from serve_app.api.request_log import note
from serve_app.api.routes import Service, ServiceOf, place
from serve_app.api.schemas import (
    Dimensions,
    DocumentStart,
    DrawnPage,
    PictureOptions,
    PictureRequest,
    PicturesDone,
)
from serve_app.api.streaming import EventStream, server_sent_event
from serve_app.api.uploads import read_upload
from serve_app.reading import PageFailed

router = APIRouter()

DEFAULT_PAGES = 24


@router.post(
    "/v1/pages",
    summary="Draw pages to look at",
    dependencies=[Depends(place)],
    response_class=Response,
    responses=PICTURES_RESPONSES,
    openapi_extra=PICTURES_REQUEST,
)
async def pages(request: Request, service: ServiceOf) -> Response:
    """Send pages as small pictures, and say how many the document has; nothing is read.

    The reply is server-sent events: `document`, then a `page` for each, at the end `done`, or `error` if
    it took too long. `dimensions` are those of the image that boxes refer to, whatever the picture's size.
    """
    deadline = asyncio.get_running_loop().time() + service.settings.request_timeout_s
    upload = await read_upload(
        request, service.settings, service.fetcher, deadline, form=PictureOptions, body=PictureRequest
    )
    caller = caller_of(request.scope)
    return await unless_disconnected(
        request.receive, _reply(request, service, upload.document, upload.options, deadline, caller)
    )


async def _reply(
    request: Request, service: Service, document: bytes, options: PictureOptions, deadline: float, caller: str
) -> Response:
    try:
        async with asyncio.timeout_at(deadline):
            held = await service.reader.hold(document)
            info = await service.reader.inspect(held)
    except TimeoutError:
        raise _too_slow() from None
    limit = service.settings.max_pages_per_request
    ranges = options.pages or (range(min(info.page_count, DEFAULT_PAGES, limit)),)
    chosen = page_ranges.select(ranges, info.page_count, limit)
    note(request.scope, pages=len(chosen), bytes=info.size_bytes)
    drawn = service.reader.pictures(held, chosen, options.dpi, options.side, caller=caller)
    return EventStream(_events(drawn, info, chosen, deadline))


async def _events(
    drawn: AsyncGenerator[PagePicture | PageFailed, None],
    info: DocumentInfo,
    chosen: list[int],
    deadline: float,
) -> AsyncGenerator[str, None]:
    async with aclosing(drawn):
        start = DocumentStart(media_type=info.media_type, page_count=info.page_count, pages=chosen)
        yield server_sent_event("document", start)
        try:
            while (page := await _next(drawn, deadline)) is not None:
                yield server_sent_event("page", _written(page))
        except OcrError as error:
            yield server_sent_event("error", error_reply(error))
            return
    yield server_sent_event("done", PicturesDone())


async def _next(drawn: AsyncGenerator[Any, None], deadline: float) -> PagePicture | PageFailed | None:
    try:
        async with asyncio.timeout_at(deadline):
            return await anext(drawn, None)
    except TimeoutError:
        raise _too_slow() from None


def _too_slow() -> ProcessingTimeout:
    return ProcessingTimeout("Drawing took too long; ask for fewer pages at once.")


def _written(page: PagePicture | PageFailed) -> DrawnPage:
    if isinstance(page, PageFailed):
        return DrawnPage(index=page.index, error=page_error(page.error))
    return DrawnPage(
        index=page.index,
        dimensions=Dimensions(dpi=page.dpi or DEFAULT_DPI, height=page.height, width=page.width),
        image="data:image/jpeg;base64," + base64.b64encode(page.jpeg).decode(),
    )
