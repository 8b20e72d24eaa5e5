"""The one place where errors become replies.

Handlers are found by class ancestry (Starlette looks along the exception's bases), so a new
`OcrError` needs nothing here: its class says its code and status.
"""

from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from deployments.errors import DocumentTooLarge, InvalidRequest, OcrError
from serve_app.api.request_log import note
from serve_app.api.schemas import ErrorDetail, ErrorReply, PageError, as_dict

ErrorType = Literal["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]

CLIENT_CLOSED_REQUEST = 499
"""Status in the log for a client that left, as nginx has it; nobody receives it."""

INTERNAL_MESSAGE = (
    "The service failed on this request and has logged why; quote the request id to its operator."
)

_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}
_MAX_PARAM_CHARS = 100
_UNION_MEMBERS = {"str", "ImageUrl"}
"""Parts of pydantic's locations that are no fields."""

_PLACES = {"query", "path"}
"""Where FastAPI found a parameter; a body's fields have none, since it is read by hand."""


def error_type(status: int) -> ErrorType:
    """Return the type that OpenAI's clients expect with an HTTP status."""
    if status in (401, 403):
        return "authentication_error"
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def error_reply(error: OcrError) -> ErrorReply:
    """Return an error in the one shape."""
    return _reply(error.status, error.code, error.message, error.param)


def page_error(error: OcrError) -> PageError:
    """Return a page's error."""
    return PageError(code=error.code, message=error.message)


def internal_error() -> OcrError:
    """Return what users are told of an error that is none of theirs."""
    return OcrError(INTERNAL_MESSAGE)


def invalid_request(error: ValidationError | RequestValidationError) -> InvalidRequest:
    """Say in one sentence what pydantic found wrong first; the input itself is never quoted."""
    found: Any = error.errors()[0]
    param = _param(found["loc"])
    match found["type"]:
        case "missing":
            message = f"The field {param} is missing."
        case "extra_forbidden":
            message = f"There is no field {param}; leave it out."
        case "union_tag_not_found" | "union_tag_invalid":
            types = (
                "'document_url' or 'image_url'" if param == "document" else "'text', 'image_url' or 'file'"
            )
            message = f"{param} needs a type: {types}."
        case "json_invalid":
            return InvalidRequest("The body is not valid JSON.")
        case _:
            reason = found["msg"]
            message = f"{param or 'The body'} is wrong: {reason[:1].lower()}{reason[1:]}."
    return InvalidRequest(message, param or None)


def _param(location: tuple[int | str, ...]) -> str:
    parts = [str(part) for part in location]
    if parts and parts[0] in _PLACES:
        parts[:1] = []
    if parts[:1] == ["document"]:
        parts[1:2] = []  # the union's tag, which is in no request
    elif parts[:1] == ["messages"]:
        parts[4:5] = []
    return ".".join(part for part in parts if part not in _UNION_MEMBERS)[:_MAX_PARAM_CHARS]


def _reply(status: int, code: str, message: str, param: str | None = None) -> ErrorReply:
    fields: dict[str, Any] = {"code": code, "message": message, "type": error_type(status)}
    if param is not None:
        fields["param"] = param
    return ErrorReply(error=ErrorDetail(**fields))


def _response(status: int, reply: ErrorReply, headers: dict[str, str]) -> JSONResponse:
    return JSONResponse(as_dict(reply), status_code=status, headers=headers)


async def _ocr_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, OcrError):
        raise error
    note(request.scope, error=error.code)
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    elif error.status == 429:
        headers["Retry-After"] = str(request.app.state.service.admission.retry_after_s())
    elif error.status == 503:
        headers["Retry-After"] = str(request.app.state.service.settings.unavailable_retry_s)
    elif error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(error, DocumentTooLarge):
        headers["Connection"] = "close"  # the rest of the body is not wanted
    return _response(error.status, error_reply(error), headers)


async def _http_exception(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    code = _HTTP_CODES.get(
        error.status_code, InvalidRequest.code if error.status_code < 500 else OcrError.code
    )
    note(request.scope, error=code)
    return _response(
        error.status_code, _reply(error.status_code, code, str(error.detail)), dict(error.headers or {})
    )


async def _request_validation(request: Request, error: Exception) -> Response:
    if not isinstance(error, RequestValidationError):
        raise error
    return await _ocr_error(request, invalid_request(error))


async def _client_left(request: Request, error: Exception) -> Response:
    note(request.scope, error="client_left")
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def send_error(error: OcrError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request before it has come to the routes."""
    note(scope, error=error.code)
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    await _response(error.status, error_reply(error), headers)(scope, receive, send)


async def internal_failure(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request that ended in an error nobody foresaw."""
    error = internal_error()
    await _response(error.status, error_reply(error), {})(scope, receive, send)


def install(app: FastAPI) -> None:
    """Register the handlers; what they don't know, `RequestLog` answers as `internal_failure`."""
    app.add_exception_handler(OcrError, _ocr_error)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _request_validation)
    app.add_exception_handler(ClientDisconnect, _client_left)
