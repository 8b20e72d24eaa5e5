"""Reading a request's body: multipart or JSON, in memory, within limits."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from deployments.errors import DocumentTooLarge, InvalidRequest, ProcessingTimeout, UnsupportedMediaType
from serve_app.api.documents import referenced_document
from serve_app.api.errors import invalid_request
from serve_app.api.settings import ApiSettings
from serve_app.fetching import Fetcher

ModelT = TypeVar("ModelT", bound=BaseModel)
OptionsT = TypeVar("OptionsT", bound=BaseModel)

_MAX_FORM_FIELDS = 64
_MAX_FIELD_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Upload(Generic[OptionsT]):
    """A document, how it is to be read, and its name where the request says one."""

    document: bytes
    options: OptionsT
    name: str | None = None


async def read_upload(
    request: Request,
    settings: ApiSettings,
    fetcher: Fetcher,
    deadline: float,
    *,
    form: type[OptionsT],
    body: type[OptionsT],
    room: int = 0,
) -> Upload[OptionsT]:
    """Read a request's body.

    Args:
        request: whose body has not been read.
        settings: the limits.
        fetcher: of documents that the body names by their address.
        deadline: on the event loop's clock.
        form: what the fields of a form must be.
        body: what JSON must be: the same, and a `document`.
        room: bytes that the fields of a form may have beyond the usual.

    Raises:
        UnsupportedMediaType: the body is neither JSON nor multipart/form-data.
        InvalidRequest: a field is wrong, or the file is missing.
        DocumentTooLarge: found before the whole body was read.
        ProcessingTimeout: the body came too slowly.
    """
    async with within(deadline):
        match _media_type(request):
            case b"multipart/form-data":
                return await _from_form(request, settings, form, room)
            case b"application/json":
                parsed = await read_json(request, body, settings)
                reference = cast(Any, parsed).document
                document = await referenced_document(reference, settings.max_document_bytes, fetcher)
                return Upload(document, parsed, reference.name)
    raise UnsupportedMediaType(
        "Send the document as multipart/form-data with the field `file`, or as application/json."
    )


@asynccontextmanager
async def within(deadline: float) -> AsyncIterator[None]:
    """Bound the time that a request's body and document take to come.

    Raises:
        ProcessingTimeout: the deadline, on the event loop's clock, has passed.
    """
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise ProcessingTimeout("The upload took too long; try again on a faster connection.") from None


async def read_json(request: Request, model: type[ModelT], settings: ApiSettings) -> ModelT:
    """Read a body in JSON.

    Raises:
        UnsupportedMediaType: it is declared as something else.
        InvalidRequest: a field is wrong.
        DocumentTooLarge: found before the whole body was read.
    """
    if _media_type(request) != b"application/json":
        raise UnsupportedMediaType("Send the request as application/json.")
    body = bytearray()
    async for piece in _limited(request, settings.max_json_bytes):
        body += piece
    try:
        return await asyncio.to_thread(model.model_validate_json, body)
    except ValidationError as error:
        raise invalid_request(error) from None


def _media_type(request: Request) -> bytes:
    return parse_options_header(request.headers.get("content-type"))[0]


async def _limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """Yield the body's pieces; the declared length is checked before the first, the real one at each."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise _too_large(limit)
    count = 0
    async for piece in request.stream():
        count += len(piece)
        if count > limit:
            raise _too_large(limit)
        yield piece


def _too_large(limit: int) -> DocumentTooLarge:
    return DocumentTooLarge(
        f"The request's body is larger than the {limit} bytes allowed; send a smaller file."
    )


async def _from_form(
    request: Request, settings: ApiSettings, model: type[OptionsT], room: int
) -> Upload[OptionsT]:
    limit = settings.max_form_bytes + room
    parser = MultiPartParser(
        request.headers,
        _limited(request, limit),
        max_files=1,
        max_fields=_MAX_FORM_FIELDS,
        max_part_size=_MAX_FIELD_BYTES + room,
    )
    parser.spool_max_size = limit  # the file stays in memory: the limit on the body bounds it
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(f"The multipart body is wrong: {error.message}") from error
    try:
        file = form.get("file")
        if not isinstance(file, UploadFile):
            raise InvalidRequest("Send the document as a file in the field `file`.", "file")
        if file.size is not None and file.size > settings.max_document_bytes:
            raise _too_large(settings.max_document_bytes)
        fields = {name: value for name, value in form.items() if name != "file" and value != ""}
        try:
            options = model.model_validate(fields)
        except ValidationError as error:
            raise invalid_request(error) from None
        return Upload(await file.read(), options, file.filename)
    finally:
        await form.close()
