"""The OpenAPI document's part about jobs."""

from typing import Any

from serve_app.api.openapi import EVENT_SCHEMA, FILES, PAGE, error, errors, json_example, request_body

_JOB = {
    "id": "job-019f2d8e5a003f6c1b7de24a9c5807e1d2b3",
    "object": "job",
    "state": "running",
    "pages": {"total": 2000, "done": 412, "failed": 1},
    "created_at": 1780000000.0,
    "started_at": 1780000000.4,
    "seconds": 61.3,
    "seconds_left": 235.5,
}
_QUEUED = {
    **_JOB,
    "state": "queued",
    "pages": {"total": 2000, "done": 0, "failed": 0},
    "seconds": 0.0,
}
_ENDED = {
    **_QUEUED,
    "state": "done",
    "pages": {"total": 2000, "done": 1999, "failed": 1},
    "started_at": 1780000000.4,
    "ended_at": 1780000296.8,
    "expires_at": 1780605096.8,
    "seconds": 296.4,
}
_USAGE = {
    "pages_processed": 1999,
    "doc_size_bytes": 8213004,
    "prompt_tokens": 2258870,
    "output_tokens": 1910321,
}
_EVENTS = (
    'event: progress\ndata: {"id":"job-019f…","object":"job","state":"running",…}\n\n'
    'event: end\ndata: {"id":"job-019f…","object":"job","state":"done",…}\n\n'
)
_NOT_FOUND = error("There is no such job", "job_not_found", "There is no such job; it may have been deleted.")
_NO_RESULT = error(
    "There is no result",
    "no_result",
    "The job has not ended; ask for its result once its state is 'done'.",
)


Responses = dict[int | str, dict[str, Any]]

SUBMIT_RESPONSES: Responses = {
    202: {
        "description": "The job, queued",
        "headers": {"Location": {"description": "Of the job.", "schema": {"type": "string"}}},
        "content": json_example(_QUEUED),
    },
    **errors(400, 401, 413, 415, 422, 429, 500, 503, 504),
}
SUBMIT_REQUEST = request_body(
    "JobForm",
    "JobRequest",
    {"file": "book.pdf", "format": "zip"},
    {"format": "zip"},
)
LIST_RESPONSES: Responses = {
    200: {
        "content": json_example({"object": "list", "data": [_JOB], "has_more": False, "last_id": _JOB["id"]})
    },
    **errors(400, 401, 503),
}
STATUS_RESPONSES: Responses = {200: {"content": json_example(_JOB)}, **errors(400, 401, 503), 404: _NOT_FOUND}
DELETE_RESPONSES: Responses = {
    200: {"content": json_example({**_QUEUED, "state": "cancelled", "ended_at": 1780000020.0})},
    404: _NOT_FOUND,
    **errors(400, 401, 503),
}
EVENTS_RESPONSES: Responses = {
    200: {
        "description": "Progress",
        "content": {"text/event-stream": {"schema": EVENT_SCHEMA, "example": _EVENTS}},
    },
    404: _NOT_FOUND,
    **errors(400, 401, 429, 503),
}
RESULT_RESPONSES: Responses = {
    200: {
        "description": "The pages",
        "content": json_example({"model": "DeepSeek-OCR-2", "pages": [PAGE], "usage_info": _USAGE}) | FILES,
    },
    404: _NOT_FOUND,
    409: _NO_RESULT,
    **errors(400, 401, 422, 500, 503),
}
