"""What the OpenAPI document says of `/v1/chat/completions`."""

from typing import Any

from serve_app.api.openapi import EVENT_SCHEMA, ONE_PIXEL, REF, errors, json_example

_ANSWER = {
    "id": "chatcmpl-9f1c7a",
    "object": "chat.completion",
    "created": 1780000000,
    "model": "DeepSeek-OCR-2",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "# Earnings", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1130, "completion_tokens": 412, "total_tokens": 1542},
}
_CHUNKS = (
    'data: {"id":"chatcmpl-9f1c7a","object":"chat.completion.chunk","created":1780000000,'
    '"model":"DeepSeek-OCR-2","choices":[{"index":0,"delta":{"content":"# Earnings"},'
    '"finish_reason":null}]}\n\ndata: [DONE]\n\n'
)

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer",
        "content": json_example(_ANSWER)
        | {"text/event-stream": {"schema": EVENT_SCHEMA, "example": _CHUNKS}},
    },
    **errors(400, 401, 404, 413, 415, 422, 429, 500, 503, 504),
}
REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"$ref": REF.format(model="ChatRequest")},
                "example": {
                    "model": "DeepSeek-OCR-2",
                    "messages": [
                        {
                            "role": "user",
                            "content": [
                                {"type": "image_url", "image_url": {"url": ONE_PIXEL}},
                                {"type": "text", "text": "markdown"},
                            ],
                        }
                    ],
                },
            }
        },
    }
}
