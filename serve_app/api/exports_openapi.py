"""The OpenAPI document's part about pictures of pages and files of pages read before."""

from typing import Any

from serve_app.api.openapi import EVENT_SCHEMA, FILES, PAGE, errors, json_example, request_body

_FAULTS = (400, 401, 413, 415, 422, 429, 500, 503, 504)

_PICTURES = (
    'event: document\ndata: {"media_type":"application/pdf","page_count":2,"pages":[0,1]}\n\n'
    'event: page\ndata: {"index":0,"dimensions":…,"image":"data:image/jpeg;base64,…"}\n\n'
    "event: done\ndata: {}\n\n"
)

PICTURES_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The pages",
        "content": {"text/event-stream": {"schema": EVENT_SCHEMA, "example": _PICTURES}},
    },
    **errors(*_FAULTS),
}
EXPORTS_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file",
        "content": json_example({"model": "DeepSeek-OCR-2", "usage_info": {}, "pages": [PAGE]}) | FILES,
    },
    **errors(*_FAULTS),
}
PICTURES_REQUEST = request_body(
    "PictureForm", "PictureRequest", {"file": "page.png", "pages": "0-3", "side": "600"}, {"side": 600}
)
EXPORTS_REQUEST = request_body(
    "ExportForm",
    "ExportRequest",
    {"file": "page.png", "format": "xlsx", "written": '[{"index": 0, "raw": "…"}]'},
    {"format": "html", "written": [{"index": 0, "raw": "Once upon a time."}]},
)
