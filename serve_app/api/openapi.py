"""The OpenAPI document: what FastAPI can't derive from the routes.

Bodies are read by hand (JSON or multipart, within limits), so their schemas are added here.
"""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from serve_app.api.chat_schemas import ChatRequest
from serve_app.api.schemas import (
    ErrorReply,
    ExportOptions,
    ExportRequest,
    JobOptions,
    JobRequest,
    OcrOptions,
    OcrRequest,
    PictureOptions,
    PictureRequest,
)

_FORMS: dict[str, type[BaseModel]] = {
    "OcrForm": OcrOptions,
    "JobForm": JobOptions,
    "ExportForm": ExportOptions,
    "PictureForm": PictureOptions,
}
_BODIES: tuple[type[BaseModel], ...] = (OcrRequest, JobRequest, ExportRequest, PictureRequest, ChatRequest)

_FASTAPIS_OWN = "HTTPValidationError"
REF = "#/components/schemas/{model}"
ONE_PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEA"
    "G7buVgAAAABJRU5ErkJggg=="
)

PAGE = {
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

FILES: dict[str, Any] = {
    "text/markdown": {
        "schema": {"type": "string"},
        "example": "<!-- page 1 -->\n\n# Earnings\n\n![page-0001-img-0.png](page-0001-img-0.png)\n",
    },
    "text/html": {"schema": {"type": "string"}, "example": "<!DOCTYPE html>…"},
    "application/zip": {"schema": {"type": "string", "format": "binary"}, "example": "document.zip"},
    "application/pdf": {"schema": {"type": "string", "format": "binary"}, "example": "document.pdf"},
    "image/png": {"schema": {"type": "string", "format": "binary"}, "example": "document_layout.png"},
    "text/csv": {"schema": {"type": "string"}, "example": "Ship,Crew\r\nHeron,7\r\n"},
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": {
        "schema": {"type": "string", "format": "binary"},
        "example": "document_tables.xlsx",
    },
}

EVENT_SCHEMA = {
    "type": "object",
    "description": "One event of the stream.",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}

_ERRORS: dict[int, tuple[str, str, str, str]] = {
    400: (
        "A field is wrong",
        "invalid_parameter",
        "There is no field colour; leave it out.",
        "invalid_request_error",
    ),
    401: (
        "The API key is missing or not valid",
        "invalid_api_key",
        "The request has no API key; send one in the header Authorization: Bearer KEY.",
        "authentication_error",
    ),
    404: (
        "The model does not run here",
        "model_not_found",
        "The model 'gpt-4o' does not run here; ask for 'DeepSeek-OCR-2'.",
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


def json_example(example: object) -> dict[str, Any]:
    """Return the content of a reply or body in JSON, with an example."""
    return {"application/json": {"example": example}}


def error(description: str, code: str, message: str, type_: str = "invalid_request_error") -> dict[str, Any]:
    """Return a route's reply for an error, with an example."""
    example = {"error": {"code": code, "message": message, "type": type_}}
    return {"description": description, "model": ErrorReply, "content": json_example(example)}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the replies of a route for errors of these statuses."""
    responses: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        responses[status] = error(*_ERRORS[status])
        if status in (429, 503):
            responses[status]["headers"] = {
                "Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}
            }
    return responses


def request_body(
    form: str, body: str, form_example: dict[str, Any], fields: dict[str, Any]
) -> dict[str, Any]:
    """Return a route's request that takes a document as a form or in JSON.

    Args:
        form: name of the form's schema.
        body: name of the schema in JSON.
        form_example: a form.
        fields: of an example in JSON, beside its document.
    """
    example = {"document": {"type": "image_url", "image_url": ONE_PIXEL}, **fields}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {
                    "schema": {"$ref": REF.format(model=form)},
                    "example": form_example,
                },
                "application/json": {"schema": {"$ref": REF.format(model=body)}, "example": example},
            },
        }
    }


OCR_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The pages",
        "content": json_example({"model": "DeepSeek-OCR-2", "usage_info": _USAGE, "pages": [PAGE]})
        | {"text/event-stream": {"schema": EVENT_SCHEMA, "example": _EVENTS}}
        | FILES,
    },
    **errors(400, 401, 413, 415, 422, 429, 500, 503, 504),
}
HEALTH_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"content": json_example({"status": "ok"})}}
READY_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"content": json_example({"status": "ready", "engine": "vllm", "model": "DeepSeek-OCR-2"})},
    **errors(503),
}
MODELS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "content": json_example(
            {
                "object": "list",
                "data": [
                    {"id": "DeepSeek-OCR-2", "object": "model", "created": 1780000000, "owned_by": "dsocr"}
                ],
            }
        )
    },
    **errors(401),
}
OCR_REQUEST = request_body(
    "OcrForm",
    "OcrRequest",
    {"file": "page.png", "pages": "0", "table_format": "html"},
    {"include_image_base64": True},
)


def install(app: FastAPI, model_name: str) -> None:
    """Make the application's document the whole one.

    Args:
        app: the application.
        model_name: of the model that runs, which examples of chats ask for.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            written = get_openapi(
                title=app.title, version=app.version, description=app.description, routes=app.routes
            )
            schemas = written["components"]["schemas"]
            for operation in (each for path in written["paths"].values() for each in path.values()):
                if _FASTAPIS_OWN in str(operation["responses"].get("422")):
                    del operation["responses"]["422"]  # such faults are answered with 400
            for name in (_FASTAPIS_OWN, "ValidationError"):
                schemas.pop(name, None)
            schemas.update(_request_schemas())
            chats = written["paths"]["/v1/chat/completions"]["post"]["requestBody"]["content"]
            chats["application/json"]["example"] |= {"model": model_name}
            written["components"]["securitySchemes"] = {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Needed where the service listens on another address than loopback.",
                }
            }
            written["security"] = [{"key": []}, {}]
            app.openapi_schema = written
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign] # as FastAPI's documentation says to extend it


def _request_schemas() -> dict[str, Any]:
    """Return the schemas of the bodies that are read by hand."""
    _, schema = models_json_schema(
        [(each, "validation") for each in (*_FORMS.values(), *_BODIES)],
        ref_template=REF,
    )
    schemas: dict[str, Any] = schema["$defs"]
    return {
        **schemas,
        **{title: _form(title, schemas.pop(options.__name__)) for title, options in _FORMS.items()},
    }


def _form(title: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of options as a form with a file."""
    return {
        **options,
        "title": title,
        "description": "A request as a form: the file, and the same fields as in JSON, written as text.",
        "properties": {
            "file": {"type": "string", "format": "binary", "description": "A PDF or a picture."},
            **options["properties"],
        },
        "required": ["file", *options.get("required", ())],
    }
