"""Reading a request's body: multipart or JSON, in memory, within limits."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from pydantic import ValidationError
from python_multipart.multipart import parse_options_header
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from deployments.errors import DocumentTooLarge, InvalidRequest, ProcessingTimeout, UnsupportedMediaType
from serve_app.api.documents import referenced_document
from serve_app.api.errors import invalid_request
from serve_app.api.schemas import OcrOptions, OcrRequest
from serve_app.api.settings import ApiSettings

_MAX_FORM_FIELDS = 64


@dataclass(frozen=True, slots=True)
class Upload:
    """A document, and how it is to be read."""

    document: bytes
    options: OcrOptions


async def read_upload(
    request: Request,
    settings: ApiSettings,
    deadline: float,
    *,
    form: type[OcrOptions] = OcrOptions,
    body: type[OcrRequest] = OcrRequest,
) -> Upload:
    """Read a request's body.

    Args:
        request: whose body has not been read.
        settings: the limits.
        deadline: on the event loop's clock.
        form: what the fields of a form must be.
        body: what JSON must be.

    Raises:
        UnsupportedMediaType: the body is neither JSON nor multipart/form-data.
        InvalidRequest: a field is wrong, or the file is missing.
        DocumentTooLarge: found before the whole body was read.
        ProcessingTimeout: the body came too slowly.
    """
    media_type = parse_options_header(request.headers.get("content-type"))[0]
    try:
        async with asyncio.timeout_at(deadline):
            match media_type:
                case b"multipart/form-data":
                    return await _from_form(request, settings, form)
                case b"application/json":
                    return await _from_json(request, settings, body)
    except TimeoutError:
        raise ProcessingTimeout("The upload took too long; try again on a faster connection.") from None
    raise UnsupportedMediaType(
        "Send the document as multipart/form-data with the field `file`, or as application/json."
    )


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


async def _from_json(request: Request, settings: ApiSettings, model: type[OcrRequest]) -> Upload:
    body = bytearray()
    async for piece in _limited(request, settings.max_json_bytes):
        body += piece
    try:
        parsed = await asyncio.to_thread(model.model_validate_json, body)
    except ValidationError as error:
        raise invalid_request(error) from None
    document = await referenced_document(parsed.document, settings.max_document_bytes)
    return Upload(document, parsed)


async def _from_form(request: Request, settings: ApiSettings, model: type[OcrOptions]) -> Upload:
    limit = settings.max_form_bytes
    parser = MultiPartParser(
        request.headers, _limited(request, limit), max_files=1, max_fields=_MAX_FORM_FIELDS
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
        return Upload(await file.read(), options)
    finally:
        await form.close()
