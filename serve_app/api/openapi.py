"""The OpenAPI document: what FastAPI can't derive from the routes.

The body of `/v1/ocr` is read by hand (JSON or multipart), so its schemas are added here.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from serve_app.api.schemas import ErrorReply, OcrOptions, OcrRequest

_REF = "#/components/schemas/{model}"
_ONE_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEA"
    "G7buVgAAAABJRU5ErkJggg=="
)

_PAGE = {
    "index": 0,
    "markdown": "# Earnings\n\n![img-0.png](img-0.png)",
    "images": [
        {
            "id": "img-0.png",
            "top_left_x": 100,
            "top_left_y": 300,
            "bottom_right_x": 800,
            "bottom_right_y": 900,
        }
    ],
    "dimensions": {"dpi": 144, "height": 1684, "width": 1191},
    "blocks": [
        {
            "type": "title",
            "label": "title",
            "content": "# Earnings",
            "top_left_x": 100,
            "top_left_y": 80,
            "bottom_right_x": 480,
            "bottom_right_y": 140,
        },
        {
            "type": "image",
            "label": "image",
            "content": "",
            "image_id": "img-0.png",
            "top_left_x": 100,
            "top_left_y": 300,
            "bottom_right_x": 800,
            "bottom_right_y": 900,
        },
    ],
    "finish_reason": "stop",
}
_USAGE = {"pages_processed": 1, "doc_size_bytes": 48213, "prompt_tokens": 1130, "output_tokens": 412}
_EVENTS = (
    'event: start\ndata: {"model":"DeepSeek-OCR-2","pages":[0],"doc_size_bytes":48213}\n\n'
    'event: page.delta\ndata: {"index":0,"text":"# Earn","attempt":1}\n\n'
    'event: page.done\ndata: {"index":0,"markdown":"# Earnings","images":[],"dimensions":…}\n\n'
    'event: done\ndata: {"model":"DeepSeek-OCR-2","usage_info":…}\n\n'
)

_ERRORS: dict[int, tuple[str, str, str, str]] = {
    400: (
        "A field is wrong",
        "invalid_parameter",
        "There is no field colour; leave it out.",
        "invalid_request_error",
    ),
    413: (
        "Too many bytes, pixels or pages",
        "document_too_large",
        "The request's body is larger than the 104923136 bytes allowed; send a smaller file.",
        "invalid_request_error",
    ),
    415: (
        "The body or the document is of no type that is read",
        "unsupported_media_type",
        "Send the document as multipart/form-data with the field `file`, or as application/json.",
        "invalid_request_error",
    ),
    422: (
        "The document is empty, damaged or encrypted",
        "encrypted_document",
        "The PDF needs a password; send it without one.",
        "invalid_request_error",
    ),
    429: (
        "Too much work waits; see Retry-After",
        "queue_full",
        "The service is at work on 64 documents already; try again shortly.",
        "rate_limit_error",
    ),
    500: (
        "The service failed",
        "generation_failed",
        "The page ended without a result; try it again.",
        "server_error",
    ),
    503: (
        "No engine is ready; see Retry-After",
        "engine_unavailable",
        "No engine is ready; try again in a few seconds.",
        "server_error",
    ),
    504: (
        "It took too long",
        "processing_timeout",
        "The request took too long; ask for fewer pages at once.",
        "server_error",
    ),
}


def _json(example: object) -> dict[str, Any]:
    return {"application/json": {"example": example}}


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    responses: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        description, code, message, type_ = _ERRORS[status]
        example = {"error": {"code": code, "message": message, "type": type_}}
        responses[status] = {"description": description, "model": ErrorReply, "content": _json(example)}
        if status in (429, 503):
            responses[status]["headers"] = {
                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
            }
    return responses


OCR_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The pages",
        "content": _json({"model": "DeepSeek-OCR-2", "usage_info": _USAGE, "pages": [_PAGE]})
        | {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENTS}},
    },
    **_errors(*_ERRORS),
}
HEALTH_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"content": _json({"status": "ok"})}}
READY_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": _json({"status": "ready", "engine": "vllm", "model": "DeepSeek-OCR-2"})},
    **_errors(503),
}
MODELS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": _json(
            {
                "object": "list",
                "data": [
                    {"id": "DeepSeek-OCR-2", "object": "model", "created": 1780000000, "owned_by": "dsocr"}
                ],
            }
        )
    }
}
OCR_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"$ref": _REF.format(model="OcrForm")},
                "example": {"file": "page.png", "pages": "0,2-4", "table_format": "html"},
            },
            "application/json": {
                "schema": {"$ref": _REF.format(model="OcrRequest")},
                "example": {
                    "document": {"type": "image_url", "image_url": _ONE_PIXEL},
                    "include_image_base64": True,
                },
            },
        },
    }
}


def install(app: FastAPI) -> None:
    """Make the application's document the whole one."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            written = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            written["components"]["schemas"].update(_request_schemas())
            app.openapi_schema = written
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # as FastAPI's documentation says to extend it


def _request_schemas() -> dict[str, Any]:
    """Return the schemas of the two request bodies."""
    _, schema = models_json_schema(
        [(OcrOptions, "validation"), (OcrRequest, "validation")], ref_template=_REF
    )
    schemas: dict[str, Any] = schema["$defs"]
    form = schemas.pop("OcrOptions")
    form["title"] = "OcrForm"
    form["description"] = "A request as a form: the file, and the same fields as in JSON, written as text."
    form["properties"] = {
        "file": {"type": "string", "format": "binary", "description": "A PDF or a picture."},
        **form["properties"],
    }
    form["required"] = ["file"]
    return {**schemas, "OcrForm": form}
